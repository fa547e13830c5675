"""All that a metric may know of a set of windows, computed once.

Shapes: N windows, T frames, J joints, D features, E size of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from motionsynth.features.geometry import joint_positions_m
from motionsynth.features.spec import FeatureSpec

__all__ = ["Descriptors"]


@dataclass(frozen=True, eq=False)
class Descriptors:
    """A set of windows as metrics see it: positions, cells, realism and embeddings.

    What a metric computes window by window it asks for by :meth:`per_window`, which computes it once for the whole set
    and hands subsets their rows: so an interval from hundreds of resamples costs hundreds of averages, not of spectra.

    Args:
        motion_NTD: float32 features in physical units; of a subset those of the whole set: ask ``features_NTD``.
        spec: what a row holds: joints, parents, foot joints, frame rate.
        take_N: int64; windows with the same number are of one take, and are resampled together.
        embeddings: name of a feature space -> (N, E) float32.
        cell_N: int64 cell (content x style, or a k-means cell) that the judge puts each window in; None without judge.
        cell_names: names of the cells by their number.
        realistic_N: bool, whether the realism gate lets a window count; None without gate.
        nyquist_hz: highest frequency that the motion can hold.
        names: readable names of the windows.
        to_kinetic: (N, T, J, 3) positions in metres to the space ``kinetic``; None without judge.
    """

    motion_NTD: Tensor
    spec: FeatureSpec
    take_N: Tensor
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)
    cell_N: Tensor | None = None
    cell_names: tuple[str, ...] = ()
    realistic_N: Tensor | None = None
    nyquist_hz: float = float("inf")
    names: tuple[str, ...] = ()
    to_kinetic: Callable[[Tensor], Tensor] | None = None
    _measured: dict[object, Tensor] = field(default_factory=dict, repr=False)
    _whole: tuple[Descriptors, Tensor] | None = field(default=None, repr=False)
    """Whole set of a subset, and the numbers of its windows; None for a whole set."""

    def __len__(self) -> int:
        return len(self.take_N)

    @property
    def whole(self) -> Descriptors:
        """The set that this is a subset of; itself where it is none."""
        return self if self._whole is None else self._whole[0]

    @property
    def moving_joints(self) -> list[int]:
        """Indices of the joints that move: the moving joint, then all below it."""
        return [self.spec.moving_joint, *self.spec.joints_below]

    @property
    def features_NTD(self) -> Tensor:
        """Float32 features in physical units."""
        return self.motion_NTD if self._whole is None else self.motion_NTD[self._whole[1]]

    @property
    def positions_NTJ3(self) -> Tensor:
        """World positions of all J joints in metres, y up, from the origin, facing +Z at first."""
        return self.per_window(_positions)

    def per_window(self, compute: Callable[[Descriptors], Tensor]) -> Tensor:
        """(N, ...) what ``compute`` gives for these windows, computed once for the whole set that they are part of.

        Args:
            compute: a module-level function (it is the key) of descriptors to (N, ...), window by window independent.
        """
        if self._whole is not None:
            whole, index_N = self._whole
            return whole.per_window(compute)[index_N]
        if compute not in self._measured:
            self._measured[compute] = compute(self)
        return self._measured[compute]

    def subset(self, index_N: Tensor) -> Descriptors:
        """The windows at those indices, which may repeat."""
        whole, index_of_whole_N = self._whole or (self, None)
        return replace(
            self,
            take_N=self.take_N[index_N],
            embeddings={name: value[index_N] for name, value in self.embeddings.items()},
            cell_N=None if self.cell_N is None else self.cell_N[index_N],
            realistic_N=None if self.realistic_N is None else self.realistic_N[index_N],
            names=tuple(self.names[i] for i in index_N.tolist()) if self.names else (),
            _measured={},
            _whole=(whole, index_N if index_of_whole_N is None else index_of_whole_N[index_N]),
        )

    def to(self, device: torch.device | str) -> Descriptors:
        """The same set on another device; nothing measured comes along."""
        return replace(
            self,
            motion_NTD=self.features_NTD.to(device),
            take_N=self.take_N.to(device),
            embeddings={name: value.to(device) for name, value in self.embeddings.items()},
            cell_N=None if self.cell_N is None else self.cell_N.to(device),
            realistic_N=None if self.realistic_N is None else self.realistic_N.to(device),
            _measured={},
            _whole=None,
        )


def _positions(windows: Descriptors) -> Tensor:
    return joint_positions_m(windows.features_NTD, windows.spec)
