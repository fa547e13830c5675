"""The families of generative models: one file each, one line each in the registry."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch stays unloaded for commands that only need the names
    from motionsynth.families.base import Family

__all__ = ["FAMILIES", "family_class"]

FAMILIES: dict[str, str] = {
    "aae": "motionsynth.families.aae:AAE",
    "ae": "motionsynth.families.ae:Autoencoder",
    "ali": "motionsynth.families.ali:ALI",
    "cyclegan": "motionsynth.families.cyclegan:CycleGAN",
    "flow": "motionsynth.families.flow:Flow",
    "gan": "motionsynth.families.gan:GAN",
    "gan_proximal": "motionsynth.families.gan_proximal:GANProximal",
    "gmm": "motionsynth.families.gmm:GMM",
    "hmm": "motionsynth.families.hmm:HMM",
    "infogan": "motionsynth.families.infogan:InfoGAN",
    "vae": "motionsynth.families.vae:VAE",
    "vaegan": "motionsynth.families.vaegan:VAEGAN",
    "wakesleep": "motionsynth.families.wakesleep:WakeSleep",
}
"""Name -> ``module:class``; adding a family adds a line here."""


def family_class(name: str) -> type[Family]:
    """The class of a family, imported when first asked for; ``KeyError`` where the name is unknown."""
    from motionsynth.families.base import Family

    module, _, attribute = FAMILIES[name].partition(":")
    cls = getattr(import_module(module), attribute)
    assert isinstance(cls, type) and issubclass(cls, Family)
    return cls
