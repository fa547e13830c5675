"""What only CycleGAN promises: two domains of any size in a batch, the way there and back, and clips of any length."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import Judged
from motionsynth.families.base import StepContext
from motionsynth.families.capabilities import SampleOptions, Translates
from motionsynth.families.cyclegan import CycleGAN
from motionsynth.families.replay import ReplayPool
from motionsynth.nn.translator import Translator

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, freeze_all_but, make_batch, make_windows

BATCH = make_batch(12)
SMALL = {
    "backbone": {"kind": "conv", "widths": (8, 8)},
    "critic": {"widths": (8, 8), "minibatch_stddev": 0},
    "translator": {"width": 8, "dilations": (1, 2)},
    "pool": 0,
    "bank": 16,
}


def cyclegan(shape: MotionShape = SHAPE, **settings) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(CycleGAN.Config.model_validate(SMALL | settings), shape)


def context(step: int = 1, seed: int = 0) -> StepContext:
    return StepContext(step, 0.5, torch.Generator().manual_seed(seed))


def rows(batch: Batch, index: list[int]) -> Batch:
    labels = {name: value[index] for name, value in batch.labels.items()}
    return Batch(batch.motion_BTD[index], batch.mask_BT[index], labels)


class Shift(nn.Module):
    """A translator that adds a number to every frame that is there."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, motion_BTD, mask_BT, side_BS=None):
        return (motion_BTD + self.by).masked_fill(~mask_BT.unsqueeze(2), 0.0)


class Verdict(nn.Module):
    """A critic that judges by the mean of the frames that are there."""

    def forward(self, motion_BTD, mask_BT, side_BS=None, *, parts=1):
        return motion_BTD.masked_fill(~mask_BT.unsqueeze(2), 0.0).sum((1, 2)) / (mask_BT.sum(1) * motion_BTD.shape[2])


def test_it_translates() -> None:
    family = cyclegan()
    assert isinstance(family, Translates) and family.domain_label() == "style"
    with pytest.raises(ValueError, match="two domains, 0 and 1, not 2"):
        family.translate(BATCH, 2)


def test_identity_comes_back_and_leaves_alone() -> None:
    family = cyclegan()
    family.to_a, family.to_b = Shift(0.0), Shift(0.0)
    terms = family.translators_loss(BATCH, context()).terms
    assert terms["cycle"] == terms["identity"] == terms["change"] == 0
    assert torch.equal(family.reconstruct(BATCH), BATCH.motion_BTD)


@pytest.mark.parametrize(("there", "back", "cycle", "identity"), [(2.0, -2.0, 0.0, 2.0), (2.0, 1.0, 3.0, 1.5)])
def test_losses_of_translators_that_shift(there: float, back: float, cycle: float, identity: float) -> None:
    """Both ways there and back shift by ``there + back``, and each translator its own domain by its own shift."""
    family = cyclegan(cycle=7.0, identity=3.0, distance="absolute", objective="lsgan")
    family.to_b, family.to_a = Shift(there), Shift(back)
    family.critic_a = family.critic_b = Verdict()
    loss = family.translators_loss(BATCH, context())
    assert loss.terms["cycle"].item() == pytest.approx(cycle, abs=1e-5)
    assert loss.terms["identity"].item() == pytest.approx(identity, rel=1e-5)
    assert loss.terms["change"].item() == pytest.approx((abs(there) + abs(back)) / 2, rel=1e-5)
    domain_B = BATCH.labels["style"]
    fooled_B = Verdict()(BATCH.motion_BTD, BATCH.mask_BT) + torch.where(domain_B == 0, there, back)
    adversarial = sum(0.5 * 0.5 * (fooled_B[domain_B == kind] - 1).square().mean() for kind in (0, 1))
    assert loss.terms["adversarial"].item() == pytest.approx(adversarial.item(), rel=1e-5)
    total = adversarial + 7.0 * cycle + 3.0 * identity
    assert loss.total.item() == pytest.approx(total.item(), rel=1e-4)
    squared = cyclegan(distance="squared")
    squared.to_b, squared.to_a = Shift(there), Shift(back)
    terms = squared.translators_loss(BATCH, context()).terms
    assert terms["cycle"].item() == pytest.approx(cycle**2, abs=1e-5)
    assert terms["identity"].item() == pytest.approx((there**2 + back**2) / 2, rel=1e-5)


@pytest.mark.parametrize("objective", ["lsgan", "nonsaturating"])
def test_critics_judge_their_own_domain_and_what_was_brought_to_it(objective: str) -> None:
    from motionsynth.losses.adversarial import OBJECTIVES

    family = cyclegan(objective=objective, r1={"gamma": 0.0})
    family.to_b, family.to_a = Shift(2.0), Shift(-3.0)
    family.critic_a = family.critic_b = Verdict()
    loss = family.critics_loss(BATCH, context())
    real_B, is_b_B = Verdict()(BATCH.motion_BTD, BATCH.mask_BT), BATCH.labels["style"] == 1
    fake_B = real_B + torch.where(is_b_B, -3.0, 2.0)
    game = OBJECTIVES[objective].critic
    expected = 0.5 * (game(real_B[is_b_B], fake_B[~is_b_B]) + game(real_B[~is_b_B], fake_B[is_b_B]))
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_each_critic_meets_motion_of_its_domain_only() -> None:
    family = cyclegan(r1={"gamma": 0.0})
    seen: dict[str, list[torch.Tensor]] = {"a": [], "b": []}
    family.to_a, family.to_b = Shift(100.0), Shift(200.0)
    for name in seen:
        critic = Verdict()
        critic.register_forward_hook(lambda m, args, out, name=name: seen[name].append(args[0].amax((1, 2))))
        setattr(family, f"critic_{name}", critic)
    family.critics_loss(BATCH, context())
    for name, shift, kind in (("a", 100.0, 0), ("b", 200.0, 1)):
        real_B, fake_B = seen[name]
        assert torch.equal(real_B, BATCH.motion_BTD[BATCH.labels["style"] == kind].amax((1, 2)))
        assert ((fake_B > shift - 50) & (fake_B < shift + 50)).all()


def test_unequal_domains_count_alike() -> None:
    """The mean over many batches of mixed rows is that of the two domains' own means."""
    family = cyclegan(r1={"gamma": 10.0, "every": 1})
    windows = make_windows(12)
    labels = {"content": windows.labels["content"], "style": (torch.arange(12) >= 9).long()}
    whole = windows.as_batch()._replace(labels=labels)
    family.begin(replace(windows, labels=labels))
    torch.testing.assert_close(family.share_2, torch.tensor([0.75, 0.25]))
    for phase in family.phases:
        total = phase.loss(whole, context(0)).total
        parts = [
            phase.loss(rows(whole, index), context(0)).total for index in ([0, 1, 2, 9], [3, 4, 5, 10, 6, 7, 8, 11])
        ]
        torch.testing.assert_close((4 * parts[0] + 8 * parts[1]) / 12, total, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_batch_may_be_of_one_domain(kind: int) -> None:
    family = cyclegan(r1={"gamma": 10.0, "every": 1}, pool=4)
    batch = rows(BATCH, (BATCH.labels["style"] == kind).nonzero()[:, 0].tolist())
    for phase in family.phases:
        freeze_all_but(family, phase.trains)
        loss = phase.loss(batch, context(0)).total
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in family.parameters())


def judged(values: list[float]) -> Judged:
    motion_BTD = torch.tensor(values)[:, None, None].expand(-1, 3, 2).clone()
    return Judged(motion_BTD, torch.ones(len(values), 3, dtype=torch.bool), None)


def test_the_pool_fills_then_gives_back_what_came_before() -> None:
    pool = ReplayPool(4, 3, 2)
    shared = context()
    given = pool.exchange(judged([1, 2, 3]), shared)
    assert given.motion_BTD[:, 0, 0].tolist() == [1, 2, 3] and int(pool.filled) == 3
    old = set()
    held = {1.0, 2.0, 3.0}
    for start in range(4, 400, 2):
        new = judged([float(start), float(start + 1)])
        given = set(pool.exchange(new, shared).motion_BTD[:, 0, 0].tolist())
        came = {float(start), float(start + 1)}
        assert given <= held | came and len(given) == 2
        old |= given - came
        held = set(pool.motion_PTD[:, 0, 0].tolist())
        assert len(held) == 4 and int(pool.filled) == 4, "nothing is held twice"
        assert not given - came & held
    assert 150 < len(old) < 250, "about half of what comes is exchanged"


def test_a_batch_larger_than_the_pool_and_no_pool_at_all() -> None:
    pool = ReplayPool(2, 3, 2)
    for _ in range(3):
        given = pool.exchange(judged([1, 2, 3, 4, 5]), context())
        assert len(given.motion_BTD) == 5
    assert ReplayPool(0, 3, 2).exchange(new := judged([1, 2]), context()) is new


def test_a_pool_is_part_of_the_state_and_judging_leaves_it() -> None:
    first, second = cyclegan(pool=4), cyclegan(pool=4)
    for step in range(3):
        first.critics_loss(BATCH, context(step, seed=step))
    second.load_state_dict(first.state_dict())
    losses = [family.critics_loss(BATCH, context(3, seed=9)).total for family in (first, second)]
    assert torch.equal(*losses)
    fresh = cyclegan(pool=4).critics_loss(BATCH, context(3, seed=9)).total
    assert not torch.equal(losses[0], fresh), "earlier fakes do count"
    held = first.pool_a.motion_PTD.clone()
    first.eval().critics_loss(BATCH, context())
    assert torch.equal(held, first.pool_a.motion_PTD)


def test_several_processes_only_without_a_pool() -> None:
    assert cyclegan().alone is None
    assert "family.pool=0" in str(cyclegan(pool=4).alone)


@pytest.mark.parametrize("frames", [1, 2, 7, SHAPE.frames, 200])
def test_any_length_is_translated(frames: int) -> None:
    family = cyclegan().eval()
    motion = torch.randn(2, frames, SHAPE.features, generator=torch.Generator().manual_seed(0))
    batch = Batch(motion, torch.ones(2, frames, dtype=torch.bool), {})
    for to in (0, 1):
        translated = family.translate(batch, to)
        assert translated.shape == motion.shape
        change = (translated - motion).square().mean().sqrt()
        assert 0 < change < 0.5 * motion.square().mean().sqrt(), "it starts near the identity"


def test_frames_out_of_reach_change_nothing() -> None:
    torch.manual_seed(0)
    translator = Translator(5, 8, (1, 4)).eval()
    motion = torch.randn(1, 80, 5)
    mask = torch.ones(1, 80, dtype=torch.bool)
    moved = motion.clone()
    moved[:, 40] += 1.0
    changed = (translator(moved, mask) - translator(motion, mask)).abs().sum((0, 2)).nonzero()[:, 0]
    assert changed.min() == 40 - translator.reach and changed.max() == 40 + translator.reach
    # so that a piece cut with that much to either side is what the whole clip gives there
    piece = translator(motion[:, 10:70], mask[:, 10:70])[:, translator.reach : -translator.reach]
    expected = translator(motion, mask)[:, 10 + translator.reach : 70 - translator.reach]
    torch.testing.assert_close(piece, expected, rtol=1e-4, atol=1e-5)


def test_samples_are_training_windows_brought_to_the_other_domain() -> None:
    family = cyclegan().eval()
    family.to_b, family.to_a = Shift(100.0), Shift(200.0)
    windows = make_windows(40)
    family.begin(windows)

    def draw(labels: dict[str, int]) -> torch.Tensor:
        return family.sample(200, generator=torch.Generator().manual_seed(0), how=SampleOptions(labels=labels))

    to_a, to_b, both = draw({"style": 0}), draw({"style": 1}), draw({})
    for drawn, shift, kind in ((to_a, 200.0, 1), (to_b, 100.0, 0)):
        whole = windows.subset((windows.labels["style"] == kind) & windows.whole_N).as_batch().motion_BTD
        nearest = torch.cdist(drawn.flatten(1) - shift, whole.flatten(1)).amin(1)
        assert nearest.max() < 0.5, "half precision, and nothing else"
    share = (both.mean((1, 2)) > 150).float().mean()
    assert 0.35 < share < 0.65
    with pytest.raises(ValueError, match="label nobody: this model takes none, only style"):
        draw({"nobody": 0})


def test_conditions_are_drawn_and_told() -> None:
    family = cyclegan(condition=("content",)).eval()
    windows = make_windows(40)
    family.begin(windows)
    told = []
    family.to_a.register_forward_hook(lambda m, args, out: told.append(args[2]))
    how = SampleOptions(labels={"content": 2, "style": 0})
    assert family.sample(5, generator=torch.Generator().manual_seed(0), how=how).isfinite().all()
    assert told[0].argmax(1).tolist() == [2] * 5
    for phase in family.phases:
        assert phase.loss(BATCH, context()).total.isfinite()
    lacking = make_windows(40)
    lacking.labels["content"].clamp_(max=1)
    family.begin(lacking)
    with pytest.raises(ValueError, match="no training window with content 2, style 1"):
        family.sample(5, generator=torch.Generator().manual_seed(0), how=how)


def test_domains_that_cannot_be_are_refused() -> None:
    for settings, shape, message in (
        ({"domain": "mood"}, SHAPE, r"family\.domain: clips have no label 'mood', only content, style"),
        ({"domain": "content"}, SHAPE, r"family\.domain: the clips have 3 classes of content, .*data\.keep={content: "),
        ({}, MotionShape(16, 10, {}), r"family\.domain: clips have no label 'style', none at all"),
        ({"condition": ("style",)}, SHAPE, r"family\.condition: style is the domain"),
    ):
        with pytest.raises(ValueError, match=message):
            cyclegan(shape, **settings)
    with pytest.raises(ValidationError, match="minibatch_stddev must be 0"):
        cyclegan(critic={"widths": (8, 8), "minibatch_stddev": 4})
    with pytest.raises(ValidationError, match="must be odd"):
        cyclegan(translator={"kernel": 4})


def test_two_bells_far_apart_are_translated() -> None:
    """On frames that are noise around -2 in A and around 2 in B, each way shifts by 4 and keeps the noise."""
    family = cyclegan(cycle=5.0, identity=1.0, r1={"gamma": 1.0, "every": 1})
    learners = {
        phase.name: [p for n in phase.trains for p in getattr(family, n).parameters()] for phase in family.phases
    }
    optimisers = {name: torch.optim.Adam(weights, lr=3e-3, betas=(0.0, 0.99)) for name, weights in learners.items()}
    generator = torch.Generator().manual_seed(0)

    def batch() -> Batch:
        style = torch.arange(32) % 2
        noise = 0.3 * torch.randn(32, 1, SHAPE.features, generator=generator).expand(-1, SHAPE.frames, -1)
        motion = noise + 4.0 * (style[:, None, None] - 0.5)
        return Batch(motion, torch.ones(32, SHAPE.frames, dtype=torch.bool), {"style": style})

    for step in range(125):
        drawn = batch()
        for phase in family.phases:
            freeze_all_but(family, phase.trains)
            optimisers[phase.name].zero_grad()
            phase.loss(drawn, StepContext(step, 0.0, generator)).total.backward()
            optimisers[phase.name].step()
    held = batch()
    moved = family.translate(held, 1)[held.labels["style"] == 0]
    assert abs(moved.mean() - 2.0) < 1.0
    back = (family.reconstruct(held) - held.motion_BTD).abs().mean()
    assert back < 0.25 * 4.0, "the way there and back is a fraction of the difference between the domains"
