"""A failure of learning as a user is told of it."""

from __future__ import annotations

from torch import Tensor

from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import DivergedError, TrainingError, list_first
from motionsynth.training.rule import LearningError, NonFiniteError

__all__ = ["named_error"]

_CLIPS_NAMED = 8


def named_error(error: LearningError, windows: WindowSet, batches: list[tuple[int, Tensor]]) -> TrainingError:
    """The user's error: counts steps from 1 as the journal does, and names a batch's clips, suspects first.

    Args:
        error: what the rule raised.
        windows: what is learnt from.
        batches: steps, from 0, with the (B,) indices of their windows; that of the error among them.
    """
    if not isinstance(error, NonFiniteError):
        return TrainingError(error.step + 1, error.phase, error.reason)
    index_B = next(index_B for step, index_B in batches if step == error.step)
    of_batch = windows.subset(index_B.to(windows.clip_N.device))
    broken_B = ~of_batch.as_batch().motion_BTD.isfinite().all(dim=2).all(dim=1)
    clips, suspects = (sorted(set(part.takes), key=part.clips.index) for part in (of_batch, of_batch.subset(broken_B)))
    reason = error.reason
    if suspects:
        reason += f"; not finite in the data: {list_first(suspects, _CLIPS_NAMED)}"
    named = DivergedError(
        error.step + 1, error.phase, f"{reason}; clips of the batch: {list_first(clips, _CLIPS_NAMED)}"
    )
    named.add_note(f"all clips of the batch: {', '.join(clips)}")
    return named
