"""Several processes ("ranks") that train one model on one joined batch.

Every rank holds all windows, the same order of them, the same weights and the same state of the noise generator. Of
each joined batch a rank takes its own rows; gradients are averaged before they are clipped, so that every rank makes
the same move. What only one process may do, rank 0 does.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist

# Imported before any group exists: imported after one, which torch.optim does, its functions keep that group as a
# default argument; then the group's threads outlive it, and one that drops a tensor while the interpreter ends aborts.
import torch.distributed.nn.functional
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from motionsynth.errors import RanksError
from motionsynth.training.device import resolve_device

__all__ = ["Pulse", "Ranks", "joined_ranks"]

PATIENCE = timedelta(hours=1)
"""Time that a rank waits for the others: rank 0 validates, reads clips and writes while they wait."""

_STARTED_BY = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_REPORTED = "motionsynth/reported"
_T = TypeVar("_T")


class Pulse(NamedTuple):
    """State that decides whether training goes on, and that one rank may know before another."""

    elapsed: float = 0.0
    """Seconds of training, by the clock of rank 0."""
    signal: int | None = None
    """SIGTERM or SIGINT where any rank was asked to stop."""


class Ranks:
    """The processes that train one model, as one of them sees it; by itself, where nothing else is said.

    With one process every method gives back what it is given. Otherwise each is a collective: all ranks call it, in the
    same order.

    Args:
        rank: which process this is.
        size: how many there are.
        local: number of this process on its machine, whose GPU of that number it takes.
        store: what they all can write to.

    Raises:
        RanksError: from every method, where another rank has gone.
    """

    def __init__(self, rank: int = 0, size: int = 1, *, local: int = 0, store: Store | None = None) -> None:
        self.rank, self.size, self.local, self._store = rank, size, local, store
        self._sense: Callable[[], Pulse] = Pulse
        self._heard, self._has_heard = Pulse(), False

    @property
    def first(self) -> bool:
        """True for rank 0, which alone writes, validates, samples and prints."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Device of this rank; see ``resolve_device``. Not a collective."""
        if self.size == 1:
            return resolve_device(name)
        device = resolve_device(name, local_rank=self.local)
        if device != "cpu":
            torch.cuda.set_device(device)
        return device

    # rows

    def cut(self, index_B: Tensor) -> Tensor:
        """The rows of a joined batch that are this rank's: contiguous, as many as others have, or one more or less."""
        return index_B.tensor_split(self.size)[self.rank] if self.size > 1 else index_B

    def join(self, rows: Tensor) -> Tensor:
        """The rows of all ranks, which may have different numbers of them, in order of rank."""
        return torch.cat(self._gather(rows.cpu())).to(rows.device) if self.size > 1 else rows

    # numbers

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over ranks, without gradient."""
        return self.sum(value).div_(self.size) if self.size > 1 else value

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a tensor over ranks, without gradient."""
        if self.size == 1:
            return value
        return self._sum([value.detach().flatten()]).view(value.shape).to(value.dtype)

    def mean_gradients(self, weights: Sequence[Tensor], values: Tensor) -> Tensor:
        """Put the mean over ranks in place of every weight's gradient.

        A weight without gradient here gets one where another rank has one for it.

        Args:
            weights: that have learnt from this rank's rows.
            values: (V,) further numbers to average in the same round.

        Returns:
            (V,) their means.
        """
        if self.size == 1:
            return values
        given = [weight.grad is not None for weight in weights]
        given_W = values.new_ones(len(given)) if all(given) else values.new_tensor(given)
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        mean = self._sum([values, given_W, *(gradient.flatten() for gradient in gradients)]).div_(self.size)
        sizes = [len(values), len(given), *(weight.numel() for weight in weights)]
        values, given_W, *means = mean.split(sizes)  # type: ignore[no-untyped-call]
        for weight, mine, anywhere, gradient in zip(weights, given, given_W, means, strict=True):
            if mine or anywhere:  # in this order: asking the device would wait for it
                weight.grad = gradient.view_as(weight).to(weight.dtype)
        return values

    def _sum(self, parts: Sequence[Tensor]) -> Tensor:
        """Sum over ranks of (n,) tensors end to end; on the CPU the pulse rides along."""
        device = parts[0].device
        pulse = self._beat().to(device) if device.type == "cpu" else parts[0].new_zeros(0)
        flat = torch.cat([*parts, pulse])
        with _losses_named(self):
            dist.all_reduce(flat)
        if not len(pulse):
            return flat
        self._hear(flat[-len(pulse) :].tolist())
        return flat[: -len(pulse)]

    # what all must decide alike

    def listen(self, sense: Callable[[], Pulse]) -> None:
        """Set how this rank's pulse is felt; it travels with every sum on the CPU."""
        self._sense = sense

    def beat(self) -> None:
        """See to it that a pulse was heard since the last call: most often one has come with a sum.

        Sums of gradients on a GPU carry none, because reading it would wait for the device. Then a round of its own is
        made between the CPUs, which also finds out about a rank that has gone.
        """
        if self.size > 1 and not self._has_heard:
            self._sum([torch.zeros(0)])
        self._has_heard = False

    @property
    def pulse(self) -> Pulse:
        """The last one heard, the same on all ranks."""
        return self._sense() if self.size == 1 else self._heard

    def _beat(self) -> Tensor:
        elapsed, number = self._sense()
        stops = (number == signal.SIGTERM, number == signal.SIGINT)
        return torch.tensor([elapsed if self.first else 0.0, *map(float, stops)])

    def _hear(self, beat: list[float]) -> None:
        elapsed, *stops = beat
        asked = [int(number) for number, count in zip((signal.SIGTERM, signal.SIGINT), stops, strict=True) if count]
        self._heard, self._has_heard = Pulse(elapsed, asked[0] if asked else None), True

    # what all must know

    def share(self, value: _T) -> _T:
        """Value of rank 0, on every rank; it must pickle."""
        if self.size == 1:
            return value
        shared = [value if self.first else None]
        with _losses_named(self):
            dist.broadcast_object_list(shared, src=0)
        result: _T = shared[0]  # type: ignore[assignment]
        return result

    def wait(self) -> None:
        """Until every rank is here."""
        self.sum(torch.zeros(1))

    def check_equal(self, tensors: Mapping[str, Tensor], when: str) -> None:
        """Raise ``RanksError`` where a tensor does not have the same bits on all ranks; names the first.

        Args:
            tensors: by name; on any device.
            when: such as ``at step 500``.
        """
        if self.size == 1:
            return
        first, *others = self._gather({name: _digest(tensor) for name, tensor in tensors.items()})
        for rank, other in enumerate(others, 1):
            for name in [*first, *other]:
                if first.get(name) != other.get(name):
                    reason = f"{name} is not on rank {rank} what it is on rank 0"
                    raise RanksError(f"{when}: {reason}; processes that train one model must hold the same numbers")

    def speaks(self) -> bool:
        """True for the first rank that asks, and so the one to report what went wrong; not a collective."""
        if self._store is None:
            return True
        try:
            return self._store.add(_REPORTED, 1) == 1
        except RuntimeError:  # the process that kept the store is gone
            return True

    def _gather(self, value: _T) -> list[_T]:
        gathered: list[_T] = [value] * self.size
        with _losses_named(self):
            dist.all_gather_object(gathered, value)
        return gathered


@contextmanager
def joined_ranks(device: str = "auto") -> Iterator[Ranks]:
    """The processes that ``torchrun`` has started, joined inside the block; one by itself where it started none.

    They talk by gloo on CPUs, and by NCCL between GPUs with gloo beside it for what concerns the CPUs. A block that
    ends with an error leaves them as they are: the process is to end, which the others then find out.

    Args:
        device: where they are to compute; ``cpu`` makes no use of NCCL.

    Raises:
        RanksError: the others cannot be reached.
    """
    if not all(os.environ.get(name) for name in _STARTED_BY) or os.environ["WORLD_SIZE"] == "1":
        yield Ranks()
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and device != "cpu" else "gloo"
    with _losses_named(Ranks(rank, size)):
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    ranks = Ranks(rank, size, local=int(os.environ.get("LOCAL_RANK", rank)), store=PrefixStore("motionsynth", store))
    yield ranks
    ranks.wait()
    dist.destroy_process_group()


@contextmanager
def _losses_named(ranks: Ranks) -> Iterator[None]:
    """Make the backend's complaint about a connection one line."""
    try:
        yield
    except RuntimeError as error:
        cause = re.sub(r"^\[[^\]]*\] *", "", str(error).strip().splitlines()[0]).partition(". ")[0]
        lost = f"rank {ranks.rank} of {ranks.size} has lost another process of this training"
        raise RanksError(f"{lost}, which was killed or failed ({cause})") from error


def _digest(tensor: Tensor) -> str:
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return f"{tuple(tensor.shape)} {hashlib.sha256(content.numpy().tobytes()).hexdigest()}"
