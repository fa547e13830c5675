"""Learning by expectation maximisation: statistics over a pass, then new parameters in closed form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from motionsynth.config import TrainConfig
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import EMConfig, Family, FamilyConfig, LearnsByEM, StepContext
from motionsynth.training.determinism import stream_seed
from motionsynth.training.rules import LearningError, NonFiniteError

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

    Raises:
        TypeError: the family's configuration has no tolerance.
    """

    def __init__(self, family: LearnsByEM, config: FamilyConfig, train: TrainConfig) -> None:
        if not isinstance(config, EMConfig) or not isinstance(family, Family):
            raise TypeError(f"{config.name} learns by expectation maximisation: its Config must be an EMConfig")
        self.family: LearnsByEM = family
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
        """Yes: an M step needs the statistics of every window."""
        return True

    @property
    def converged(self) -> bool:
        """Whether the last pass gained less than the tolerance."""
        return self._gain < self.tolerance

    def step(self, batch: Batch, context: StepContext) -> None:
        """E step of one batch."""
        self._step = context.step
        before = self._totals()
        with torch.no_grad():
            self.family.accumulate(batch, self._statistics)
            bad = [name for name, value in self._statistics.items() if not value.isfinite().all()]
        if bad:
            raise NonFiniteError(context.step, "em", f"not finite: the statistics {', '.join(bad)}")
        seen, scored = self._totals()
        self._seen, self._scored = self._seen + seen - before[0], self._scored + scored - before[1]

    def _totals(self) -> tuple[float, float]:
        """Windows of this pass whose log-likelihood is known, and its sum."""
        if "log_likelihood" not in self._statistics:
            return 0.0, 0.0
        return float(self._statistics["windows"]), float(self._statistics["log_likelihood"])

    def end_pass(self) -> None:
        """Check that the log-likelihood has not fallen; M step."""
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
        """Mean log-likelihood of the windows seen since the last call, and what the last pass gave, told once."""
        row = {"em/log_likelihood": self._scored / self._seen} if self._seen else {}
        row |= {f"em/{name}": value for name, value in self._terms.items()}
        self._seen, self._scored, self._terms = 0.0, 0.0, {}
        return row

    def validate(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """Mean log-density, in nats a window."""
        with torch.no_grad():
            return {"em/log_likelihood": self.family.log_density(batch).mean()}

    def averaged_weights(self) -> dict[str, Tensor]:
        """None: parameters are optima, not steps on the way."""
        return {}

    def load_averaged_weights(self, weights: object) -> None:
        """Nothing to put back."""

    def state_dict(self) -> dict[str, Any]:
        """The statistics of the pass that is under way, the generator, and what was measured."""
        return {
            "statistics": {name: value.clone() for name, value in self._statistics.items()},
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
        self._statistics = {n: value.to(expected[n].device) for n, value in state["statistics"].items()}
        self._generator.set_state(state["generator"])
        self._likelihood, self._gain, passes, self._seen, self._scored = state["numbers"]
        self._passes, self._terms, self._step = int(passes), dict(state["terms"]), state["step"]
