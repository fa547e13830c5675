"""Autoencoder: points to points, with no distribution over the latents.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.autoencoding import Autoencoding, reconstruction_error
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.latent import CodedConfig

__all__ = ["Autoencoder"]


class Autoencoder(Autoencoding):
    """``min E_x[|x - Dec(Enc(x))|^2]`` per number.

    It has no generative prior: nothing makes the codes follow any known distribution. ``sample`` decodes draws of a
    density fitted on them afterwards; the prior ``normal`` decodes N(0, I) all the same, because that is the argument
    against the autoencoder: such draws are points never seen, and what they decode to shows it.

    References:
        Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006; Ghosh et al., From
        Variational to Deterministic Autoencoders, 2020, for the density fitted afterwards.
    """

    PRIORS = ("fitted", "normal")

    class Config(CodedConfig):
        """Settings of the autoencoder."""

        PHASES: ClassVar[tuple[str, ...]] = ("all",)

        name: Literal["ae"] = "ae"
        optimise: dict[str, AdamConfig] = Field(default={"all": AdamConfig()})
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape, "point")

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One: both networks learn to reconstruct."""
        return (Phase("all", self.reconstruction_loss, ("encoder", "decoder")),)

    def reconstruction_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Mean squared error over the frames that are there."""
        mse = reconstruction_error(batch, self.reconstruct(batch), context)
        return Loss(mse, {"mse": mse.detach()})

    def codes(self, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """(B, Z) codes; nothing is drawn, so the generator stays as it is."""
        return self.encode(batch)
