"""Clips built by hand or at random, and the slow, plain reference implementation of forward kinematics."""

from __future__ import annotations

import math

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import EndSite, Skeleton

SIX = ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")
THREE = SIX[3:]

# name, parent, offset in centimetres; the left and the right arm have opposite frames, as some exporters write them
HUMAN: tuple[tuple[str, int, tuple[float, float, float]], ...] = (
    ("Reference", -1, (0, 0, 0)),
    ("Hips", 0, (0, 92, 0)),
    ("Spine", 1, (0, 12, 0)),
    ("Chest", 2, (0, 20, 0)),
    ("Neck", 3, (0, 22, 0)),
    ("Head", 4, (0, 10, 0)),
    ("LeftShoulder", 3, (4, 18, 0)),
    ("LeftArm", 6, (12, 0, 0)),
    ("LeftForeArm", 7, (27, 0, 0)),
    ("LeftHand", 8, (25, 0, 0)),
    ("RightShoulder", 3, (-4, 18, 0)),
    ("RightArm", 10, (-12, 0, 0)),
    ("RightForeArm", 11, (-27, 0, 0)),
    ("RightHand", 12, (-25, 0, 0)),
    ("LeftUpLeg", 1, (9, -4, 0)),
    ("LeftLeg", 14, (0, -42, 0)),
    ("LeftFoot", 15, (0, -40, 0)),
    ("RightUpLeg", 1, (-9, -4, 0)),
    ("RightLeg", 17, (0, -42, 0)),
    ("RightFoot", 18, (0, -40, 0)),
)


def human() -> Skeleton:
    """A 20-joint person, 1.6 m tall, whose ROOT stands still above the Hips that travel."""
    return Skeleton(
        tuple(name for name, _, _ in HUMAN),
        tuple(parent for _, parent, _ in HUMAN),
        np.array([offset for _, _, offset in HUMAN], dtype=np.float64),
        tuple(SIX if joint < 2 else THREE for joint in range(len(HUMAN))),
        (EndSite(5, (0.0, 18.0, 0.0)), EndSite(9, (9.0, 0.0, 0.0)), EndSite(13, (-9.0, 0.0, 0.0))),
    )


def walk(frames: int = 60, frame_rate: float = 60.0, seed: int = 0, swing: float = 30.0) -> Clip:
    """The person of :func:`human`, travelling, every joint swinging by up to ``swing`` degrees at its own slow pace."""
    generator = np.random.default_rng(seed)
    skeleton = human()
    time = np.arange(frames)[:, None, None] / frame_rate
    pace, phase = generator.uniform(0.3, 1.5, (2, len(skeleton), 3))
    angles = swing * np.sin(2 * np.pi * (pace * time + phase))
    angles[:, 0] = 0
    translations = np.repeat(skeleton.offsets[None], frames, axis=0)
    translations[:, 1] += np.concatenate(
        [10 * np.sin(3 * time[:, 0]), 2 * np.cos(5 * time[:, 0]), 120 * time[:, 0]], axis=-1
    )
    return Clip(skeleton, 1 / frame_rate, angles, translations)


def random_tree(generator: np.random.Generator, joints: int) -> tuple[int, ...]:
    """Parents of a random tree: each joint hangs on any earlier one."""
    return (-1, *(int(generator.integers(0, joint)) for joint in range(1, joints)))


def plain_matrix(angles: list[float], order: str) -> list[list[float]]:
    """One joint's matrix from the textbook's three elementary rotations, without numpy."""
    out = [[float(i == j) for j in range(3)] for i in range(3)]
    for degrees, axis in zip(angles, order, strict=True):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = {
            "X": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
        out = [[sum(out[i][k] * turn[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    return out


def plain_positions(clip: Clip) -> np.ndarray:
    """World positions by walking the tree joint by joint, frame by frame, in plain Python."""
    out = np.zeros((len(clip), len(clip.skeleton), 3))
    for frame in range(len(clip)):
        frames: list[tuple[list[list[float]], list[float]]] = []
        for joint, parent in enumerate(clip.skeleton.parents):
            R = plain_matrix(clip.angles[frame, joint].tolist(), clip.skeleton.orders[joint])
            t = clip.translations[frame, joint].tolist()
            if parent >= 0:
                G, x = frames[parent]
                t = [x[i] + sum(G[i][k] * t[k] for k in range(3)) for i in range(3)]
                R = [[sum(G[i][k] * R[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
            frames.append((R, t))
            out[frame, joint] = t
    return out
