"""InfoGAN: an adversarial network some of whose latents, its codes, can be told from the motion that it makes.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions, C numbers in codes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import build_encoder
from motionsynth.families.base import Loss, Phase, StepContext
from motionsynth.families.capabilities import LatentCode
from motionsynth.families.gan import AdversarialConfig, AdversarialFamily
from motionsynth.settings import FrozenConfig

__all__ = ["InfoGAN"]

_UNIFORM_ENTROPY = math.log(2)
_UNIFORM_VARIANCE = 1 / 3
_LOG_VARIANCE = (-4.0, 2.0)


class CodesConfig(FrozenConfig):
    """The latents that are to be recovered; the others are noise, drawn from N(0, I)."""

    continuous: int = Field(2, ge=0)
    """Codes that are uniform in [-1, 1]."""
    categorical: tuple[Annotated[int, Field(ge=2)], ...] = (8,)
    """Classes of each code that is one of several, all alike likely."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.width:
            raise ValueError("there is no code to recover, which is the family gan")
        return self

    @property
    def width(self) -> int:
        """C, numbers of a latent that are codes."""
        return self.continuous + sum(self.categorical)

    def layout(self) -> tuple[LatentCode, ...]:
        """The codes in their places: categorical ones first."""
        codes, start = [], 0
        for index, size in enumerate(self.categorical):
            codes.append(LatentCode(f"categorical_{index}", "categorical", slice(start, start + size)))
            start += size
        for index in range(self.continuous):
            codes.append(LatentCode(f"continuous_{index}", "continuous", slice(start, start + 1)))
            start += 1
        return tuple(codes)


class InfoGAN(AdversarialFamily):
    """``generator and Q: min L_G - weight L_I``, ``L_I = E_{c, x ~ G(z, c)}[log Q(c|x)] + H(c) <= I(c; G(z, c))``.

    The codes c are the first numbers of a latent, noise the others. ``Q(c|x)``, the recogniser, is a network by itself:
    a softmax for each categorical code, ``N(mean(x), variance(x))`` for each continuous one. Both move in the phase
    ``generator``; the critic knows nothing of codes. What is recovered is the codes alone, never the noise, so that a
    clip has no latent here: ``recognise`` instead of ``encode``.

    References:
        Chen et al., InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial
        Nets, 2016, equations 4 to 6. Their Q shares its trunk with the critic.
    """

    class Config(AdversarialConfig):
        """Settings of the adversarial network with codes."""

        name: Literal["infogan"] = "infogan"
        codes: CodesConfig = CodesConfig()
        """The latents that are to be recovered."""
        information: float = Field(0.1, ge=0)
        """Weight of the bound on the mutual information."""

        @model_validator(mode="after")
        def _noise_left(self) -> Self:
            if self.codes.width > self.latent_dim:
                raise ValueError(
                    f"codes: take {self.codes.width} numbers, but a latent has latent_dim {self.latent_dim}"
                )
            return self

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.information, self._codes = config.information, config.codes.layout()
        # a softmax takes a number a class, a Gaussian two
        outputs = config.codes.width + config.codes.continuous
        self.recogniser = build_encoder(config.backbone, shape, outputs, side=self.condition.width)

    @property
    def latent_codes(self) -> tuple[LatentCode, ...]:
        """The codes, in the order in which they stand; see ``HasCodes``."""
        return self._codes

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic learns to classify; the generator to fool it and, with the recogniser, to be understood."""
        critic, generator = super().phases
        return critic, replace(generator, trains=("generator", "recogniser"))

    @property
    def priors(self) -> tuple[str, ...]:
        """One: the codes' own distributions beside N(0, I)."""
        return ("codes",)

    def draw_latent(self, count: int, context: StepContext) -> Tensor:
        """(B, Z) codes and noise."""
        parts = []
        for code in self.latent_codes:
            if code.kind == "categorical":
                class_B = context.integers(code.size, count)
                parts.append(torch.eye(code.size, device=class_B.device)[class_B])
            else:
                parts.append(2 * context.uniform(count, code.size) - 1)
        drawn = sum(code.size for code in self.latent_codes)
        return torch.cat((*parts, context.normal(count, self.latent_dim - drawn)), 1)

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, Z) codes and noise."""
        return self.draw_latent(count, StepContext(0, 0.0, generator))

    def generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Fool the critic with windows that the codes can be told from."""
        z_BZ = self.draw_latent(len(batch.motion_BTD), context)
        loss, fake_BTD = self.fooling_loss(z_BZ, batch, context)
        out_BO = self.recogniser(fake_BTD, batch.mask_BT, self.condition.of(batch))
        information, terms = self._information(out_BO, z_BZ)
        total = loss.total - self.information * information
        terms = {"information": information} | terms
        return Loss(total, loss.terms | {name: term.detach() for name, term in terms.items()})

    def recognise(self, batch: Batch) -> Tensor:
        """(B, C) codes that windows seem to be made of: probabilities of classes, and means of continuous codes."""
        out_BO = self.recogniser(batch.motion_BTD, batch.mask_BT, self.condition.of(batch))
        parts = [
            out_BO[:, code.place].softmax(1) if code.kind == "categorical" else out_BO[:, code.place]
            for code in self.latent_codes
        ]
        return torch.cat(parts, 1)

    def _information(self, out_BO: Tensor, z_BZ: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The bound L_I in nats, and how well each code is recovered: accuracy, or 1 - error / variance.

        Args:
            out_BO: (B, O) the recogniser's, in the places of the codes, and then a log variance a continuous code.
            z_BZ: (B, Z) the latents that the windows were made of.
        """
        width = sum(code.size for code in self.latent_codes)
        log_variances = iter(out_BO[:, width:].clamp(*_LOG_VARIANCE).unbind(1))
        information, terms = torch.zeros((), device=out_BO.device), {}
        for code in self.latent_codes:
            guess, truth = out_BO[:, code.place], z_BZ[:, code.place]
            if code.kind == "categorical":
                class_B = truth.argmax(1)
                bound = math.log(code.size) - F.cross_entropy(guess, class_B)
                terms[f"{code.name}_accuracy"] = (guess.argmax(1) == class_B).float().mean()
            else:
                error_B, log_variance_B = (guess - truth).square().squeeze(1), next(log_variances)
                surprise_B = 0.5 * (math.log(2 * math.pi) + log_variance_B + error_B * torch.exp(-log_variance_B))
                bound = _UNIFORM_ENTROPY - surprise_B.mean()
                terms[f"{code.name}_r2"] = 1 - error_B.mean() / _UNIFORM_VARIANCE
            information = information + bound
        return information, terms
