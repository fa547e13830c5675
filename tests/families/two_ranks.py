"""What several processes learn from their shares of a batch, beside what one learns from all of it; in one process.

Ranks are threads that meet wherever a loss asks for a mean over ranks. Numbers are float64: what the code brings to
float32 with ``Tensor.float``, to leave bf16, stays in float64 here.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.base import Family, Phase, StepContext

Average = Callable[[Tensor], Tensor]
TIMEOUT = 60.0


class Learnt(NamedTuple):
    """What the phases of one step say."""

    totals: dict[str, Tensor]
    """By phase."""
    terms: dict[str, Tensor]
    """By ``PHASE/TERM``."""
    gradients: dict[str, Tensor]
    """By ``PHASE/WEIGHT``."""
    buffers: dict[str, Tensor]
    """As they are after the step."""


@contextmanager
def float64() -> Iterator[None]:
    """Inside the block networks, draws and losses are float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def share_of(batch: Batch, rank: int, ranks: int) -> Batch:
    """The rows that a rank takes."""
    labels = {name: value.tensor_split(ranks)[rank] for name, value in batch.labels.items()}
    return Batch(batch.motion_BTD.tensor_split(ranks)[rank], batch.mask_BT.tensor_split(ranks)[rank], labels)


def learn(family: Family, batch: Batch, context: StepContext) -> Learnt:
    """Losses and gradients of all due phases, without a move of any weight."""
    learnt = Learnt({}, {}, {}, {})
    for phase in family.phases:
        if context.step % phase.every == 0:
            _learn(family, phase, batch, context, learnt)
    learnt.buffers.update({name: value.clone() for name, value in family.named_buffers()})
    return learnt


def _learn(family: Family, phase: Phase, batch: Batch, context: StepContext, learnt: Learnt) -> None:
    for name, network in family.named_children():
        network.requires_grad_(name in phase.trains)
    family.zero_grad()
    loss = phase.loss(batch, context)
    loss.total.backward()
    learnt.totals[phase.name] = loss.total.detach()
    learnt.terms.update({f"{phase.name}/{name}": term for name, term in loss.terms.items()})
    for name, weight in family.named_parameters():
        if weight.grad is not None:
            learnt.gradients[f"{phase.name}/{name}"] = weight.grad.clone()


def learn_by_ranks(family: Family, batch: Batch, *, step: int, seed: int, ranks: int = 2, deaf: bool = False) -> Learnt:
    """The means over ranks of what each learns from its share; ``deaf`` ones do not hear of each other's statistics.

    Raises:
        AssertionError: the ranks' buffers differ.
    """
    table: list[Tensor | None] = [None] * ranks
    barrier = threading.Barrier(ranks, timeout=TIMEOUT)

    def average(rank: int) -> Average:
        def meet(value: Tensor) -> Tensor:
            table[rank] = value
            barrier.wait()
            mean = sum(v for v in table if v is not None) / ranks
            barrier.wait()
            assert isinstance(mean, Tensor)
            return mean

        return (lambda value: value) if deaf else meet

    def run(rank: int, mine: Family) -> Learnt:
        generator = torch.Generator().manual_seed(seed)
        context = StepContext(step, 0.5, generator, rank, ranks, average(rank))
        try:
            return learn(mine, share_of(batch, rank, ranks), context)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(ranks) as pool:
        shares = list(pool.map(run, range(ranks), [copy.deepcopy(family) for _ in range(ranks)]))
    first = shares[0]
    for share in shares[1:]:
        assert share.gradients.keys() == first.gradients.keys() and share.terms.keys() == first.terms.keys()
        for name, value in share.buffers.items() if not deaf else ():
            torch.testing.assert_close(value, first.buffers[name], rtol=1e-12, atol=0, equal_nan=True, msg=name)
    means = [
        {name: torch.stack([share[part][name] for share in shares]).mean(0) for name in first[part]}
        for part in range(3)
    ]
    return Learnt(*means, first.buffers)


def learn_jointly(family: Family, batch: Batch, *, step: int, seed: int) -> Learnt:
    """What one process learns from the whole batch."""
    return learn(copy.deepcopy(family), batch, StepContext(step, 0.5, torch.Generator().manual_seed(seed)))


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest distance of two tensors of one name, over the size of the largest of all."""
    assert one.keys() == other.keys()
    size = max(float(value.abs().max()) for value in one.values())
    return max(float((one[name] - other[name]).abs().max()) for name in one) / size
