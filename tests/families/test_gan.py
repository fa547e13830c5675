"""What only the adversarial network promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

from motionsynth.config import TrainConfig, load_config
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import ConfigError
from motionsynth.families.base import StepContext
from motionsynth.families.gan import GAN
from motionsynth.families.gan_proximal import GANProximal
from motionsynth.losses.adversarial import OBJECTIVES, gradient_penalty, r1_penalty
from motionsynth.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch

BATCH = make_batch()
CONFIGS = Path(__file__).parents[2] / "configs" / "run"
SMALL = {"backbone": {"kind": "conv", "widths": (8, 8)}, "critic": {"widths": (8, 8)}}
SINGLE = SMALL | {"critic": {"widths": (8, 8), "minibatch_stddev": 0}}


def gan(**settings) -> GAN:
    torch.manual_seed(0)
    return GAN(GAN.Config.model_validate(settings), SHAPE)


def proximal(**settings) -> GANProximal:
    torch.manual_seed(0)
    return GANProximal(GANProximal.Config.model_validate(SMALL | settings), SHAPE)


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
        backbone={"kind": "conv", "widths": (16, 16)},
        critic={"widths": (16, 16), "minibatch_stddev": group},
        r1={"gamma": 1.0},
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


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_plays_its_own_game_on_the_same_networks(name):
    family = gan(objective=name, r1={"gamma": 0.0}, gradient_penalty=0.0, **SINGLE)
    real, fake = torch.randn(2, 8)
    objective = OBJECTIVES[name]
    family.critic.forward = lambda *_, parts=1: torch.cat((real, fake)) if parts == 2 else fake
    torch.testing.assert_close(family.critic_loss(BATCH, context(0)).total, objective.critic(real, fake))
    loss = family.generator_loss(BATCH, context(0))
    torch.testing.assert_close(loss.total, objective.generator(fake))
    assert ("capped" in loss.terms) == (objective.generator_exponents is not None)
    judged = family.eval().critic_loss(BATCH, context(0))
    assert ("log_likelihood" in judged.terms) == (objective.estimate is not None)
    assert {name: weight.shape for name, weight in family.named_parameters()} == {
        name: weight.shape for name, weight in gan(**SINGLE).named_parameters()
    }


def test_exponents_that_are_capped_are_logged():
    family = gan(objective="pearson", r1={"gamma": 0.0}, **SMALL)
    family.critic.forward = lambda *_, parts=1: torch.tensor([1.0, 6.0, 4.9, 20.0])
    loss = family.generator_loss(BATCH, context(0))
    assert loss.terms["capped"] == 0.5 and loss.total.isfinite()


def test_wgan_gp_is_penalised_between_real_and_generated_and_others_are_not():
    family = gan(objective="wgan_gp", r1={"gamma": 0.0}, gradient_penalty=7.0, **SINGLE)
    loss = family.critic_loss(BATCH, context(0))
    seen = context(0)
    fake = family.decode(seen.normal(8, 32)).detach()
    share = seen.uniform(8)
    penalty = gradient_penalty(lambda x: family.critic(x, BATCH.mask_BT), BATCH.motion_BTD, fake, share)
    torch.testing.assert_close(loss.terms["gradient_penalty"], penalty)
    torch.testing.assert_close(loss.total, loss.terms["adversarial"] + 7.0 * penalty)
    assert "gradient_penalty" not in family.eval().critic_loss(BATCH, context(0)).terms
    assert "gradient_penalty" not in gan(objective="hinge", **SMALL).critic_loss(BATCH, context(0)).terms


@pytest.mark.parametrize("kept", [{"r1": {"gamma": 1.0}, **SINGLE}, {"r1": {"gamma": 0.0}, **SMALL}])
def test_wgan_gp_is_refused_beside_what_its_penalty_does_not_go_with(kept):
    with pytest.raises(ValueError, match="wgan_gp has a penalty of its own"):
        gan(objective="wgan_gp", **kept)


def test_what_keeps_the_ratio_from_being_one_is_named():
    free = {"r1": {"gamma": 0.0}, "critic": {"minibatch_stddev": 0}}
    assert GAN.Config(**free).surrogate is None
    assert GAN.Config(objective="hinge").surrogate is None, "promises no divergence"
    said = GAN.Config(objective="reverse_kl").surrogate
    assert said and "reverse_kl is a surrogate of KL(q || p)" in said
    assert "r1.gamma 100" in said and "groups of 4 windows" in said
    assert "groups" not in GAN.Config(critic={"minibatch_stddev": 0}).surrogate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("family.objective=reversekl", "unknown value 'reversekl', did you mean reverse_kl? known: fgan_forward_kl"),
        ("family.proximal.refresh=1", "family.proximal.refresh: must be 2 or more: right after a copy G is G0"),
        ("family={name: gan, critic_every: 2, generator_every: 2}", "one of them must be 1"),
    ],
)
def test_games_that_cannot_be_played_are_refused(override, message):
    with pytest.raises(ConfigError) as caught:
        load_config(CONFIGS / "gan_proximal.yaml", overrides=[override])
    assert message in str(caught.value)


def gradient(family, step: int) -> torch.Tensor:
    family.zero_grad()
    family.generator_loss(BATCH, context(step)).total.backward()
    return torch.cat([p.grad.flatten() for p in family.generator.parameters()])


def test_the_pull_is_exactly_zero_after_a_copy_and_not_a_step_later():
    pulled, plain = proximal(proximal={"weight": 3.0, "refresh": 2}), proximal(proximal={"weight": 0.0, "refresh": 2})
    for step in range(4):
        one, other = gradient(pulled, step), gradient(plain, step)
        assert torch.equal(one, other) == (step % 2 == 0)
        loss = pulled.generator_loss(BATCH, context(step))
        assert (loss.terms["proximal"] == 0) == (step % 2 == 0)
        torch.testing.assert_close(loss.total, loss.terms["adversarial"] + 3.0 * loss.terms["proximal"])
        with torch.no_grad():
            for family in (pulled, plain):
                for weight in family.generator.parameters():
                    weight.sub_(0.01 * torch.ones_like(weight))


def test_the_pull_is_under_the_mask_and_towards_the_copy():
    family = proximal(proximal={"weight": 1.0, "refresh": 4})
    family.generator_loss(BATCH, context(0))
    z = context(1).normal(8, 32)
    before = family.decode(z).detach()
    with torch.no_grad():
        for weight in family.generator.parameters():
            weight.add_(0.02)
    loss = family.generator_loss(BATCH, context(1))
    squared = (family.decode(z) - before).square() * BATCH.mask_BT[..., None]
    torch.testing.assert_close(loss.terms["proximal"], squared.sum((1, 2)).mean().detach())
    assert family.eval().generator_loss(BATCH, context(4)).terms["proximal"] > 0, "judging copies nothing"


def test_k_steps_of_the_generator_to_one_of_the_critic():
    family = proximal(critic_every=3, proximal={"refresh": 3}, r1={"gamma": 1.0, "every": 2})
    assert [phase.every for phase in family.phases] == [3, 1]
    due = [step for step in range(0, 18, 3) if "r1" in family.critic_loss(BATCH, context(step)).terms]
    assert due == [0, 6, 12], "the penalty is lazy in steps of the critic"
    assert [phase.every for phase in gan(generator_every=5).phases] == [1, 5]


def test_refreshes_count_steps_of_the_generator():
    family = gan(generator_every=5, proximal={"refresh": 2}, **SMALL)
    copied = []
    family.anchor.refresh = lambda _: copied.append(True)
    for step in range(0, 30, 5):
        family.generator_loss(BATCH, context(step))
    assert len(copied) == 3


def windows(count: int = 24) -> WindowSet:
    batch = make_batch(count)
    index = torch.arange(count)
    names = tuple(f"{i}.bvh" for i in range(count))
    return WindowSet.of(batch.motion_BTD, batch.mask_BT, batch.labels, index, torch.zeros_like(index), names)


def test_the_copy_survives_a_resume_bit_for_bit(tmp_path):
    """Stopped between two refreshes, where the copy is not the generator."""

    def trainer(steps: int, folder: str) -> Trainer:
        train = TrainConfig(steps=steps, batch_size=8, precision="float32", checkpoint_every_steps=5, ema_decay=0.9)
        family = proximal(proximal={"weight": 1e-4, "refresh": 4})
        return Trainer(family, family.config, train, windows(), checkpoints=tmp_path / folder)

    whole = trainer(10, "whole").fit()
    trainer(5, "parts").fit()
    rest = trainer(10, "parts")
    assert rest.resume() == 5
    assert not torch.equal(rest.family.anchor.get_buffer("output/bias"), rest.family.generator.output.bias)
    ended = rest.fit()
    assert all(torch.equal(value, ended.weights[name]) for name, value in whole.weights.items())
    assert any(name.startswith("anchor.") for name in whole.weights)


def test_the_pull_holds_the_generator_back():
    """How far the generator goes between two copies, beside the control that takes the same steps without a pull."""

    def distance(weight: float) -> float:
        slow = {"critic": {"lr": 1e-3, "betas": (0.0, 0.99)}, "generator": {"lr": 1e-4, "betas": (0.0, 0.99)}}
        family = proximal(proximal={"weight": weight, "refresh": 2}, optimise=slow)
        seen = []

        class Listener:
            def on_log(self, step, total, metrics, rate, left):
                seen.append(metrics["train/generator/proximal"])

        train = TrainConfig(steps=60, batch_size=8, precision="float32", log_every_steps=20)
        Trainer(family, family.config, train, windows(), listener=Listener()).fit()
        return sum(seen) / len(seen)

    assert distance(0.1) < 0.7 * distance(0.0)


def test_validation_concludes_a_calibration_error(tmp_path):
    from motionsynth.training.journal import Journal, read_journal

    family = gan(**SMALL)
    with Journal(tmp_path / "metrics.jsonl") as journal:
        train = TrainConfig(steps=2, batch_size=8, precision="float32")
        Trainer(family, family.config, train, windows(), windows(10), journal=journal).fit()
    row = {name: value for entry in read_journal(tmp_path / "metrics.jsonl") for name, value in entry.metrics.items()}
    assert 0 <= row["validation/critic/calibration_error"] <= 1
    assert row["validation/critic/log_likelihood"] == pytest.approx(
        math.log(2) - row["validation/critic/adversarial"] / 2, abs=1e-5
    )
    assert 0 <= row["validation/critic/real_accuracy"] <= 1 and not any("gap" in name for name in row)


def test_a_run_keeps_why_its_objective_is_a_surrogate(tmp_path):
    from motionsynth.runs.run import create_run
    from motionsynth.tracking.record import describe

    def kept(*overrides: str):
        path = tmp_path / str(len(overrides))
        rest = {"spec": {}, "width": 3, "labels": {}, "normaliser": {}, "corpus_fingerprint": "none", "splits": {}}
        config = load_config(CONFIGS / "gan.yaml", overrides=overrides)
        run = create_run(path, config, **rest, write_skeleton=lambda skeleton: skeleton.write_text("") and None)
        return run.record.surrogate, describe(path, run.record).tags.get("surrogate")

    reason, tag = kept()
    assert reason and tag == reason and "nonsaturating is a surrogate of 2 KL((p + q)/2 || p)" in reason
    assert kept("family.r1.gamma=0", "family.critic.minibatch_stddev=0") == (None, None)
