"""What every family must do; a new one is covered by its line in the registry."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from motionsynth.corpus.windows import Batch
from motionsynth.families import FAMILIES
from motionsynth.families.base import EMConfig, Family, Loss, Phase, StepContext
from motionsynth.families.capabilities import (
    Decodes,
    Encodes,
    FitsPrior,
    LearnsByEM,
    Reconstructs,
    SampleOptions,
    Scores,
)

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import (
    FOLDER,
    SHAPE,
    cases_of,
    class_of,
    config_of,
    first_losses,
    freeze_all_but,
    learn_by_em,
    make_batch,
    make_family,
    make_windows,
)
from two_ranks import Learnt, apart, float64, learn_by_ranks, learn_jointly

CASES = [case for name in FAMILIES for case in cases_of(name)]
BY_GRADIENT = [case for case in CASES if class_of(case).Config.PHASES]
BY_EM = [case for case in CASES if issubclass(class_of(case).Config, EMConfig)]
every_family = pytest.mark.parametrize("name", CASES)
by_gradient = pytest.mark.parametrize("name", BY_GRADIENT)
by_em = pytest.mark.parametrize("name", BY_EM)


def test_every_family_learns_in_one_way():
    assert sorted(BY_GRADIENT + BY_EM) == sorted(CASES)
    assert all(isinstance(make_family(name), LearnsByEM) == (name in BY_EM) for name in CASES)


def ready_family(name: str, seed: int = 0) -> Family:
    """A family that has a model, with every prior: what learns by gradient has one from the first."""
    family = make_family(name, seed)
    if isinstance(family, FitsPrior):
        family.fit_prior(make_windows(64), generator=torch.Generator().manual_seed(0))
    if isinstance(family, LearnsByEM):
        learn_by_em(family, [make_batch(512)], passes=8)
        assert family.learnt
    return family.eval()


def loss_of(phase: Phase, batch=None, *, step: int = 0, seed: int = 0) -> Loss:
    batch = make_batch() if batch is None else batch
    return phase.loss(batch, StepContext(step, 0.5, torch.Generator().manual_seed(seed)))


def gradients(family: Family, phase: Phase, batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    freeze_all_but(family, phase.trains)
    family.zero_grad()
    total = loss_of(phase, batch).total
    total.backward()
    return total.detach(), {n: p.grad.clone() for n, p in family.named_parameters() if p.grad is not None}


@by_gradient
def test_every_parameter_gets_a_gradient_in_some_phase(name):
    family = make_family(name)
    moved = set()
    for phase in family.phases:
        moved |= {n for n, g in gradients(family, phase, make_batch())[1].items() if g.abs().sum() > 0}
    assert moved == {n for n, _ in family.named_parameters()}


@by_gradient
def test_each_phase_moves_exactly_its_own_networks(name):
    family = make_family(name)
    for phase in family.phases:
        touched = {n.split(".")[0] for n in gradients(family, phase, make_batch())[1]}
        assert touched == set(phase.trains)
        assert set(phase.trains) <= {n for n, _ in family.named_children()}


@by_gradient
@pytest.mark.parametrize("junk", [1e6, float("nan")])
def test_padded_frames_change_neither_loss_nor_gradient(name, junk):
    batch = make_batch()
    spoiled = batch._replace(motion_BTD=batch.motion_BTD.masked_fill(~batch.mask_BT[..., None], junk))
    family = make_family(name)
    for phase in family.phases:
        clean_loss, clean = gradients(family, phase, batch)
        dirty_loss, dirty = gradients(family, phase, spoiled)
        assert torch.equal(clean_loss, dirty_loss)
        assert all(torch.equal(clean[n], dirty[n]) for n in clean)


@by_gradient
def test_real_frames_change_the_loss(name):
    """The control of the test above."""
    batch = make_batch()
    moved = batch._replace(motion_BTD=batch.motion_BTD + 0.5 * batch.mask_BT[..., None])
    family = make_family(name)
    assert not torch.equal(loss_of(family.phases[0], batch).total, loss_of(family.phases[0], moved).total)


@by_gradient
def test_losses_are_finite_scalars_with_detached_terms(name):
    family = make_family(name)
    for training in (True, False):
        family.train(training)
        for phase in family.phases:
            loss = loss_of(phase)
            assert loss.total.shape == () and loss.total.dtype == torch.float32 and loss.total.isfinite()
            assert loss.terms
            for term in loss.terms.values():
                assert term.shape == () and not term.requires_grad and term.isfinite()


@by_gradient
def test_judging_leaves_the_family_as_it_was(name):
    family = make_family(name).eval()
    before = {n: v.clone() for n, v in family.state_dict().items()}
    for phase in family.phases:
        with torch.no_grad():
            loss_of(phase)
    assert all(torch.equal(before[n], v) for n, v in family.state_dict().items())


@by_gradient
def test_all_randomness_comes_from_the_generator(name):
    family = make_family(name)
    state = torch.get_rng_state()
    for phase in family.phases:
        first = loss_of(phase, seed=3).total
        torch.rand(7)
        assert torch.equal(first, loss_of(phase, seed=3).total)
    torch.set_rng_state(state)


@every_family
def test_sampling_leaves_the_global_generator_alone(name):
    family = ready_family(name)
    state = torch.get_rng_state()
    family.sample(2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(state, torch.get_rng_state())


@every_family
def test_samples_have_the_shape_and_follow_the_generator(name):
    family = ready_family(name)

    def draw(seed: int, how: SampleOptions = SampleOptions()) -> torch.Tensor:
        with torch.no_grad():
            return family.sample(3, generator=torch.Generator().manual_seed(seed), how=how)

    assert draw(0).shape == (3, SHAPE.frames, SHAPE.features) and draw(0).dtype == torch.float32
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert torch.equal(draw(0, SampleOptions(frames=5)), draw(0)[:, :5])


@every_family
def test_every_prior_it_names_can_be_drawn_from(name):
    family = ready_family(name)
    for prior in family.priors:
        how = SampleOptions(prior=prior)
        drawn = family.sample(3, generator=torch.Generator().manual_seed(0), how=how)
        assert drawn.shape == (3, SHAPE.frames, SHAPE.features) and drawn.isfinite().all()
    with pytest.raises(ValueError, match=f"unknown prior 'nonesuch', known: {', '.join(sorted(family.priors))}"):
        family.sample(3, generator=torch.Generator().manual_seed(0), how=SampleOptions(prior="nonesuch"))


@every_family
@pytest.mark.parametrize("frames", [0, -3, SHAPE.frames + 1])
def test_lengths_that_cannot_be_made_are_refused(name, frames):
    family, generator = make_family(name), torch.Generator().manual_seed(0)
    if family.longest is None and frames > 0:
        assert family.sample(2, generator=generator, how=SampleOptions(frames=frames)).shape == (
            2,
            frames,
            SHAPE.features,
        )
        return
    known = "1 frame or more" if family.longest is None else f"1 to {SHAPE.frames} frames"
    with pytest.raises(ValueError, match=f"{known}, not {frames}"):
        family.sample(2, generator=generator, how=SampleOptions(frames=frames))


@every_family
def test_latents_and_reconstructions_have_their_shapes(name):
    family = ready_family(name)
    batch = make_batch()
    if isinstance(family, Decodes):
        latent = family.sample_latent(5, generator=torch.Generator().manual_seed(0))
        assert len(latent) == 5 and latent.ndim == 2
    if isinstance(family, Encodes):
        assert family.encode(batch).shape == (len(batch.motion_BTD), latent.shape[1])
    if isinstance(family, Reconstructs):
        assert family.reconstruct(batch).shape == batch.motion_BTD.shape


BY_RANKS = [
    (name, settings)
    for name in BY_GRADIENT
    for settings in ({}, {"condition": ("content",)}, {"pool": 0})
    if set(settings) <= set(class_of(name).Config.model_fields) and not config_of(name, **settings).alone
]
"""What several processes may train."""


def test_every_family_by_gradient_can_be_trained_by_several_processes():
    assert {name for name, _ in BY_RANKS} == set(BY_GRADIENT)


def shared_by_ranks(name: str, settings: dict[str, Any], step: int, **how: bool) -> tuple[Learnt, Learnt]:
    """One step of one process, and of two that share its batch."""
    with float64():
        torch.manual_seed(0)
        family = class_of(name)(config_of(name, **settings), SHAPE).train()
        family.begin(make_windows())
        batch = make_batch()
        batch = batch._replace(motion_BTD=batch.motion_BTD.double())
        joined = learn_jointly(family, batch, step=step, seed=5)
        return joined, learn_by_ranks(family, batch, step=step, seed=5, **how)


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(("name", "settings"), BY_RANKS)
def test_two_ranks_learn_what_one_learns_from_the_joined_batch(name, settings, step):
    joined, shared = shared_by_ranks(name, settings, step)
    assert joined.gradients and apart(joined.gradients, shared.gradients) < 1e-10
    assert apart(joined.totals, shared.totals) < 1e-10
    for buffer, value in joined.buffers.items():
        torch.testing.assert_close(shared.buffers[buffer], value, rtol=1e-10, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", ["ae", "vae", "vae-conv"])
def test_without_each_other_s_statistics_they_learn_something_else(name):
    """The control of the test above: these divide by a number that depends on all rows."""
    joined, shared = shared_by_ranks(name, {}, 0, deaf=True)
    assert apart(joined.gradients, shared.gradients) > 1e-4


@by_gradient
def test_bf16_autocast_runs_close_to_float32(name):
    family = make_family(name)
    for phase in family.phases:
        exact, _ = gradients(family, phase, make_batch())
        freeze_all_but(family, phase.trains)
        family.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(phase)
        loss.total.backward()
        assert loss.total.dtype == torch.float32
        assert loss.total.item() == pytest.approx(exact.item(), rel=0.05)
        assert all(p.grad.isfinite().all() for p in family.parameters() if p.grad is not None)


@every_family
def test_configuration_is_strict_and_names_its_phases(name):
    config, plain = class_of(name).Config, config_of(name)
    phases = make_family(name).phases
    assert tuple(phase.name for phase in phases) == config.PHASES
    assert set(plain.optimise) == set(config.PHASES)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        config.model_validate({"name": plain.name, "latent_dmi": 3})
    with pytest.raises(ValidationError, match=r"unknown 'no-such-phase'"):
        config.model_validate({"name": plain.name, "optimise": {**plain.model_dump()["optimise"], "no-such-phase": {}}})


@every_family
def test_first_losses_are_those_on_record(name):
    record = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    losses = first_losses(name)
    assert losses.keys() == record.keys()
    for phase, values in losses.items():
        assert values == pytest.approx(record[phase], rel=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if issubclass(class_of(name), FitsPrior)])
def test_a_fitted_prior_is_part_of_the_state_and_follows_its_generator(name):
    before, state = make_family(name).eval(), torch.get_rng_state()
    assert "fitted" in before.priors
    with pytest.raises(ValueError, match="no density was fitted"):
        before.sample(2, generator=torch.Generator().manual_seed(0), how=SampleOptions(prior="fitted"))
    first, same = ready_family(name), ready_family(name)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, same.state_dict()[key]) for key, value in first.state_dict().items())
    before.load_state_dict(first.state_dict())
    draws = [
        f.sample(4, generator=torch.Generator().manual_seed(1), how=SampleOptions(prior="fitted"))
        for f in (first, before)
    ]
    assert torch.equal(*draws)


@every_family
def test_weights_survive_a_round_trip_through_safetensors(name, tmp_path):
    from safetensors.torch import load_file, save_file

    family, other = ready_family(name, seed=0), make_family(name, seed=1).eval()
    save_file(family.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    draws = [f.sample(2, generator=torch.Generator().manual_seed(0)) for f in (family, other)]
    assert torch.equal(*draws) and draws[0].any()


def statistics_of(family: LearnsByEM, batches) -> dict[str, torch.Tensor]:
    statistics = family.new_statistics()
    for batch in batches:
        family.accumulate(batch, statistics)
    return statistics


def pieces(batch: Batch, sizes: list[int]) -> list[Batch]:
    parts = [(m, k) for m, k in zip(batch.motion_BTD.split(sizes), batch.mask_BT.split(sizes), strict=True)]
    return [Batch(motion, mask, {}) for motion, mask in parts]


@by_em
def test_statistics_do_not_depend_on_how_a_pass_is_cut_into_batches(name):
    family, batch, seen = make_family(name), make_batch(512), set()
    while not family.learnt:  # every kind of pass there is
        whole = statistics_of(family, [batch])
        cut = statistics_of(family, pieces(batch, [1, 100, 7, 404]))
        assert whole.keys() == cut.keys() and whole["windows"] > 0
        for statistic, value in whole.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(cut[statistic], value, rtol=1e-10, atol=1e-9)
        seen.add(tuple(whole))
        family.maximise(whole, generator=torch.Generator().manual_seed(0))
    assert any("log_likelihood" in kind for kind in seen)


@by_em
def test_statistics_add_up_the_family_s_own_log_density(name):
    family, batch = make_family(name), make_batch(512)
    learn_by_em(family, [batch], passes=8)
    statistics = statistics_of(family, [batch])
    # some learn from windows without padded frames alone, and count no others
    counted_B = batch.mask_BT.all(1) | (statistics["windows"] == len(batch.mask_BT))
    total = family.log_density(batch)[counted_B].sum()
    assert float(statistics["log_likelihood"]) == pytest.approx(float(total), rel=1e-12)


@by_em
def test_no_pass_lowers_the_likelihood(name):
    likelihoods = learn_by_em(make_family(name), [make_batch(512)], passes=25)
    assert len(likelihoods) > 10 and likelihoods[-1] > likelihoods[0] + 1
    for before, after in itertools.pairwise(likelihoods):
        assert after >= before - 1e-9 * abs(before)


@by_em
@pytest.mark.parametrize("junk", [1e6, float("nan")])
def test_what_padded_frames_hold_changes_neither_statistics_nor_density(name, junk):
    batch = make_batch(256)
    spoiled = batch._replace(motion_BTD=batch.motion_BTD.masked_fill(~batch.mask_BT[..., None], junk))
    family = make_family(name)
    while not family.learnt:
        clean, dirty = statistics_of(family, [batch]), statistics_of(family, [spoiled])
        assert all(torch.equal(clean[n], dirty[n]) for n in clean)
        assert torch.equal(family.log_density(batch), family.log_density(spoiled))
        family.maximise(clean, generator=torch.Generator().manual_seed(0))
    real = batch._replace(motion_BTD=batch.motion_BTD + 0.5 * batch.mask_BT[..., None])
    assert not torch.equal(family.log_density(batch), family.log_density(real)), "real frames do count"


@by_em
def test_the_m_step_takes_its_randomness_from_the_generator(name):
    state = torch.get_rng_state()

    def learn(seed: int) -> dict[str, torch.Tensor]:
        family = make_family(name)
        while not family.learnt:
            statistics = statistics_of(family, [make_batch(256)])
            family.maximise(statistics, generator=torch.Generator().manual_seed(seed))
        return family.state_dict()

    first, same, other = learn(0), learn(0), learn(1)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[n], same[n]) for n in first)
    assert not all(torch.equal(first[n], other[n]) for n in first)


@pytest.mark.parametrize("name", [name for name in CASES if issubclass(class_of(name), Scores)])
def test_densities_are_those_of_the_frames_that_are_there(name):
    family, batch = make_family(name), make_batch()
    density_B = family.log_density(batch)
    assert density_B.shape == (len(batch.motion_BTD),) and density_B.dtype == torch.float64
    assert density_B.isfinite().all()
