"""The data section of a configuration: which clips, how they are encoded, cut and split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticKnownError

from motionsynth.settings import FrozenConfig

__all__ = ["DataConfig", "SplitConfig"]


class SplitConfig(FrozenConfig):
    """Shares of takes dealt to train, validation and test."""

    validation: float = Field(0.15, gt=0, lt=1)
    """Share of each cell's takes held out to choose by."""
    test: float = Field(0.15, gt=0, lt=1)
    """Share of each cell's takes held out to judge by."""
    gap: int = Field(1, ge=0)
    """Takes dropped between blocks, because neighbours in recording order are near-duplicates."""
    seed: int = 0
    """Fixes which block of each cell goes where."""


class DataConfig(FrozenConfig):
    """Clips that a run learns from, and their cutting into windows."""

    path: Path = Path("data/walkers")
    """Folder of clips: BVH files, or AMC files with their skeletons."""
    second: Path | None = None
    """Folder of another corpus with the same skeleton, whose clips join; a label ``corpus`` tells the two apart."""
    labels: Literal["auto", "csv", "folders", "pattern", "none"] = "auto"
    """Source of labels; ``auto``: ``labels.csv`` if there, else ``pattern`` if given, else sub-folders if any."""
    pattern: str | None = None
    """Regular expression with named groups (``content``, ``style``, ``take``) searched in each file's name."""
    keep: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Label -> classes: only clips of these are learnt from, such as ``{style: [normal, elderly]}``; empty for all."""
    clips: Path | None = None
    """Text file that lists the clips of ``path`` to use, one a line; null for all."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """Response to a file that cannot be used; skipped files are counted and listed."""
    frame_rate: float = Field(30.0, gt=0)
    """Frames a second that every clip is brought to."""
    units: Literal["auto", "m", "cm", "mm", "in", "cmu"] = "auto"
    """Unit of length of the files; ``auto`` judges by the skeleton's height; ``cmu`` is the CMU library's own."""
    up: Literal["auto", "y", "z"] = "auto"
    """Axis that points up in the files; ``auto`` judges each by its motion, in doubt by most files."""
    bones: Literal["same", "mean"] | Path = "same"
    """Bones that clips have: ``same`` refuses clips whose bones differ; ``mean`` brings people of several sizes to the
    mean of their skeletons, a path to the skeleton of that BVH file."""
    window_frames: int = Field(64, ge=8, le=10_000)
    """T, frames in a window."""
    stride_frames: int = Field(16, ge=1)
    """Frames between the starts of neighbouring windows."""
    velocities: bool = False
    """Joint velocities among the features."""
    contacts: bool = True
    """Foot contacts among the features."""
    mirror: bool = False
    """Each clip of the training split also mirrored left to right."""
    hold_out: str = Field("take", min_length=1)
    """Unit dealt whole to train, validation or test: takes, or all clips of a class of this label (``actor``)."""
    split: SplitConfig = SplitConfig()

    @field_validator("path", "second", "clips", "bones", mode="before")
    @classmethod
    def _named(cls, path: Any) -> Any:
        if path == "":  # which pathlib takes for the working folder
            raise ValueError("names nothing; leave it out, or write . for the folder itself")
        if not isinstance(path, str | Path | None):
            raise PydanticKnownError("string_type")
        return path

    @field_validator("clips", "bones")
    @classmethod
    def _from_anywhere(cls, file: Path | str | None) -> Path | str | None:
        return file.absolute() if isinstance(file, Path) else file  # a run resumed from another folder finds it too
