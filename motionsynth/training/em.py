"""Learning by expectation maximisation: statistics over a pass, then new parameters in closed form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from motionsynth.config import TrainConfig
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import EMConfig, Family, FamilyConfig, StepContext
from motionsynth.families.capabilities import KeepsRows, LearnsByEM
from motionsynth.training.determinism import stream_seed
from motionsynth.training.distributed import Ranks
from motionsynth.training.rule import LearningError, NonFiniteError

__all__ = ["ROUNDING", "EMRule"]

ROUNDING = 1e-9
"""By how much of its size a window's mean log-likelihood may fall in a pass before it counts as a fault."""


class EMRule:
    """One E step a batch, one M step a pass (Dempster, Laird & Rubin, 1977).

    The mean log-likelihood of a window under the parameters of pass ``t`` is known when the E step of that pass is
    complete. It may not be lower than a pass before but for rounding, ``ROUNDING`` of its size, and training has
    converged where it is higher by less than the configuration's ``tolerance``.

    Args:
        family: its parameters are on the device to train on.
        config: the family's, for its tolerance.
        train: the seed, from which the start draws.
        ranks: the processes that train the family; this one alone where None. Each adds up the statistics of its rows;
            from their sums every process makes the same M step.

    Raises:
        TypeError: the family's configuration has no tolerance.
    """

    def __init__(
        self, family: LearnsByEM, config: FamilyConfig, train: TrainConfig, ranks: Ranks | None = None
    ) -> None:
        if not isinstance(config, EMConfig) or not isinstance(family, Family):
            raise TypeError(f"{config.name} learns by expectation maximisation: its Config must be an EMConfig")
        self.family: LearnsByEM = family
        self.ranks = ranks or Ranks()
        self._rows = family.rows if self.ranks.size > 1 and isinstance(family, KeepsRows) else {}
        self.tolerance = config.tolerance
        self._generator = torch.Generator().manual_seed(stream_seed(train.seed, "start"))
        self._statistics = family.new_statistics()
        self._step = 0
        self._likelihood = -math.inf
        self._gain = math.inf
        self._passes = 0
        self._seen, self._scored = 0.0, 0.0
        self._terms: dict[str, float] = {}

    @property
    def whole_passes(self) -> bool:
        """True: an M step needs the statistics of every window."""
        return True

    @property
    def converged(self) -> bool:
        """True where the last pass gained less than the tolerance."""
        return self._gain < self.tolerance

    def step(self, batch: Batch, context: StepContext) -> None:
        """E step of one batch."""
        self._step = context.step
        before = self._totals()
        # of statistics that are rows every rank holds those of all, in the order that one process finds them in
        kept = {name: len(self._statistics[name]) for name in self._rows if name in self._statistics}
        with torch.no_grad():
            self.family.accumulate(batch, self._statistics)
            names = list(self._statistics)
            bad = torch.stack([~value.isfinite().all() for value in self._statistics.values()])
        seen, scored = self._totals()
        news = [seen - before[0], scored - before[1], *bad.tolist()]
        seen, scored, *bad_S = self.ranks.sum(torch.tensor(news, dtype=torch.float64)).tolist()
        if any(bad_S):
            reason = ", ".join(name for name, count in zip(names, bad_S, strict=True) if count)
            raise NonFiniteError(context.step, "em", f"not finite: the statistics {reason}")
        self._seen, self._scored = self._seen + seen, self._scored + scored
        for name, count in kept.items():
            old, new = self._statistics[name].tensor_split([count])
            self._statistics[name] = torch.cat((old, self.ranks.join(new)))[: self._rows[name]]

    def _totals(self) -> tuple[float, float]:
        """Windows of this pass whose log-likelihood is known, and its sum."""
        if "log_likelihood" not in self._statistics:
            return 0.0, 0.0
        return float(self._statistics["windows"]), float(self._statistics["log_likelihood"])

    def end_pass(self) -> None:
        """Check that the log-likelihood has not fallen; M step."""
        self._statistics = self._joined()
        windows, total = self._totals()
        self._passes += 1
        self._terms = {"passes": float(self._passes)}
        if windows:
            self._compare(total / windows)
        try:
            with torch.no_grad():
                self._terms |= self.family.maximise(self._statistics, generator=self._generator)
        except ValueError as error:
            raise LearningError(self._step, "em", str(error)) from error
        self._statistics = self.family.new_statistics()

    def _joined(self) -> dict[str, Tensor]:
        """The statistics of all ranks: sums of sums; rows are those of all already."""
        if self.ranks.size == 1:
            return self._statistics
        sums = {name: value for name, value in self._statistics.items() if name not in self._rows}
        flat = self.ranks.sum(torch.cat([value.flatten() for value in sums.values()]))
        parts = flat.split([value.numel() for value in sums.values()])  # type: ignore[no-untyped-call]
        return self._statistics | {n: part.view(sums[n].shape) for n, part in zip(sums, parts, strict=True)}

    def _compare(self, likelihood: float) -> None:
        before, self._likelihood = self._likelihood, likelihood
        self._terms["pass_log_likelihood"] = likelihood
        if before == -math.inf:
            return
        self._gain = self._terms["gain"] = likelihood - before
        if self._gain < -ROUNDING * max(1.0, abs(before)):
            reason = f"the log-likelihood of pass {self._passes} fell from {before!r} to {likelihood!r} nats a window"
            raise LearningError(self._step, "em", f"{reason}, which expectation maximisation never does")

    def finish(self) -> None:
        """Refuse a family that has not made an M step."""
        if not self.family.learnt:
            reason = f"the budget ended in the start, after {self._passes} whole passes; give more train.passes"
            raise LearningError(self._step, "em", reason)

    def check(self) -> None:
        """Nothing is deferred."""

    def collect(self, progress: float) -> dict[str, float]:
        """Mean log-likelihood of the windows seen since the last call, and the last pass's terms, given once."""
        row = {"em/log_likelihood": self._scored / self._seen} if self._seen else {}
        row |= {f"em/{name}": value for name, value in self._terms.items()}
        self._seen, self._scored, self._terms = 0.0, 0.0, {}
        return row

    def validate(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """Mean log-density, in nats a window."""
        with torch.no_grad():
            return {"em/log_likelihood": self.family.log_density(batch).mean()}

    def averaged_weights(self) -> dict[str, Tensor]:
        """Averages of weights: none, as parameters are optima, not steps on the way."""
        return {}

    def load_averaged_weights(self, weights: object) -> None:
        """Nothing to put back."""

    def state_dict(self) -> dict[str, Any]:
        """The statistics of the pass that is under way, the generator, and what was measured.

        With several ranks rank 0 goes on with the sums of all, as one does that takes up this state.
        """
        statistics = self._joined()
        self._take(statistics)
        return {
            "statistics": {name: value.clone() for name, value in statistics.items()},
            "generator": self._generator.get_state(),
            "numbers": [self._likelihood, self._gain, float(self._passes), self._seen, self._scored],
            "terms": dict(self._terms),
            "step": self._step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back statistics, generator and measurements; the family's parameters are in place."""
        expected = self.family.new_statistics()
        if expected.keys() != state["statistics"].keys():
            raise ValueError("the statistics are of another pass")
        rows = self.family.rows if isinstance(self.family, KeepsRows) else {}
        for name, value in state["statistics"].items():
            own = expected[name]
            # of rows there are as many as were seen
            skipped = 1 if name in rows else 0
            if value.dtype != own.dtype or value.shape[skipped:] != own.shape[skipped:]:
                raise ValueError(f"the statistics {name} are of another model")
        self._take({n: value.to(expected[n].device) for n, value in state["statistics"].items()})
        self._generator.set_state(state["generator"])
        self._likelihood, self._gain, passes, self._seen, self._scored = map(float, state["numbers"])
        self._passes, self._step = int(passes), int(state["step"])
        self._terms = {str(name): float(value) for name, value in state["terms"].items()}

    def _take(self, statistics: dict[str, Tensor]) -> None:
        """Go on from those of all ranks: rank 0 with the sums, the others with none."""
        empty = {} if self.ranks.first else self.family.new_statistics()
        self._statistics = statistics | {n: value for n, value in empty.items() if n not in self._rows}
