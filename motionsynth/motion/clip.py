"""One recorded or generated motion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.rotations import angles_to_matrices, matrices_to_angles, unwrap_angles
from motionsynth.motion.skeleton import FloatArray, Skeleton

__all__ = ["Clip"]


@dataclass(frozen=True, eq=False)
class Clip:
    """A skeleton's motion, held as the numbers a BVH file holds, so that reading and rewriting lose nothing.

    Args:
        skeleton: the J joints.
        frame_time: seconds between frames, positive.
        angles: (T, J, 3) Euler angles in degrees; column k turns about axis ``skeleton.orders[j][k]``.
        translations: (T, J, 3) each joint's position in its parent's frame, in the file's unit of length: the position
            channels where the joint has them, its OFFSET elsewhere.
    """

    skeleton: Skeleton
    frame_time: float
    angles: FloatArray
    translations: FloatArray

    def __post_init__(self) -> None:
        joints = len(self.skeleton)
        for name in ("angles", "translations"):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.ndim != 3 or array.shape[1:] != (joints, 3):
                raise ValueError(f"{name} must have shape (T, {joints}, 3), not {array.shape}")
            array = array.view()
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if len(self.angles) != len(self.translations):
            raise ValueError(f"{len(self.angles)} frames of angles, {len(self.translations)} of translations")
        if not (self.frame_time > 0 and np.isfinite(self.frame_time)):
            raise ValueError(f"frame_time must be a positive number of seconds, not {self.frame_time}")

    @classmethod
    def from_rotations(
        cls, skeleton: Skeleton, frame_time: float, rotations: FloatArray, translations: FloatArray
    ) -> Clip:
        """Build a clip from (T, J, 3, 3) local rotation matrices; the Euler angles are continuous, found in float64."""
        angles = unwrap_angles(matrices_to_angles(rotations, skeleton.orders), skeleton.orders)
        return cls(skeleton, frame_time, angles, translations)

    def __len__(self) -> int:
        return len(self.angles)

    def __getitem__(self, frames: slice) -> Clip:
        if not isinstance(frames, slice):
            raise TypeError("a clip is sliced by a range of frames, such as clip[10:74]")
        if frames.step not in (None, 1):
            raise ValueError("a step would alias; use resample(clip, frame_rate)")
        return replace(self, angles=self.angles[frames], translations=self.translations[frames])

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return 1.0 / self.frame_time

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last: T times the frame time."""
        return len(self) * self.frame_time

    def rotations(self) -> FloatArray:
        """(T, J, 3, 3) local rotation matrices, float64."""
        return angles_to_matrices(self.angles, self.skeleton.orders)

    def positions(self) -> FloatArray:
        """(T, J, 3) world positions of the joints in the file's unit of length, float64."""
        return world_transforms(self.rotations(), self.translations, self.skeleton.parents)[0]
