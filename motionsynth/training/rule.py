"""Learning rules that the trainer drives, by gradient or by expectation maximisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.base import StepContext

__all__ = ["LearningError", "LearningRule", "NonFiniteError"]


class LearningError(Exception):
    """Learning cannot go on; raised in the step it names, counted from 0."""

    def __init__(self, step: int, phase: str, reason: str) -> None:
        self.step, self.phase, self.reason = step, phase, reason
        super().__init__(f"step {step}, phase {phase}: {reason}")


class NonFiniteError(LearningError):
    """Result of a batch that is not finite; the weights are those before that phase's update."""


class LearningRule(Protocol):
    """Interface of a way to learn to the trainer."""

    @property
    def whole_passes(self) -> bool:
        """True where a pass must hold every window exactly once, be its last batch smaller."""

    def step(self, batch: Batch, context: StepContext) -> None:
        """Learn from one batch; may raise ``LearningError``."""

    def end_pass(self) -> None:
        """Called after the last step of a pass; may raise ``LearningError``."""

    def finish(self) -> None:
        """Called when no step follows; raises ``LearningError`` where what was learnt is no model yet."""

    @property
    def converged(self) -> bool:
        """True where more steps would change nothing."""

    def check(self) -> None:
        """Raise ``NonFiniteError`` for a step that broke on a device that is not waited for."""

    def collect(self, progress: float) -> dict[str, float]:
        """Averages of what was measured since the last call, by metric name; checks first."""

    def validate(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """Scalars that the rule minimises, by metric name, without learning."""

    def averaged_weights(self) -> dict[str, Tensor]:
        """The moving average by name of weight; empty where none is kept."""

    def load_averaged_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Put back what ``averaged_weights`` gave."""

    def state_dict(self) -> dict[str, Any]:
        """All that ``step`` reads besides weights and averages; plain containers, numbers and tensors.

        The same on all ranks that train together, which all call it.
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
