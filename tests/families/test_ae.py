"""What only the autoencoder promises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from motionsynth.families.ae import Autoencoder
from motionsynth.families.base import StepContext
from motionsynth.families.capabilities import SampleOptions

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch, make_windows


def autoencoder(**settings) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(Autoencoder.Config.model_validate(settings), SHAPE)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_loss_is_the_mean_squared_error_of_the_frames_that_are_there():
    family, batch = autoencoder(), make_batch()
    loss = family.reconstruction_loss(batch, StepContext(0, 0.0, seeded()))
    error = (family.reconstruct(batch) - batch.motion_BTD)[batch.mask_BT].square().mean()
    torch.testing.assert_close(loss.total, error)
    torch.testing.assert_close(loss.terms["mse"], error.detach())


def test_what_it_draws_by_default_are_codes_like_those_it_makes():
    """Under N(0, I) they are not: the argument against the autoencoder."""
    family, windows = autoencoder(latent_dim=2).eval(), make_windows(800)
    with torch.no_grad():
        family.encoder.head.bias.copy_(torch.tensor([5.0, -3.0]))
        code = family.encode(windows.batch(torch.arange(800)))
    family.fit_prior(windows, generator=seeded())
    assert family.priors == ("fitted", "normal")
    drawn, normal = (family.sample_latent(4000, generator=seeded(), prior=prior) for prior in (None, "normal"))
    spread = code.std(0)
    assert ((drawn.mean(0) - code.mean(0)).abs() < 0.2 * spread).all()
    torch.testing.assert_close(drawn.T.cov(), code.T.cov(), rtol=0.2, atol=0.1 * float(spread.square().mean()))
    assert ((normal.mean(0) - code.mean(0)).abs() > spread).all()
    with torch.no_grad():
        windows_of = [
            family.sample(3, generator=seeded(), how=SampleOptions(prior=prior)) for prior in (None, "fitted")
        ]
    assert torch.equal(*windows_of)


def test_there_is_no_noise_to_show():
    with pytest.raises(ValueError, match="unknown show 'sample', known: mean"):
        autoencoder().sample(2, generator=seeded(), how=SampleOptions(show="sample"))
