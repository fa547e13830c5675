"""The hidden Markov model, held against hmmlearn, brute force over all paths, and dense linear algebra."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hmmlearn.hmm import GaussianHMM
from pydantic import ValidationError

from motionsynth.config import TrainConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.errors import ConfigError
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.chain import draw_paths, expect, log_likelihoods
from motionsynth.families.gaussians import floored, log_densities
from motionsynth.families.hmm import HMM
from motionsynth.families.trajectory import differences, normal_equations, solve
from motionsynth.training.budget import refuse_company

SHAPE = MotionShape(frames=12, features=6, labels={})


def walks(count: int = 120, seed: int = 0, shape: MotionShape = SHAPE) -> Batch:
    """Waves with two gaits and noise; every third window is shorter."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(shape.frames) / 4
    phase, gait = torch.rand(2, count, 1, generator=generator)
    angle_BT = time * torch.where(gait < 0.5, 1.0, -2.0) + 6 * phase
    wave = torch.stack([torch.sin(angle_BT + k) * (1 + 0.3 * k) for k in range(shape.features)], 2)
    motion = wave + 0.3 * torch.randn(wave.shape, generator=generator)
    length_B = torch.where(torch.arange(count) % 3 == 0, shape.frames - 1 - torch.arange(count) % 5, shape.frames)
    mask = torch.arange(shape.frames) < length_B[:, None]
    return Batch(motion.masked_fill(~mask[..., None], 0.0), mask, {})


def make(**settings) -> HMM:
    defaults = {"states": 5, "axes": 4, "min_noise": 1e-3}
    return HMM(HMM.Config(**defaults | settings), SHAPE)


def learn(family: HMM, batch: Batch, passes: int) -> list[float]:
    trace = []
    for _ in range(passes):
        statistics = family.new_statistics()
        family.accumulate(batch, statistics)
        trace += [float(statistics["log_likelihood"])] if "log_likelihood" in statistics else []
        family.maximise(statistics, generator=torch.Generator().manual_seed(0))
    return trace


def frames_of(family: HMM, batch: Batch) -> tuple[np.ndarray, list[int], float]:
    """Coordinates along the axes, lengths, and the log-density of what the axes leave out."""
    x = batch.motion_BTD[batch.mask_BT].double() - family.centre_D
    y = x @ family.axes_ED.T
    rest = x - y @ family.axes_ED
    left_out = SHAPE.features - len(family.axes_ED)
    off = torch.distributions.Normal(0.0, family.noise.sqrt()).log_prob(rest).sum()
    # the remainder lies in a subspace: of the features' normal density only so many dimensions count
    off += 0.5 * len(x) * (SHAPE.features - left_out) * (2 * math.pi * family.noise).log()
    return y.numpy(), batch.mask_BT.sum(1).tolist(), float(off)


def theirs(family: HMM, passes: int = 0) -> GaussianHMM:
    """hmmlearn's own model, with the family's parameters as its start."""
    kind = family.config.covariance
    model = GaussianHMM(
        family.config.states, kind, covars_prior=0.0, covars_weight=1.0, n_iter=passes, tol=-math.inf, init_params=""
    )
    model.startprob_, model.transmat_ = family.start_S.numpy().copy(), family.transition_SS.numpy().copy()
    model.means_, model.covars_ = family.mean_SE.numpy().copy(), family.covariance.numpy().copy()
    return model


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_from_one_start_hmmlearn_fits_the_same_model(covariance):
    family, batch = make(covariance=covariance), walks()
    learn(family, batch, 2)
    assert torch.allclose(family.transition_SS.sum(1), torch.ones(5).double())
    y, lengths, off = frames_of(family, batch)
    model = theirs(family, passes=15).fit(y, lengths)
    trace = np.array(learn(family, batch, 15))
    np.testing.assert_allclose(trace - off, model.monitor_.history, rtol=1e-8)
    for ours, other in (
        (family.start_S, model.startprob_),
        (family.transition_SS, model.transmat_),
        (family.mean_SE, model.means_),
        (family.covariance, model._covars_),
    ):
        np.testing.assert_allclose(ours.numpy(), other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_densities_are_hmmlearn_s_scores_and_a_normal_remainder(covariance):
    family, batch = make(covariance=covariance), walks()
    learn(family, batch, 8)
    y, lengths, off = frames_of(family, batch)
    score = theirs(family).score(y, lengths)
    assert float(family.log_density(batch).sum()) == pytest.approx(score + off, rel=1e-10)


def test_its_own_variances_are_bounded_and_hmmlearn_s_priors_are_not_there():
    family = make(min_noise=0.5)
    learn(family, walks(), 8)
    assert float(torch.linalg.eigvalsh(family.covariance).min()) == pytest.approx(0.25, rel=1e-6)
    assert float(family.noise) >= 0.25


def test_a_bounded_covariance_is_the_most_likely_one():
    """``-log|C| - tr(C^-1 S)`` is highest there, among covariances with no eigenvalue below the bound."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(1, 4, 4, generator=generator, dtype=torch.float64)
    sample = root @ root.mT

    def fit(covariance):
        return float(-torch.logdet(covariance) - (torch.linalg.inv(covariance) @ sample).diagonal(0, 1, 2).sum())

    best = floored(sample, 0.5)
    assert float(torch.linalg.eigvalsh(sample).min()) < 0.5 <= float(torch.linalg.eigvalsh(best).min()) + 1e-12
    for _ in range(200):
        step = 0.05 * torch.randn(1, 4, 4, generator=generator, dtype=torch.float64)
        other = floored(best + step + step.mT, 0.5)
        assert fit(other) <= fit(best) + 1e-12


def test_density_sums_over_all_paths():
    family, batch = make(states=3), walks(6)
    learn(family, walks(), 6)
    short = Batch(batch.motion_BTD[:, :4], batch.mask_BT[:, :4], {})
    density_B = family.log_density(short)
    emission_BTS = family.emission(family.frames(short)).reshape(6, 4, 3)
    for emission_TS, density in zip(emission_BTS, density_B, strict=True):
        paths = []
        for path in itertools.product(range(3), repeat=4):
            moves = [family.transition_SS[a, b].log() for a, b in itertools.pairwise(path)]
            seen = [emission_TS[t, s] for t, s in enumerate(path)]
            paths.append(family.start_S[path[0]].log() + sum(moves) + sum(seen))
        assert float(density) == pytest.approx(float(torch.stack(paths).logsumexp(0)), rel=1e-12)


def test_density_integrates_to_one():
    """Of two frames of two features: by importance sampling from the prior draws of a wide Gaussian."""
    shape = MotionShape(frames=2, features=2, labels={})
    family = HMM(HMM.Config(states=2, axes=1, min_noise=0.2), shape)
    learn(family, walks(200, shape=MotionShape(8, 2, {})), 6)
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(20_000, 2, 2, generator=generator)
    log_q = torch.distributions.Normal(0.0, 2.0).log_prob(x).double().sum((1, 2))
    weight = (family.log_density(Batch(x, torch.ones(x.shape[:2], dtype=torch.bool), {})) - log_q).exp()
    assert float(weight.mean()) == pytest.approx(1.0, abs=4 * float(weight.std()) / math.sqrt(len(x)))
    assert float(weight.std()) / math.sqrt(len(x)) < 0.05


def test_improbable_sequences_take_the_recursion_in_logarithms():
    start, move = torch.tensor([1.0, 0.0]).double(), torch.eye(2).double()
    # the only path there is loses 5,000 nats a frame to one that is not
    emission = torch.tensor([[0.0, 0.0], [-5000.0, 0.0], [0.0, 0.0], [-3.0, -2.0]]).double()
    assert log_likelihoods(start, move, emission, [2, 2]).tolist() == [-5000.0, -3.0]
    expected = expect(start, move, emission, [2, 2])
    assert expected.log_likelihood == -5003.0
    assert expected.share_MS.tolist() == [[1.0, 0.0]] * 4 and expected.transition_SS.tolist() == [
        [2.0, 0.0],
        [0.0, 0.0],
    ]


def dense(mean_TO: torch.Tensor, precision_TO: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """W^T S^-1 W and W^T S^-1 m of one coordinate, with W written out."""
    frames = len(mean_TO)
    rows, target, weight = [], [], []
    identity = torch.eye(frames).double()
    for t in range(frames):
        rows.append(identity[t])
        target.append(mean_TO[t, 0])
        weight.append(precision_TO[t, 0])
        if 0 < t < frames - 1:
            moves = ((identity[t + 1] - identity[t - 1]) / 2, identity[t + 1] - 2 * identity[t] + identity[t - 1])
            for order, row in enumerate(moves[: mean_TO.shape[1] - 1], start=1):
                rows.append(row)
                target.append(mean_TO[t, order])
                weight.append(precision_TO[t, order])
    w, m, p = torch.stack(rows), torch.stack(target), torch.stack(weight)
    return w.T @ (p[:, None] * w), w.T @ (p * m)


@pytest.mark.parametrize("orders", [2, 3])
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_trajectories_are_those_of_dense_algebra(frames, orders):
    generator = torch.Generator().manual_seed(frames)
    mean = torch.randn(2, frames, orders, 3, generator=generator, dtype=torch.float64)
    precision = 0.1 + torch.rand(2, frames, orders, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, frames, 3, generator=generator, dtype=torch.float64)
    band = normal_equations(mean, precision)
    best, drawn = solve(band), solve(band, noise)
    for n, e in itertools.product(range(2), range(3)):
        matrix, right = dense(mean[n, :, :, e], precision[n, :, :, e])
        exact = torch.linalg.solve(matrix, right)
        torch.testing.assert_close(best[n, :, e], exact, rtol=1e-10, atol=1e-12)
        root = torch.linalg.cholesky(matrix)
        off = torch.linalg.solve_triangular(root.T, noise[n, :, e, None], upper=True)[:, 0]
        torch.testing.assert_close(drawn[n, :, e], exact + off, rtol=1e-10, atol=1e-12)


def test_differences_are_learnt_from_frames_of_one_sequence():
    """On ramps every slope is the ramp's and nothing bends; across the end of a clip it would be another."""
    slope_B = torch.tensor([0.5, 0.5, 0.5, 0.5])
    ramp = slope_B[:, None, None] * torch.arange(12)[:, None] * torch.ones(6)
    mask = torch.arange(12) < torch.tensor([12, 9, 12, 7])[:, None]
    family = make(states=1, axes=1, min_noise=0.1)
    learn(family, Batch(ramp, mask, {}), 3)
    slope, bend = (family.motion_mean_SOE[0] @ family.axes_ED).unbind()
    torch.testing.assert_close(slope, torch.full((6,), 0.5).double())
    torch.testing.assert_close(bend, torch.zeros(6).double(), atol=1e-9, rtol=0)
    y = torch.arange(8).double()[:, None].square()
    assert differences(y, torch.tensor([1, 4])).squeeze(2).tolist() == [[2.0, 2.0], [8.0, 2.0]]


def roughness(motion_NTD: torch.Tensor) -> float:
    return float(motion_NTD.diff(n=3, dim=1).square().mean().sqrt())


def test_drawn_trajectories_are_smooth_and_of_any_length():
    batch, rough = walks(400), {}
    for orders in (0, 2):
        family = make(states=12, differences=orders)
        learn(family, batch, 12)
        for show in ("mean", "sample"):
            how = SampleOptions(frames=40, show=show)
            drawn = family.sample(64, generator=torch.Generator().manual_seed(0), how=how)
            assert drawn.shape == (64, 40, 6) and drawn.isfinite().all()
            rough[orders, show] = roughness(drawn)
    assert rough[2, "mean"] < 0.5 * rough[0, "mean"] < rough[0, "sample"]
    assert rough[2, "mean"] < rough[2, "sample"] < rough[0, "sample"]
    noisy = make(states=12, differences=2, sample_noise=True)
    noisy.load_state_dict(family.state_dict())
    pairs = ((family, None), (noisy, "mean"), (noisy, None), (family, "sample"))
    draws = [f.sample(4, generator=torch.Generator().manual_seed(0), how=SampleOptions(show=s)) for f, s in pairs]
    assert torch.equal(draws[0], draws[1]) and torch.equal(draws[2], draws[3]) and not torch.equal(draws[0], draws[2])
    assert family.longest is None
    with pytest.raises(ValueError, match="1 frame or more, not 0"):
        family.sample(1, generator=torch.Generator().manual_seed(0), how=SampleOptions(frames=0))


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_without_differences_samples_follow_the_density(covariance):
    """Their mean log-density under the model is that of what it learnt, up to the error of the fit."""
    family = make(states=2, axes=2, covariance=covariance, differences=0, min_noise=0.1)
    learn(family, walks(300), 10)
    drawn = family.sample(4000, generator=torch.Generator().manual_seed(0), how=SampleOptions(show="sample"))
    again = make(states=2, axes=2, covariance=covariance, differences=0, min_noise=0.1)
    again.load_state_dict(family.state_dict())
    mask = torch.ones(drawn.shape[:2], dtype=torch.bool)
    before = family.log_density(Batch(drawn, mask, {})).mean()
    statistics = again.new_statistics()
    again.accumulate(Batch(drawn, mask, {}), statistics)
    again.maximise(statistics, generator=torch.Generator().manual_seed(0))
    gain = again.log_density(Batch(drawn, mask, {})).mean() - before
    assert 0 <= float(gain) < 0.02, "no M step makes its own samples more likely"
    torch.testing.assert_close(again.transition_SS, family.transition_SS, atol=0.02, rtol=0)
    torch.testing.assert_close(again.covariance, family.covariance, atol=0.03, rtol=0.05)


def test_paths_follow_start_and_moves():
    family = make(states=3)
    family.start_S.copy_(torch.tensor([0.2, 0.8, 0.0]))
    family.transition_SS.copy_(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]]))
    path_NT = draw_paths(family.start_S, family.transition_SS, 20_000, 3, generator=torch.Generator().manual_seed(0))
    counts = torch.zeros(3, 3).index_put_((path_NT[:, 0], path_NT[:, 1]), torch.tensor(1.0), accumulate=True)
    assert counts[2].sum() == 0 and counts[0, 2] == 0 and counts[1, 0] == 0
    torch.testing.assert_close(counts.sum(1) / 20_000, torch.tensor([0.2, 0.8, 0.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(counts[1] / counts[1].sum(), torch.tensor([0.0, 0.1, 0.9]), atol=0.01, rtol=0)


def test_an_empty_state_keeps_its_place():
    family, batch = make(states=5), walks()
    learn(family, batch, 3)
    family.mean_SE[4] = 1e4  # no frame is anywhere near
    statistics = family.new_statistics()
    family.accumulate(batch, statistics)
    terms = family.maximise(statistics, generator=torch.Generator().manual_seed(0))
    assert terms["empty_states"] == 1
    assert (family.mean_SE[4] == 1e4).all() and all(value.isfinite().all() for value in family.state_dict().values())
    assert float(family.start_S[4]) == 0


def test_too_few_frames_are_refused():
    few = Batch(walks(4).motion_BTD[:2], torch.ones(2, 12, dtype=torch.bool), {})
    with pytest.raises(ValueError, match=r"24 frames cannot start 25 states: lower family\.states"):
        learn(make(states=25), few, 2)


def test_settings_are_checked():
    assert HMM.Config().least_passes == 3
    with pytest.raises(ValidationError, match="covariance"):
        HMM.Config(covariance="tied")
    with pytest.raises(ValueError, match="unknown prior 'fitted', known: normal"):
        make().sample(1, generator=torch.Generator().manual_seed(0), how=SampleOptions(prior="fitted"))


def test_several_processes_are_refused():
    with pytest.raises(ConfigError, match="hmm must be trained by one process: hmmlearn"):
        refuse_company(HMM.Config(), TrainConfig(passes=9), 2)
    refuse_company(HMM.Config(), TrainConfig(passes=9), 1)


def test_drawing_needs_no_hmmlearn():
    code = (
        "import sys; sys.modules['hmmlearn'] = None\n"
        "import torch; from motionsynth.families.base import MotionShape; from motionsynth.families.hmm import HMM\n"
        "family = HMM(HMM.Config(), MotionShape(16, 10, {}))\n"
        "print(family.sample(2, generator=torch.Generator()).shape, 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch.Size([2, 16, 10]) False"


def test_log_densities_are_torch_s():
    generator = torch.Generator().manual_seed(0)
    x, mean = torch.randn(7, 3, generator=generator).double(), torch.randn(2, 3, generator=generator).double()
    root = torch.randn(2, 3, 3, generator=generator).double()
    full = root @ root.mT + 0.1 * torch.eye(3)
    for covariance, matrix in ((full, full), (full.diagonal(0, 1, 2), torch.diag_embed(full.diagonal(0, 1, 2)))):
        other = torch.distributions.MultivariateNormal(mean, matrix).log_prob(x[:, None])
        torch.testing.assert_close(log_densities(x, mean, covariance), other)
