"""Folders of small clips to open as corpora."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.motion.bvh import write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.transform import scale_lengths
from tests.motion.clips import walk

PATTERN = r"(?P<content>[a-z]+)_(?P<style>[a-z]+)_(?P<take>\d+)\.bvh"


@lru_cache(maxsize=256)
def clip_of(seed: int, frames: int = 24) -> Clip:
    return walk(frames, 30.0, seed)


def write_clips(folder: Path, names: Iterable[str], frames: int = 24) -> Path:
    """Write one clip a name, each with a motion of its own."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bvh(clip_of(seed, frames), path)
    return folder


def cell_names(takes: int, cells: Iterable[str] = ("walk_calm", "run_calm")) -> list[str]:
    return [f"{cell}_{take:03d}.bvh" for cell in cells for take in range(1, takes + 1)]


def open_folder(folder: Path, cache: Path, **options: Any) -> Corpus:
    settings = {"pattern": PATTERN, "window_frames": 16, "stride_frames": 4} | options
    return open_corpus(DataConfig(path=folder, **settings), cache=cache, workers=1)


def longer_arm(clip: Clip) -> Clip:
    """The same motion of a person whose left forearm is 3 cm longer."""
    joint = clip.skeleton.names.index("LeftForeArm")
    offsets, translations = clip.skeleton.offsets.copy(), clip.translations.copy()
    offsets[joint, 0] += 3
    translations[:, joint, 0] += 3
    return replace(clip, skeleton=replace(clip.skeleton, offsets=offsets), translations=translations)


def of_size(clip: Clip, size: float) -> Clip:
    """The same motion by a person so many times as large, who travels so many times as far."""
    return scale_lengths(clip, size)


def turned_at_rest(clip: Clip, degrees: float, joint: str = "LeftForeArm") -> Clip:
    """The same rotations of a person whose bone to a joint points elsewhere at rest, turned about z."""
    index, angle = clip.skeleton.names.index(joint), np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    offsets, translations = clip.skeleton.offsets.copy(), clip.translations.copy()
    offsets[index] = turn @ offsets[index]
    translations[:, index] = translations[:, index] @ turn.T
    return replace(clip, skeleton=replace(clip.skeleton, offsets=offsets), translations=translations)


PEOPLE = {"ann": 0.9, "bob": 1.0, "cyd": 1.15, "dan": 1.3}
WHO = r"(?P<content>[a-z]+)_(?P<actor>[a-z]+)_(?P<take>\d+)\.bvh"


def write_people(folder: Path, people: Mapping[str, float] = PEOPLE, takes: int = 3) -> Path:
    """Clips of people of several sizes, such as ``walk_ann_1.bvh``, each with a motion of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, size) in enumerate(people.items()):
        for take in range(1, takes + 1):
            write_bvh(of_size(clip_of(10 * number + take), size), folder / f"walk_{name}_{take}.bvh")
    return folder
