"""Adversarial network with the source notes' proximal term: the generator is pulled towards what it was."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from motionsynth.families.adversary import ProximalConfig
from motionsynth.families.gan import AdversarialConfig, AdversarialFamily

__all__ = ["GANProximal"]


class GANProximal(AdversarialFamily):
    """``generator: min E_z[ -log D(G(z)) + lambda |G(z) - G0(z)|^2 ]``, G0 the generator that the critic learnt from.

    ``lambda |G - G0|^2``, ``lambda = 1/(2 sigma^2)``, bounds ``KL(q || q0)`` where both generators are blurred by
    equal Gaussians of width sigma. Its gradient is exactly zero at the first step after a copy, so that it takes two
    steps of the generator or more to a copy; by default as many as to a step of the critic, so that G0 is the very
    generator that D was trained against. The control is the same with ``proximal.weight: 0``.

    References:
        The source notes, d-i, first view.
    """

    class Config(AdversarialConfig):
        """Settings of the adversarial network with a proximal term."""

        name: Literal["gan_proximal"] = "gan_proximal"
        critic_every: int = Field(2, ge=1)
        """Steps of the generator to one of the critic."""
        proximal: ProximalConfig = ProximalConfig(refresh=2)
        """Pull of the generator towards what it was."""
