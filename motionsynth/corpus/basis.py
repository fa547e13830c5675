"""A fixed linear basis of whole windows: the few hundred numbers of a window that move joints and feet.

A window is taken apart into bands of frequency by the modes of a free bar over time, and in each band into principal
components, in a metric that weighs every feature by how far it moves joints and feet. What is in none of the components
is jitter: no model that writes coefficients can make it. The basis belongs to the corpus as the normaliser does: it is
fitted once on the training windows and is the same for every family.

Shapes: N windows, T frames, D features, F = T modes over time, K coefficients, J joints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import torch
from torch import Tensor

from motionsynth.corpus.motion_metric import MotionMetric, bin_hz
from motionsynth.corpus.windows import WindowSet
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec

__all__ = ["WindowBasis", "free_modes"]

_MOST: Final = 16_384
"""Windows that components are fitted to at most, evenly from all; fewer make components that fit other takes worse."""
_JUDGED: Final = 4096
"""Windows that the share of variance kept is measured on at most."""
_EXACT: Final = 2048
"""Numbers in a band up to which its components are found exactly."""
_LEAST: Final = 1e-12
"""Share of the largest variance below which a component is rounding."""
_BLOCK: Final = 1024
"""Windows mapped at a time."""
_KEPT: Final = 2**28
"""Coefficients of a training, a gibibyte, up to which they are computed once and not for each batch."""


DEFAULT_METRIC: Final = MotionMetric()


@dataclass(frozen=True, eq=False)
class WindowBasis:
    """``x = mean + C^T (c S A / W)``: coefficients c of windows x, and back by ``c = ((C x - mean) W) A^T / S``.

    C has the orthonormal modes over time, W is the metric, A orthonormal rows, a block for each band of frequency, and
    S the units of the coefficients. Where all components are kept, the two are inverses.

    Args:
        modes_FT: C.
        mean_FD: mean of the training windows in these modes.
        weight_FD: W.
        axes: A of each band, (K_b, F_b D); bands lie one after the other and fill F.
        unit_K: S.
        deviation_K: standard deviation of each coefficient over the training windows.
        kept: share of the training windows' variance that the components keep: of features, and in the metric.
    """

    modes_FT: Tensor
    mean_FD: Tensor
    weight_FD: Tensor
    axes: tuple[Tensor, ...]
    unit_K: Tensor
    deviation_K: Tensor
    kept: Mapping[str, float]
    _maps: dict[torch.device, tuple[Tensor, list[tuple[slice, Tensor, Tensor]]]] = field(
        default_factory=dict, repr=False, init=False
    )

    @classmethod
    def fit(
        cls,
        windows: WindowSet,
        spec: FeatureSpec,
        normaliser: Normaliser,
        *,
        components: int,
        bands_hz: Sequence[float] = (2.0, 5.0),
        metric: MotionMetric | None = DEFAULT_METRIC,
        whitening: float = 0.5,
    ) -> Self:
        """Fit to the whole windows of a training split.

        Of all bands' components those with the largest variance in the metric are kept, so that the bands share
        ``components`` out between them. They are fewer where N windows differ in fewer directions, N - 1 at most.

        Args:
            windows: normalised.
            spec: what a row holds.
            normaliser: of the features.
            components: K, at most.
            bands_hz: frequencies that part the bands, rising.
            metric: what an error counts; None for the plain one of normalised features.
            whitening: power of its standard deviation that a coefficient is divided by: 0 keeps the coefficients'
                own scale, 1 makes them alike.

        Raises:
            ValueError: there are no two whole windows that differ, or bands are not rising.
        """
        whole = windows.subset(windows.whole_N)
        sample_NTD = whole.even(_MOST).as_batch().motion_BTD.cpu()  # all that is ever gathered at once
        frames, features = windows.size
        if list(bands_hz) != sorted(set(bands_hz)):
            raise ValueError(f"bands_hz: {list(bands_hz)} must rise")
        if len(whole) < 2 or not (sample_NTD - sample_NTD[0]).any():
            raise ValueError(f"a basis needs two whole windows that differ; of {len(whole)} no two do")
        components = min(components, len(whole) - 1)
        weight_FD = metric.weights(spec, normaliser, whole) if metric else torch.ones(frames, features)
        modes_FT = free_modes(frames)
        bins_NFD = modes_FT @ sample_NTD
        mean_FD = bins_NFD.mean(0)
        off_NFD = bins_NFD.sub_(mean_FD).mul_(weight_FD)
        cuts = torch.bucketize(torch.tensor(list(bands_hz)), bin_hz(frames, spec.frame_rate)).tolist()
        bands = [slice(a, b) for a, b in zip([0, *cuts], [*cuts, frames], strict=True) if b > a]
        found = [_principal_axes(off_NFD[:, band].flatten(1), components) for band in bands]
        variance = torch.cat([value for value, _ in found]).sort(descending=True).values
        least = max(variance[:components][-1], variance[0] * _LEAST)
        axes = tuple(rows[value >= least] for value, rows in found)
        deviation_K = torch.cat([value[value >= least] for value, _ in found]).sqrt()
        unit_K = deviation_K**whitening
        unit_K = unit_K * (deviation_K / unit_K).square().mean().sqrt()  # inputs of networks: unit variance on average
        basis = cls(modes_FT, mean_FD, weight_FD, axes, unit_K, deviation_K / unit_K, {})
        judged = slice(None, None, math.ceil(len(off_NFD) / _JUDGED))
        off_NFD, back_NTD = off_NFD[judged], basis.decode(basis.encode(sample_NTD[judged]))
        rest_NFD = off_NFD - (modes_FT @ back_NTD - mean_FD) * weight_FD
        plain = (rest_NFD / weight_FD).square().sum() / (off_NFD / weight_FD).square().sum()
        kept = {
            "features": 1 - float(plain),
            "motion": 1 - float(rest_NFD.square().sum() / off_NFD.square().sum()),
        }
        return replace(basis, kept=kept)

    @property
    def frames(self) -> int:
        """T."""
        return self.mean_FD.shape[0]

    @property
    def features(self) -> int:
        """D."""
        return self.mean_FD.shape[1]

    @property
    def size(self) -> int:
        """K."""
        return len(self.unit_K)

    def encode(self, motion_NTD: Tensor, mask_NT: Tensor | None = None) -> Tensor:
        """Find the coefficients of windows.

        Of a window with padded frames, which are its last, they are those that fit the frames that are there best, in
        the metric, under a normal prior of the training windows' spread.

        Args:
            motion_NTD: normalised features.
            mask_NT: False on padded frames; None where there are none.

        Returns:
            (N, 1, K) of the type of the windows.

        Raises:
            ValueError: the windows are not of the size fitted to.
        """
        if motion_NTD.shape[1:] != (self.frames, self.features):
            raise ValueError(f"windows of {tuple(motion_NTD.shape[1:])} do not fit a basis of {self.mean_FD.shape}")
        parts = [self._analysed(part) for part in torch.split(motion_NTD, _BLOCK)]
        coded_N1K = (torch.cat(parts) if parts else motion_NTD.new_zeros(0, self.size))[:, None]
        if mask_NT is not None and not bool(mask_NT.all()):
            short_N = (~mask_NT.all(1)).nonzero()[:, 0]
            short = WindowSet.of(motion_NTD[short_N], mask_NT[short_N], {}, short_N, short_N, ())
            coded_N1K[short_N] = self._fitted(short)[:, None]
        return coded_N1K

    def decode(self, coded_N1K: Tensor) -> Tensor:
        """(N, 1, K) coefficients -> (N, T, D) normalised features."""
        modes_FT, bands = self._on(coded_N1K.device)
        coded_NK = coded_N1K.flatten(1)
        mean_FD = self.mean_FD.to(coded_NK)
        done, parts = 0, []
        for band, _, synthesis_KX in bands:
            size = len(synthesis_KX)
            part_NX = coded_NK[:, done : done + size] @ synthesis_KX.to(coded_NK.dtype)
            parts.append(part_NX.view(len(part_NX), band.stop - band.start, self.features))
            done += size
        bins_NFD = torch.cat(parts, 1) + mean_FD
        return torch.matmul(modes_FT.T.to(coded_NK.dtype), bins_NFD)

    def account(self, asked: int) -> str:
        """A line of how many components there are, of so many asked for, and what they keep."""
        fewer = f" ({asked} were asked for; there are too few whole windows)" if self.size < asked else ""
        kept = " and ".join(f"{100 * share:.1f} % of the variance of {name}" for name, share in self.kept.items())
        return f"basis: {self.size} components{fewer} keep {kept}"

    def project(self, windows: WindowSet) -> WindowSet:
        """The same windows as coefficients: one frame of K features each, none padded.

        They are computed at once where they are at most ``_KEPT`` numbers, and else batch by batch, which rounds
        otherwise, as products of matrices do at other sizes. Which it is depends on the windows alone.
        """
        short = windows.subset(~windows.whole_N)
        coded_SK = self._fitted(short)
        if len(windows) * self.size > _KEPT:
            rows_FD = windows.rows_FD
            if len(short):  # their frames become those of their coefficients, so that encoding finds these
                row_ST = short.row_N[:, None] + torch.arange(self.frames, device=short.device)
                rows_FD = rows_FD.index_copy(0, row_ST.flatten(), self.decode(coded_SK[:, None]).flatten(0, 1))
            return replace(
                windows, rows_FD=rows_FD, length_N=torch.full_like(windows.length_N, self.frames), basis=self
            )
        coded_NK = windows.rows_FD.new_empty(len(windows), self.size)
        for part_NK, batch in zip(torch.split(coded_NK, _BLOCK), windows.batches(_BLOCK), strict=True):
            part_NK.copy_(self._analysed(batch.motion_BTD))
        coded_NK[~windows.whole_N] = coded_SK
        mask_N1 = torch.ones(len(windows), 1, dtype=torch.bool, device=windows.device)
        return WindowSet.of(coded_NK[:, None], mask_N1, windows.labels, windows.clip_N, windows.start_N, windows.clips)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors by name for a safetensors file; :meth:`from_tensors` reads them back."""
        kept = torch.tensor([self.kept.get(name, math.nan) for name in ("features", "motion")], dtype=torch.float64)
        return {
            "modes_FT": self.modes_FT,
            "mean_FD": self.mean_FD,
            "weight_FD": self.weight_FD,
            "unit_K": self.unit_K,
            "deviation_K": self.deviation_K,
            "kept": kept,
            **{f"axes.{number}": rows for number, rows in enumerate(self.axes)},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], size: tuple[int, int] | None = None) -> Self:
        """Rebuild from :meth:`tensors`.

        Args:
            tensors: by name.
            size: T and D that it must have; any where None.

        Raises:
            ValueError: a tensor is missing or does not fit.
        """
        missing = {"modes_FT", "mean_FD", "weight_FD", "unit_K", "deviation_K", "kept", "axes.0"} - set(tensors)
        if missing:
            raise ValueError(f"not a basis: lacks {', '.join(sorted(missing))}")
        axes = tuple(tensors[f"axes.{n}"] for n in range(sum(name.startswith("axes.") for name in tensors)))
        mean_FD, unit_K = tensors["mean_FD"], tensors["unit_K"]
        if size not in (None, tuple(mean_FD.shape)):
            raise ValueError(f"a basis of windows of {tuple(mean_FD.shape)} numbers, not {size}")
        rows, columns = sum(map(len, axes)), sum(part.shape[1] for part in axes)
        if tensors["modes_FT"].shape != (len(mean_FD), len(mean_FD)):
            raise ValueError(f"not a basis: modes {tuple(tensors['modes_FT'].shape)} for {len(mean_FD)} frames")
        if columns != mean_FD.numel() or rows != len(unit_K) or not (unit_K > 0).all():
            raise ValueError(f"not a basis: axes of {rows} by {columns} for {len(unit_K)} coefficients")
        kept = dict(zip(("features", "motion"), tensors["kept"].tolist(), strict=True))
        return cls(tensors["modes_FT"], mean_FD, tensors["weight_FD"], axes, unit_K, tensors["deviation_K"], kept)

    def _analysed(self, motion_NTD: Tensor) -> Tensor:
        """(N, K) coefficients of windows without padded frames."""
        modes_FT, bands = self._on(motion_NTD.device)
        bins_NFD = torch.matmul(modes_FT.to(motion_NTD.dtype), motion_NTD) - self.mean_FD.to(motion_NTD)
        parts = [bins_NFD[:, band].flatten(1) @ analysis_KX.T.to(bins_NFD.dtype) for band, analysis_KX, _ in bands]
        return torch.cat(parts, 1)

    def _fitted(self, windows: WindowSet) -> Tensor:
        """(N, K) coefficients by regularised least squares over the frames of each window that are there."""
        cosine_FT, bands = self._on(windows.device)
        time_TF = cosine_FT.T.double()
        weight_D = self.weight_FD.square().mean(0).sqrt().to(time_TF)
        parts = [
            time_TF[:, band] @ synthesis_KX.double().view(-1, band.stop - band.start, self.features)
            for band, _, synthesis_KX in bands
        ]
        rows_KTD = torch.cat(parts) * weight_D
        mean_TD = time_TF @ self.mean_FD.to(time_TF)
        deviation_K = self.deviation_K.to(time_TF)
        # what the components leave out is the noise of the fit, spread evenly over the numbers of a window
        total = (deviation_K * self.unit_K.to(time_TF)).square().sum()
        noise = total * max(1e-6, 1 - self.kept.get("motion", 1.0)) / self.mean_FD.numel()
        scatter_KK = torch.diag(noise / deviation_K.square())
        coded_NK, start = windows.rows_FD.new_empty(len(windows), self.size), 0
        for frames in sorted(set(windows.length_N.tolist())):  # each length adds its further frames to the scatter
            rows_KX = rows_KTD[:, start:frames].flatten(1)
            scatter_KK = torch.addmm(scatter_KK, rows_KX, rows_KX.T)
            here_N, start = windows.length_N == frames, frames
            off_NTD = (windows.subset(here_N).as_batch().motion_BTD - mean_TD) * weight_D
            seen_KN = rows_KTD[:, :frames].flatten(1) @ off_NTD[:, :frames].flatten(1).T
            coded_NK[here_N] = torch.linalg.solve(scatter_KK, seen_KN).T.to(coded_NK.dtype)
        return coded_NK

    def _on(self, device: torch.device) -> tuple[Tensor, list[tuple[slice, Tensor, Tensor]]]:
        """The modes over time, and of each band its bins, its map to coefficients and its map back, on a device."""
        if device not in self._maps:
            bands, start, done = [], 0, 0
            for axes_KX in self.axes:
                stop = start + axes_KX.shape[1] // self.features
                weight_X = self.weight_FD[start:stop].flatten()
                unit_K1 = self.unit_K[done : done + len(axes_KX), None]
                maps = (axes_KX * weight_X / unit_K1, axes_KX / weight_X * unit_K1)
                bands.append((slice(start, stop), maps[0].to(device), maps[1].to(device)))
                start, done = stop, done + len(axes_KX)
            self._maps[device] = self.modes_FT.to(device), bands
        return self._maps[device]


def free_modes(frames: int) -> Tensor:
    """(F, T) orthonormal modes of a bar with free ends, from slow to fast: mode k crosses zero k times.

    They are the eigenvectors of ``D^T D``, D the second differences: a constant, a slope, and then waves whose ends
    bend nowhere. Motion does not stop at the ends of a window, and a cosine transform, whose waves have no slope there,
    needs fast waves for it.
    """
    bend_TT = torch.eye(frames, dtype=torch.float64).diff(n=2, dim=0)
    modes_FT = torch.linalg.eigh(bend_TT.T @ bend_TT).eigenvectors.T
    modes_FT[:2] = torch.stack((torch.ones(frames), torch.linspace(1, -1, frames)))  # eigenvalue 0: any turn of the two
    modes_FT = torch.nn.functional.normalize(modes_FT)
    return (modes_FT * modes_FT[:, :1].sign()).float()


def _principal_axes(off_NX: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Variances and (K, X) orthonormal axes of centred rows, by falling variance.

    Exact where X is small, else randomised with a fixed seed.
    """
    count = min(components, *off_NX.shape)
    if off_NX.shape[1] <= _EXACT:
        rows_NX = off_NX.double()
        value_X, vector_XX = torch.linalg.eigh(rows_NX.T @ rows_NX / len(rows_NX))
        return value_X[-count:].flip(0).clamp(min=0).float(), vector_XX[:, -count:].flip(1).T.float().contiguous()
    from sklearn.utils.extmath import randomized_svd

    _, singular, axes = randomized_svd(off_NX.numpy(), count, n_iter=2, power_iteration_normalizer="QR", random_state=0)
    return torch.from_numpy(singular).square() / len(off_NX), torch.from_numpy(axes.copy())
