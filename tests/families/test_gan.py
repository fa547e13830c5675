"""What only the adversarial network promises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from motionsynth.families.base import StepContext
from motionsynth.families.gan import GAN
from motionsynth.losses.adversarial import r1_penalty

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch

BATCH = make_batch()


def gan(**settings) -> GAN:
    torch.manual_seed(0)
    return GAN(GAN.Config.model_validate(settings), SHAPE)


def context(step: int) -> StepContext:
    return StepContext(step, 0.0, torch.Generator().manual_seed(0))


def test_the_critics_loss_leaves_no_gradient_in_the_generator():
    family = gan()
    family.critic_loss(BATCH, context(0)).total.backward()
    assert all(p.grad is None for p in family.generator.parameters())
    assert all(p.grad is not None for p in family.critic.parameters())


def test_r1_is_lazy_and_weighted_by_its_interval():
    family = gan(r1={"gamma": 6.0, "every": 3})
    penalty = r1_penalty(lambda x: family.critic(x, BATCH.mask_BT), BATCH.motion_BTD)
    for step in range(5):
        loss = family.critic_loss(BATCH, context(step))
        assert ("r1" in loss.terms) == (step % 3 == 0)
        extra = 0.5 * 6.0 * 3 * penalty if step % 3 == 0 else torch.tensor(0.0)
        torch.testing.assert_close(loss.total, loss.terms["adversarial"] + extra)


def test_r1_can_be_switched_off_and_is_not_part_of_judging():
    assert "r1" not in gan(r1={"gamma": 0.0}).critic_loss(BATCH, context(0)).terms
    with torch.no_grad():
        assert "r1" not in gan().eval().critic_loss(BATCH, context(0)).terms


def test_generated_windows_are_judged_under_the_masks_of_the_batch():
    family = gan()
    seen = []
    family.critic.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    family.critic_loss(BATCH, context(1))
    family.generator_loss(BATCH, context(1))
    assert torch.equal(seen[0], torch.cat((BATCH.mask_BT, BATCH.mask_BT)))
    assert torch.equal(seen[1], BATCH.mask_BT)


@pytest.mark.parametrize("group", [0, 4])
def test_a_little_training_separates_and_then_fools(group):
    family = gan(
        backbone={"widths": (16, 16)}, critic={"widths": (16, 16), "minibatch_stddev": group}, r1={"gamma": 1.0}
    )
    family.generator.requires_grad_(False)
    optimiser = torch.optim.Adam(family.critic.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(40):
        loss = family.critic_loss(BATCH, StepContext(step, 0.0, generator))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(loss.terms["adversarial"].item())
    assert losses[-1] < 0.7 * losses[0]
    family.generator.requires_grad_(True)
    family.critic.requires_grad_(False)
    optimiser = torch.optim.Adam(family.generator.parameters(), lr=2e-3)
    fooled = []
    for step in range(40):
        loss = family.generator_loss(BATCH, StepContext(step, 0.0, generator))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        fooled.append(loss.total.item())
    assert fooled[-1] < 0.7 * fooled[0]
