"""Mixture of probabilistic principal component analysers, learnt by expectation maximisation.

Shapes: B batch, N samples, T frames, D features, X = T * D numbers of a window, E axes, K components, Z latent
dimensions of each.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import EMConfig, Phase
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.gaussians import second_moments
from motionsynth.families.kmeans import kmeans
from motionsynth.families.mixture import Posterior, PPCAMixture
from motionsynth.families.ppca import noise_variance

__all__ = ["GMM"]

_EMPTY = 1e-12
"""A component answers for fewer windows than this: it is empty."""


class GMM(PPCAMixture):
    """``q(x) = sum_k w_k N(x | mu_k, P^T A_k A_k^T P + sigma_k^2 I)``, a mixture of PPCA on whole windows.

    ``P`` has E orthonormal rows: the leading principal axes of all windows, found in the first passes and shared. A
    component's own Z axes lie in their span, ``A_k = U_k (L_k - sigma_k^2 I)^(1/2)``; means and noise are those of
    all X numbers. So each M step is a closed form, the constrained maximum of the expected log-likelihood: ``U_k, L_k``
    are the leading eigenpairs of ``P S_k P^T``, and ``sigma_k^2`` is the rest of ``tr S_k`` over ``X - Z``. With one
    component it is PPCA; with as many axes as numbers and ``Z = X - 1`` a mixture of unconstrained Gaussians.

    Windows with padded frames are not learnt from; the density of one is the exact marginal of its frames.

    A component without windows keeps its place and shape with weight zero, which lowers no likelihood; the journal
    counts them. Noise does not fall below ``min_noise``, because the likelihood of a component on a few windows has no
    upper bound; the M step is the maximum under that bound too.

    References:
        Tipping & Bishop, Probabilistic Principal Component Analysis, 1999; Mixtures of Probabilistic Principal
        Component Analysers, 1999; Halko, Martinsson & Tropp, Finding Structure with Randomness, 2011, for the axes.
    """

    passes: Tensor

    SHOWS: ClassVar[tuple[str, ...]] = ("mean", "sample")
    """Both; ``config.sample_noise`` chooses the default."""

    class Config(EMConfig):
        """Settings of the mixture."""

        PHASES: ClassVar[tuple[str, ...]] = ()

        name: Literal["gmm"] = "gmm"
        components: int = Field(32, ge=1)
        """K; 1 is probabilistic PCA."""
        latent_dim: int = Field(16, ge=1)
        """Z, principal axes of each component; at most E, and fewer than the numbers of a window."""
        axes: int = Field(256, ge=1)
        """E, principal axes of all windows that components have theirs in; a window's numbers where those are fewer."""
        noise: Literal["own", "shared"] = "own"
        """Variance for what axes leave out: each component's ``own``, or one ``shared``."""
        min_noise: float = Field(0.01, gt=0)
        """Smallest standard deviation of that noise; in normalised units."""
        sample_noise: bool = False
        """Noise in samples. With it they follow the density exactly, and shake, as it is white; without
        it they are means given component and latent, as those of an autoencoder's decoder are."""
        axes_passes: int = Field(3, ge=1)
        """Passes that look for the axes, by subspace iteration."""
        start_windows: int = Field(16384, ge=1)
        """Windows that k-means looks at, at most; it is where the means start."""

        @property
        def least_passes(self) -> int:
            """Those for the axes, one for k-means, and one M step."""
            return self.axes_passes + 2

        @property
        def least_windows(self) -> int:
            """One for each component."""
            return self.components

        @property
        def least_windows_key(self) -> str:
            """Key that asks for so many."""
            return "family.components"

        @model_validator(mode="after")
        def _starts(self) -> Self:
            if self.components > self.start_windows:
                raise ValueError(f"{self.components} components cannot start from {self.start_windows} start_windows")
            return self

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape, config.components, config.latent_dim, config.axes)
        self.config = config
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases of gradient descent: none."""
        return ()

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        """(N, T, D) draws, with the density's noise where asked for; see ``Family.sample``."""
        shows = ("sample", "mean") if self.config.sample_noise else ("mean", "sample")
        self.refuse_draw(how, shows=shows)
        latent = self.sample_latent(count, generator=generator)
        component_N, latent_NZ = latent[:, 0].long(), latent[:, 1:]
        # by every component's axes and then one's own: less to hold than the axes of each draw
        inside_NKE = torch.einsum("nz,kez->nke", latent_NZ, self.loadings())
        inside_NE = inside_NKE[torch.arange(count, device=component_N.device), component_N]
        x_NX = self.mean_KX[component_N] + inside_NE @ self.axes_EX
        if (how.show or shows[0]) == "sample":
            noise_NX = torch.randn(x_NX.shape, generator=generator, device=generator.device, dtype=x_NX.dtype)
            x_NX = x_NX + self.noise_K[component_N, None].sqrt() * noise_NX
        return x_NX.reshape(count, self.shape.frames, self.shape.features)[:, : how.frames].float()

    # learning: passes for the axes, one for k-means, then expectation maximisation

    @property
    def _stage(self) -> Literal["axes", "means", "em"]:
        left = self.config.axes_passes - int(self.passes)
        return "axes" if left > 0 else "means" if left == 0 else "em"

    @property
    def learnt(self) -> bool:
        """True after an M step; see ``LearnsByEM``."""
        return int(self.passes) > self.config.axes_passes + 1

    @property
    def rows(self) -> dict[str, int]:
        """The points that k-means looks at; see ``KeepsRows``."""
        return {"point_ME": self.config.start_windows}

    def new_statistics(self) -> dict[str, Tensor]:
        """Zeros; see ``LearnsByEM``. Sums over the windows without padded frames."""
        components, (axes, size) = self.config.components, self.axes_EX.shape
        shapes: dict[str, tuple[int, ...]] = {"windows": (), "padded": ()}
        shapes |= {
            "axes": {"sum_X": (size,), "product_EX": (axes, size)},
            "means": {"sum_X": (size,), "square": (), "point_ME": (0, axes), "inside_EE": (axes, axes)},
            "em": {
                "log_likelihood": (),
                "mass_K": (components,),
                "sum_KX": (components, size),
                "square_K": (components,),
                "inside_KEE": (components, axes, axes),
            },
        }[self._stage]
        device = self.axes_EX.device
        return {name: torch.zeros(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()}

    def accumulate(self, batch: Batch, statistics: dict[str, Tensor]) -> None:
        """E step of a batch; see ``LearnsByEM``."""
        full_B = batch.mask_BT.all(1)
        statistics["windows"] += full_B.sum()
        statistics["padded"] += (~full_B).sum()
        row_R = full_B.nonzero().flatten()
        if self._stage == "em":
            self._add_shares(self.posterior(batch, row_R, full_B.new_ones(self.shape.frames)), statistics)
            return
        x_RX = batch.motion_BTD[row_R].flatten(1).double()
        inside_RE = x_RX @ self.axes_EX.T
        statistics["sum_X"] += x_RX.sum(0)
        if self._stage == "axes":
            statistics["product_EX"] += inside_RE.T @ x_RX
            return
        statistics["square"] += x_RX.square().sum()
        statistics["inside_EE"] += inside_RE.T @ inside_RE
        room = self.config.start_windows - len(statistics["point_ME"])
        statistics["point_ME"] = torch.cat((statistics["point_ME"], inside_RE[:room]))

    def _add_shares(self, posterior: Posterior, statistics: dict[str, Tensor]) -> None:
        x_RX, inside_RE = posterior.x_BX, posterior.inside_BE
        density_R = posterior.joint_BK.logsumexp(1)
        share_RK = (posterior.joint_BK - density_R[:, None]).exp()
        statistics["log_likelihood"] += density_R.sum()
        statistics["mass_K"] += share_RK.sum(0)
        statistics["sum_KX"] += share_RK.T @ x_RX
        statistics["square_K"] += share_RK.T @ x_RX.square().sum(1)
        statistics["inside_KEE"] += second_moments(inside_RE, share_RK, statistics["inside_KEE"])

    def maximise(self, statistics: dict[str, Tensor], *, generator: torch.Generator) -> dict[str, float]:
        """M step, or a step of the start; see ``LearnsByEM``."""
        if not statistics["windows"]:
            raise ValueError("every window has padded frames, and the mixture learns from whole ones alone")
        stage = self._stage
        terms = {"padded_windows": float(statistics["padded"])}
        if stage == "axes":
            self._find_axes(statistics)
        elif stage == "means":
            terms |= self._find_means(statistics, generator)
        else:
            terms |= self._fit(statistics)
        self.passes += 1
        return terms

    def _find_axes(self, statistics: dict[str, Tensor]) -> None:
        """Subspace iteration: the axes become an orthonormal basis of ``S P^T``."""
        sum_X, product_EX = statistics["sum_X"], statistics["product_EX"]
        centred_EX = product_EX - torch.outer(self.axes_EX @ sum_X, sum_X / statistics["windows"])
        self.axes_EX.copy_(torch.linalg.qr(centred_EX.T).Q.T)

    def _find_means(self, statistics: dict[str, Tensor], generator: torch.Generator) -> dict[str, float]:
        """Round components of one size at the centres of k-means."""
        count, point_ME = statistics["windows"], statistics["point_ME"]
        clusters = kmeans(point_ME, self.config.components, generator=generator)
        mean_X = statistics["sum_X"] / count
        centre_E = self.axes_EX @ mean_X
        self.mean_KX.copy_(mean_X + (clusters.centre_KE - centre_E) @ self.axes_EX)
        size_K = torch.bincount(clusters.index_M, minlength=self.config.components)
        self.weight_K.copy_(size_K.double() / len(point_ME))
        total = float(statistics["square"] / count - mean_X.square().sum())
        inside = float(statistics["inside_EE"].trace() / count - centre_E.square().sum())
        within = clusters.inertia / len(point_ME) + max(0.0, total - inside)
        noise = max(within / self.size, self.config.min_noise**2)
        self.noise_K.fill_(noise)
        self.variance_KZ.fill_(noise)
        return {"axes_variance": inside / total if total > 0 else 1.0, "start_sigma": math.sqrt(noise)}

    def _fit(self, statistics: dict[str, Tensor]) -> dict[str, float]:
        """The maximum of the expected log-likelihood; a component without windows stays as it is, with weight zero."""
        mass_K = statistics["mass_K"]
        alive_K, share_K = mass_K > _EMPTY, mass_K.clamp(min=_EMPTY)
        mean_KX = statistics["sum_KX"] / share_K[:, None]
        centre_KE = mean_KX @ self.axes_EX.T
        spread_KEE = statistics["inside_KEE"] / share_K[:, None, None] - centre_KE[:, :, None] * centre_KE[:, None]
        trace_K = statistics["square_K"] / share_K - mean_KX.square().sum(1)
        value_KE, vector_KEE = torch.linalg.eigh(spread_KEE)
        value_KZ = value_KE[:, -self.config.latent_dim :].clamp(min=0)
        shared = mass_K * alive_K if self.config.noise == "shared" else None
        noise_K = noise_variance(value_KZ, trace_K.clamp(min=0), self.size, shared).clamp(min=self.config.min_noise**2)
        self.weight_K.copy_(mass_K * alive_K / (mass_K * alive_K).sum())
        for parameter, value in (
            (self.mean_KX, mean_KX),
            (self.direction_KEZ, vector_KEE[:, :, -self.config.latent_dim :]),
            (self.variance_KZ, torch.maximum(value_KZ, noise_K[:, None])),
            (self.noise_K, noise_K),
        ):
            parameter[alive_K] = value[alive_K]
        return {
            "sigma": float((self.weight_K * self.noise_K).sum().sqrt()),
            "smallest_component": float(mass_K[alive_K].min()),
            "empty_components": float((~alive_K).sum()),
            "components_at_min_noise": float((alive_K & (noise_K <= self.config.min_noise**2)).sum()),
        }
