"""Hold the VAE's and the autoencoder's losses against pythae's, on the same networks, windows and noise.

    pip install pythae && python tools/accept/against_pythae.py

Shapes: B batch, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.ae import Autoencoder
from motionsynth.families.base import AdamConfig, StepContext
from motionsynth.families.vae import VAE

SHAPE = MotionShape(frames=16, features=10, labels={})
SIZE = {"input_dim": (SHAPE.frames, SHAPE.features), "latent_dim": 16}
SEEDS = 5


def windows(count: int, seed: int) -> Batch:
    """Whole windows, as pythae knows no mask."""
    motion_BTD = torch.randn(count, SHAPE.frames, SHAPE.features, generator=torch.Generator().manual_seed(seed))
    return Batch(motion_BTD, torch.ones(motion_BTD.shape[:2], dtype=torch.bool), {})


def networks(family: VAE | Autoencoder) -> tuple[Any, Any]:
    """The family's own encoder and decoder, as pythae wants them."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def forward(self, x_BTD: Tensor) -> Any:
            output = family.encoder(x_BTD, torch.ones(x_BTD.shape[:2], dtype=torch.bool), None)
            if isinstance(family, Autoencoder):
                return ModelOutput(embedding=output)
            mean_BZ, log_variance_BZ = output.chunk(2, 1)
            return ModelOutput(embedding=mean_BZ, log_covariance=log_variance_BZ)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def forward(self, z_BZ: Tensor) -> Any:
            return ModelOutput(reconstruction=family.decoder(z_BZ, None, None))

    return Encoder(), Decoder()


def gradient(loss: Tensor, family: VAE | Autoencoder) -> Tensor:
    """All of it, end to end."""
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, tuple(family.parameters()))])


def apart(one: Tensor, other: Tensor) -> float:
    """``|one - other| / |other|``."""
    return float((one - other).norm() / other.norm())


def vae(seed: int, beta: float) -> dict[str, float]:
    """Pythae's has sigma = 1 and leaves out ``1/2 n log 2 pi``."""
    from pythae.models import BetaVAE, BetaVAEConfig

    torch.manual_seed(seed)
    config = VAE.Config.model_validate({"sigma": {"kind": "fixed", "value": 1.0}, "beta": beta, "latent_dim": 16})
    family, batch = VAE(config, SHAPE), windows(16, seed)
    peer = BetaVAE(BetaVAEConfig(beta=beta, **SIZE), *networks(family)).train()
    mine = family.elbo_loss(batch, StepContext(0, 1.0, torch.Generator().manual_seed(seed)))
    torch.manual_seed(seed)
    theirs = peer({"data": batch.motion_BTD})
    constant = 0.5 * SHAPE.frames * SHAPE.features * math.log(2 * math.pi)
    return {
        "loss, relative": apart((mine.total - constant).detach(), theirs.loss.detach()),
        "KL, relative": apart(mine.terms["kl"], theirs.reg_loss.detach()),
        "gradient, relative": apart(gradient(mine.total, family), gradient(theirs.loss, family)),
    }


def bound(seed: int) -> dict[str, float]:
    """Two latents, as with many an estimate from 5,000 draws of an encoder that has learnt nothing scatters."""
    from pythae.models import BetaVAE, BetaVAEConfig

    torch.manual_seed(seed)
    family = VAE(VAE.Config.model_validate({"sigma": {"kind": "fixed", "value": 1.0}, "latent_dim": 2}), SHAPE).eval()
    peer, batch = (
        BetaVAE(BetaVAEConfig(beta=1.0, **SIZE | {"latent_dim": 2}), *networks(family)).eval(),
        windows(8, seed),
    )
    with torch.no_grad():
        theirs = peer.get_nll(batch.motion_BTD, n_samples=5000, batch_size=5000)
    mine = family.log_likelihood_bound(batch, 5000, generator=torch.Generator().manual_seed(seed)).mean()
    return {"importance-weighted bound, nats a window": abs(float(mine) - float(theirs))}


def autoencoder(seed: int) -> dict[str, float]:
    """Pythae's adds up a window's numbers, ours is their mean."""
    from pythae.models import AE, AEConfig

    torch.manual_seed(seed)
    family, batch = Autoencoder(Autoencoder.Config(optimise={"all": AdamConfig()}), SHAPE), windows(16, seed)
    peer = AE(AEConfig(**SIZE), *networks(family)).train()
    mine = family.reconstruction_loss(batch, StepContext(0, 1.0, torch.Generator())).total
    theirs = peer({"data": batch.motion_BTD}).loss / (SHAPE.frames * SHAPE.features)
    return {
        "loss, relative": apart(mine.detach(), theirs.detach()),
        "gradient, relative": apart(gradient(mine, family), gradient(theirs, family)),
    }


def main() -> None:
    """Print the largest differences over the seeds."""
    rows = {
        "VAE, beta = 1": [vae(seed, 1.0) for seed in range(SEEDS)],
        "VAE, beta = 4": [vae(seed, 4.0) for seed in range(SEEDS)],
        "VAE, 5,000 draws": [bound(seed) for seed in range(SEEDS)],
        "AE": [autoencoder(seed) for seed in range(SEEDS)],
    }
    for name, found in rows.items():
        for figure in found[0]:
            print(f"{name:18} {figure:44} {max(one[figure] for one in found):.1e}")


if __name__ == "__main__":
    main()
