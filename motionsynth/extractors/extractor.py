"""All that is fitted on the training split of a corpus to judge motion by; turns windows into descriptors.

Shapes: N windows, T frames, D features, E size of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.motions import MotionSet
from motionsynth.errors import ExtractorError, list_first
from motionsynth.extractors.cells import Cells, CellSource
from motionsynth.extractors.gate import Gate
from motionsynth.extractors.networks import Networks
from motionsynth.extractors.recipe import RECIPE
from motionsynth.extractors.spaces import Axes, Standard, kinetics
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.hashes import hash_bytes
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.tensor_files import dump_tensors

__all__ = ["Extractor"]

_BLOCK: Final = 1024
"""Windows normalised and encoded at a time."""
_NAMED: Final = 3


class _Judged(NamedTuple):
    """Results for a block of windows."""

    embeddings: dict[str, Tensor]
    cell_N: Tensor | None
    realistic_N: Tensor | None


@dataclass(frozen=True, eq=False)
class Extractor:
    """Feature spaces, cells and a realism gate, fitted on the training split of one corpus.

    | space | of a window |
    |---|---|
    | ``pca`` | coordinates along 64 principal components of normalised training windows, the root included |
    | ``kinetic`` | speeds and accelerations of the joints, standardised |
    | ``classifier`` | the vector from which a network tells content and style |
    | ``autoencoder`` | the code of a network that learnt to give windows back |

    Args:
        fingerprint: of the corpus.
        frames: T, frames in a window.
        spec: what a feature row holds.
        labels: label name -> class names, of the labels that make up a cell.
        seed: what it was fitted with.
        version: of the package that fitted it.
        normaliser: of the features.
        axes: of the space ``pca``.
        kinetic: standardisation of the space ``kinetic``.
        cells: which there are, and what tells them.
        gate: which windows count as real; None where the corpus is one take without validation.
        networks: None where it was fitted without.
        accuracy: on held-out takes, as ``SPLIT/WHAT``, such as ``test/cell``: share of the windows whose content,
            style or cell is told right; ``test/autoencoder``: mean squared error a normalised number.
    """

    fingerprint: str
    frames: int
    spec: FeatureSpec
    labels: dict[str, tuple[str, ...]]
    seed: int
    version: str
    normaliser: Normaliser
    axes: Axes
    kinetic: Standard
    cells: Cells
    gate: Gate | None
    networks: Networks | None
    accuracy: dict[str, float]

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the feature spaces."""
        return ("pca", "kinetic", *(self.networks.spaces if self.networks else ()))

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that decides what it says of a window: other corpora, seeds and versions give others."""
        return hash_bytes(f"{self.fingerprint} {RECIPE} ".encode() + dump_tensors(self.tensors()))

    def tensors(self) -> dict[str, Tensor]:
        """All that was fitted, by name, as ``weights.safetensors`` keeps it."""
        gate = self.gate
        return {
            **{f"normaliser.{name}": value for name, value in self.normaliser.tensors().items()},
            **{f"pca.{name}": value for name, value in self.axes._asdict().items()},
            **{f"kinetic.{name}": value for name, value in self.kinetic._asdict().items()},
            "cells": self.cells.table,
            **({"gate.train_MK": gate.train_MK, "gate.apart_M": gate.apart_M} if gate else {}),
            **(self.networks.tensors() if self.networks else {}),
        }

    @property
    def cell_names(self) -> tuple[str, ...]:
        """Names of the cells by their number."""
        return self.cells.names

    @property
    def cell_source(self) -> CellSource:
        """Model that puts windows in cells: a classifier or k-means."""
        return self.cells.source

    def describe(
        self, motions: MotionSet, *, spaces: Sequence[str] | None = None, device: torch.device | str = "cpu"
    ) -> Descriptors:
        """All that metrics may know of a set of windows.

        Args:
            motions: windows of T frames with the skeleton, frame rate and feature layout fitted to.
            spaces: the feature spaces wanted; all where None.
            device: where it is computed and stays.

        Raises:
            ExtractorError: the motion does not fit, or holds numbers that are not finite; says which.
            ValueError: there is no such feature space.
        """
        spaces = self.spaces if spaces is None else tuple(spaces)
        if unknown := set(spaces) - set(self.spaces):
            raise ValueError(f"no feature space {', '.join(sorted(unknown))}; there are {', '.join(self.spaces)}")
        self._check(motions)
        code = {take: number for number, take in enumerate(dict.fromkeys(motions.takes))}

        def to_kinetic(positions_NTJ3: Tensor) -> Tensor:
            return self.kinetic.apply(kinetics(positions_NTJ3, motions.spec))

        described = Descriptors(
            motion_NTD=motions.features_NTD.to(device),
            spec=motions.spec,
            take_N=torch.tensor([code[take] for take in motions.takes], dtype=torch.int64, device=device),
            cell_names=self.cell_names,
            nyquist_hz=motions.nyquist_hz,
            names=motions.names,
            to_kinetic=to_kinetic,
        )
        with torch.no_grad():
            judged = list(self._judge(described.motion_NTD, spaces))
            embeddings = {
                space: torch.cat([part.embeddings[space] for part in judged]) for space in judged[0].embeddings
            }
            if "kinetic" in spaces:
                embeddings["kinetic"] = to_kinetic(described.positions_NTJ3)
        return replace(
            described,
            embeddings={space: embeddings[space] for space in spaces},
            cell_N=_cat([part.cell_N for part in judged]),
            realistic_N=_cat([part.realistic_N for part in judged]),
        )

    def mismatch(self, spec: FeatureSpec, frames: int) -> str | None:
        """Explain why windows of another kind cannot be judged, or return None where they can.

        Args:
            spec: what their rows hold.
            frames: their length.
        """
        own = self.spec
        rest = spec.rest_array * (spec.metres_per_unit / own.metres_per_unit)
        if reason := own.mismatch(spec.skeleton(), rest):
            return reason
        if spec.frame_rate != own.frame_rate:
            return f"it has {spec.frame_rate:g} frames a second, not {own.frame_rate:g}"
        layout = ("moving_joint", "heading_axis", "velocities", "contact_groups")
        for name in layout:
            theirs, ours = getattr(spec, name), getattr(own, name)
            if theirs != ours:
                return f"its feature layout differs ({name} is {theirs}, not {ours})"
        if frames != self.frames:
            return f"its windows have {frames} frames, not {self.frames}"
        return None

    def _check(self, motions: MotionSet) -> None:
        if not len(motions):
            raise ExtractorError(None, "there is no window to describe")
        if reason := self.mismatch(motions.spec, motions.features_NTD.shape[1]):
            raise ExtractorError(None, f"the extractor does not fit this motion: {reason}")
        if motions.features_NTD.shape[2] != self.spec.width:
            raise ValueError(
                f"features of {motions.features_NTD.shape[2]} columns, but their spec has {self.spec.width}"
            )
        bad = (~motions.features_NTD.isfinite().flatten(1).all(1)).nonzero()[:, 0].tolist()
        if bad:
            named = list_first([motions.names[i] for i in bad], _NAMED)
            raise ExtractorError(None, f"{named}: holds numbers that are not finite")

    def _judge(self, motion_NTD: Tensor, spaces: Sequence[str]) -> Iterator[_Judged]:
        device = motion_NTD.device
        axes = self.axes.to(device)
        networks = self.networks.to(device) if self.networks else None
        gate = self.gate and self.gate.to(device)
        for block_NTD in torch.split(motion_NTD, _BLOCK):
            windows_NTD = self.normaliser.normalise(block_NTD)
            coordinates_NK, rest_N = axes.project(windows_NTD)
            embeddings = {"pca": coordinates_NK}
            cell_N = self.cells.nearest(coordinates_NK) if self.cells.source == "k-means" else None
            if networks and self.cells.source == "classifier":
                embeddings["classifier"], scores = networks.classify(windows_NTD)
                cell_N = self.cells.judge(scores)
            if networks and "autoencoder" in spaces:
                embeddings["autoencoder"] = networks.codes(windows_NTD)
            realistic_N = gate.passes(coordinates_NK, rest_N) if gate else None
            yield _Judged(embeddings, cell_N, realistic_N)


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None
