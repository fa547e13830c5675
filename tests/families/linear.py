"""A linear-Gaussian model in the place of a family's networks, where everything has a closed form.

``z ~ N(0, I)``, ``x = W z + b + N(0, sigma^2 I)`` over the X = T D numbers of a window; the encoder is
``N(A x + c, diag(s^2))``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.variational import GaussianFamily

SHAPE = MotionShape(frames=4, features=3, labels={})
LATENTS = 2
SIGMA = 0.5


class LinearDecoder(nn.Module):
    longest = SHAPE.frames

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(LATENTS, SHAPE.frames * SHAPE.features)

    def forward(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        return self.map(z_BZ).unflatten(1, (SHAPE.frames, SHAPE.features))


class LinearEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(SHAPE.frames * SHAPE.features, LATENTS)
        self.log_variance_Z = nn.Parameter(torch.zeros(LATENTS))

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        mean_BZ = self.map(motion_BTD.flatten(1))
        return torch.cat((mean_BZ, self.log_variance_Z.expand_as(mean_BZ)), 1)


class Linear:
    """A family made linear, with weights at random, and what is known of it.

    Args:
        cls: which family.
        exact: whether its encoder is the true posterior: then its columns of ``W`` are orthogonal.
    """

    def __init__(self, cls: type[GaussianFamily], *, exact: bool = False) -> None:
        torch.manual_seed(0)
        sigma = {"kind": "fixed", "value": SIGMA}
        self.family = cls(
            cls.Config.model_validate(
                {"latent_dim": LATENTS, "sigma": sigma, "backbone": {"kind": "conv", "widths": (4,)}}
            ),
            SHAPE,
        )
        self.family.decoder, self.family.encoder = LinearDecoder(), LinearEncoder()
        size = SHAPE.frames * SHAPE.features
        weight_XZ = torch.randn(size, LATENTS)
        if exact:
            weight_XZ = torch.linalg.qr(weight_XZ)[0] * torch.tensor([1.0, 2.0])
        self.weight_XZ, self.offset_X = weight_XZ, torch.randn(size)
        precision_ZZ = torch.eye(LATENTS) + weight_XZ.T @ weight_XZ / SIGMA**2
        slope_ZX = torch.linalg.solve(precision_ZZ, weight_XZ.T) / SIGMA**2
        scale = 1.0 if exact else 0.8
        with torch.no_grad():
            self.family.decoder.map.weight.copy_(weight_XZ)
            self.family.decoder.map.bias.copy_(self.offset_X)
            self.family.encoder.map.weight.copy_(scale * slope_ZX)
            self.family.encoder.map.bias.copy_(-scale * slope_ZX @ self.offset_X)
            self.family.encoder.log_variance_Z.copy_(-precision_ZZ.diagonal().log() + (0.0 if exact else 0.5))
        self.batch = self._draw(32)

    def _draw(self, count: int) -> Batch:
        generator = torch.Generator().manual_seed(1)
        z_BZ = torch.randn(count, LATENTS, generator=generator)
        noise_BX = SIGMA * torch.randn(count, len(self.offset_X), generator=generator)
        x_BX = z_BZ @ self.weight_XZ.T + self.offset_X + noise_BX
        mask_BT = torch.ones(count, SHAPE.frames, dtype=torch.bool)
        return Batch(x_BX.unflatten(1, (SHAPE.frames, SHAPE.features)), mask_BT, {})

    @property
    def evidence_B(self) -> Tensor:
        """log q(x), by the density of the marginal."""
        covariance = self.weight_XZ @ self.weight_XZ.T + SIGMA**2 * torch.eye(len(self.offset_X))
        marginal = MultivariateNormal(self.offset_X.double(), covariance.double())
        return marginal.log_prob(self.batch.motion_BTD.flatten(1).double())

    @property
    def elbo_B(self) -> Tensor:
        """``E_q(z|x)[log q(x|z)] - KL``, with the expectation of the square in closed form."""
        mean_BZ, log_variance_BZ = (part.detach().double() for part in self.family.posterior(self.batch))
        x_BX, weight_XZ = self.batch.motion_BTD.flatten(1).double(), self.weight_XZ.double()
        square_B = (x_BX - self.offset_X - mean_BZ @ weight_XZ.T).square().sum(1)
        square_B = square_B + (weight_XZ.square().sum(0) * log_variance_BZ.exp()).sum(1)
        size = x_BX.shape[1]
        likelihood_B = -0.5 * (size * torch.log(torch.tensor(2 * torch.pi * SIGMA**2).double()) + square_B / SIGMA**2)
        kl_B = 0.5 * (mean_BZ.square() + log_variance_BZ.exp() - 1 - log_variance_BZ).sum(1)
        return likelihood_B - kl_B
