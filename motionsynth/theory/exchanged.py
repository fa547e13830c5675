"""AAE, ALI, InfoGAN, CycleGAN and the VAE: the lemmas of both views, with x and z exchanged or joined.

A *translator* is a conditional density ``p_theta(t|s)`` from a source s to a target t. The GAN's generator goes from z
to x, the AAE's encoder from x to z, CycleGAN has one each way. Every experiment here calls the same code and differs in
what it calls source and target.

Shapes: S points of the source, N of the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import (
    gradient,
    jensen_shannon,
    kl,
    line,
    mean,
    middle,
    mismatch,
    normal,
    random_mixture,
    seeded,
    slope,
)
from motionsynth.theory.first_view import slopes

__all__ = ["EXPERIMENTS", "drawing"]


@dataclass(frozen=True, slots=True)
class _Translator:
    """From a source to a target; theta: slope, offset, bend and log width of ``p_theta(t|s)``."""

    source_S1: Tensor
    source_S: Tensor
    target_N1: Tensor
    target_N: Tensor
    theta_P: Tensor

    def given_SN(self, theta_P: Tensor) -> Tensor:
        """``log p_theta(t|s)``."""
        place_S1 = theta_P[0] * self.source_S1 + theta_P[1] + theta_P[2] * torch.sin(2 * self.source_S1)
        return normal(self.target_N1, place_S1, theta_P[3].exp().expand_as(place_S1))

    def joint_SN(self, theta_P: Tensor) -> Tensor:
        """``log p_theta(t|s) p(s)``."""
        return self.source_S.unsqueeze(1) + self.given_SN(theta_P)

    def made_N(self, theta_P: Tensor) -> Tensor:
        """``log p_theta(t)``: generated x, or the aggregate posterior of the codes."""
        return self.joint_SN(theta_P).logsumexp(0)

    def vae_term(self, theta_P: Tensor) -> Tensor:
        """``E_s KL(p_theta(t|s) || p(t))``."""
        return mean(self.source_S, kl(self.given_SN(theta_P), self.target_N))


def _pair(seed: int) -> tuple[_Translator, _Translator]:
    """From z to x and from x to z: z is N(0, 1), x a mixture."""
    generator = seeded(seed)
    code_S1, data_N1 = line(4.0, 41), line(6.0, 61)
    prior_S = normal(code_S1, torch.zeros(1).double(), torch.ones(1).double())
    data_N = random_mixture(data_N1, 3, generator)
    decoder, encoder = (
        torch.tensor(base, dtype=torch.float64) + 0.2 * torch.randn(4, dtype=torch.float64, generator=generator)
        for base in ([1.2, 0.2, 0.5, -0.5], [0.6, 0.1, 0.2, -0.7])
    )
    return (
        _Translator(code_S1, prior_S, data_N1, data_N, decoder),
        _Translator(data_N1, data_N, code_S1, prior_S, encoder),
    )


def _first_view(translator: _Translator) -> float:
    """Mismatch of the lemma of the first view for this translator's target."""
    found = slopes(translator.target_N, translator.made_N, translator.theta_P)
    return max(
        mismatch(found["notes"], found["softened"]),
        mismatch(found["non_saturating"], found["softened"]),
        mismatch(found["minimax"], found["js"]),
    )


@experiment("exchanged/gan", "d-i", "G(z)")
def gan(*, cases: int = 4) -> Outcome:
    """For x made from z: at D*(x) the generator's losses have the gradients of 2 KL(p/2+q/2 || p) and 2 JS."""
    return Outcome(max(_first_view(_pair(seed)[0]) for seed in range(cases)), detail=f"{cases} generators")


@experiment("exchanged/aae", "d-i a)", "AAE: z和x的位置对调")
def aae(*, cases: int = 4) -> Outcome:
    """AAE is that lemma with x and z exchanged: at D*(z), between q(z) and the aggregate posterior, for the encoder."""
    return Outcome(max(_first_view(_pair(seed)[1]) for seed in range(cases)), detail=f"{cases} encoders")


@experiment("exchanged/aae_vae_term", "d-i a)", "最小化p(z|x)和q(z)的距离")
def aae_vae_term(*, cases: int = 4) -> Outcome:
    """The VAE's second term E_x KL(p(z|x) || q(z)) is KL(aggregate posterior || q(z)) plus I(x; z)."""
    errors, shares = [], []
    for seed in range(cases):
        _, encoder = _pair(seed)
        given_SN, made_N = encoder.given_SN(encoder.theta_P), encoder.made_N(encoder.theta_P)
        whole = encoder.vae_term(encoder.theta_P)
        information = mean(encoder.source_S, kl(given_SN, made_N))
        errors.append(mismatch([float(whole)], [float(kl(made_N, encoder.target_N) + information)]))
        shares.append(float(information / whole))
    return Outcome(max(errors), detail=f"I(x; z) is {min(shares):.2f} to {max(shares):.2f} of the VAE's term")


@experiment("exchanged/aae_is_vae", "d-i a)", "最小化p(z|x)和q(z)的距离", stated="fails")
def aae_is_vae(*, cases: int = 4) -> Outcome:
    """The AAE's ideal, KL(aggregate posterior || q(z)), pulls the encoder as the VAE's E_x KL(p(z|x) || q(z)) does."""
    found = []
    for seed in range(cases):
        _, encoder = _pair(seed)
        aggregate = slope(partial(kl, other_N=encoder.target_N), encoder.made_N, encoder.theta_P)
        found.append(mismatch(gradient(encoder.vae_term, encoder.theta_P), aggregate))
    return Outcome(min(found), detail=f"{cases} encoders")


@experiment("exchanged/ali", "d-i b)", "ALI: p(z|x)p(x) 与 q(x|z)q(z)")
def ali(*, cases: int = 4) -> Outcome:
    """ALI is the lemma on pairs (x, z), for the decoder and, labels exchanged, for the encoder."""
    worst = 0.0
    for seed in range(cases):
        decoder, encoder = _pair(seed)
        inference_N = encoder.joint_SN(encoder.theta_P).flatten()
        generative_N = decoder.joint_SN(decoder.theta_P).T.flatten()
        for real_N, fake, theta_P in (
            (inference_N, lambda t, d=decoder: d.joint_SN(t).T.flatten(), decoder.theta_P),
            (generative_N, lambda t, e=encoder: e.joint_SN(t).flatten(), encoder.theta_P),
        ):
            found = slopes(real_N, fake, theta_P)
            worst = max(worst, mismatch(found["notes"], found["softened"]), mismatch(found["minimax"], found["js"]))
    return Outcome(worst, detail=f"{cases} pairs of networks")


@experiment("exchanged/ali_bound", "d-i b)", "ALI: 隐变量有z和y")
def ali_bound(*, cases: int = 8) -> Outcome:
    """ALI's JS of pairs bounds the GAN's JS of x and the AAE's JS of z from above."""
    excess, rows = 0.0, []
    for seed in range(cases):
        decoder, encoder = _pair(seed)
        inference_N = encoder.joint_SN(encoder.theta_P).flatten()
        pairs = float(jensen_shannon(inference_N, decoder.joint_SN(decoder.theta_P).T.flatten()))
        for translator in (decoder, encoder):
            alone = float(jensen_shannon(translator.target_N, translator.made_N(translator.theta_P)))
            excess = max(excess, alone - pairs)
            rows.append(alone / pairs)
    return Outcome(excess, detail=f"JS of one is {min(rows):.2f} to {max(rows):.2f} of the JS of pairs")


@dataclass(frozen=True, slots=True)
class _Judged:
    """A translator before a critic on the target and a recogniser of the source, neither of merit.

    The condition is (s, y): y = 0 is made from s, y = 1 is the target's own data whatever s. The judge is
    ``r(s, y|t) = q^r(y|t) q_eta(s|t, y)``; all of it is the second view's identity with (s, y) in the place of y.
    """

    translator: _Translator
    judge_2SN: Tensor

    def given_2SN(self, theta_P: Tensor) -> Tensor:
        made_SN = self.translator.given_SN(theta_P)
        return torch.stack([made_SN, self.translator.target_N.expand_as(made_SN)])

    def average(self, value_2S: Tensor) -> Tensor:
        """``E_{p(s) p(y)}``."""
        return 0.5 * mean(self.translator.source_S, value_2S).sum()

    def marginal_N(self, theta_P: Tensor) -> Tensor:
        return middle(self.translator.made_N(theta_P), self.translator.target_N)

    def left(self, theta_P: Tensor) -> Tensor:
        """``-E[log q^r(y|t) q_eta(s|t, y)]``: fool the critic and let s be recovered."""
        return self.average(-mean(self.given_2SN(theta_P), self.judge_2SN))

    def kl_term(self, theta_P: Tensor) -> Tensor:
        target_2SN = F.log_softmax(self.judge_2SN + self.marginal_N(self.translator.theta_P), -1)
        return self.average(kl(self.given_2SN(theta_P), target_2SN))

    def information(self, theta_P: Tensor) -> Tensor:
        """``I((s, y); t)``, the JSD over all conditions."""
        return self.average(kl(self.given_2SN(theta_P), self.marginal_N(theta_P)))

    def jsd(self, theta_P: Tensor) -> Tensor:
        return jensen_shannon(self.translator.made_N(theta_P), self.translator.target_N)


def _judged(translator: _Translator, seed: int) -> _Judged:
    generator = seeded(seed + 300)
    sources, targets = len(translator.source_S), len(translator.target_N)
    logit_N = torch.randn(targets, dtype=torch.float64, generator=generator)
    recovery_2SN = torch.randn(2, sources, targets, dtype=torch.float64, generator=generator).log_softmax(1)
    return _Judged(translator, torch.stack([F.logsigmoid(logit_N), F.logsigmoid(-logit_N)]).unsqueeze(1) + recovery_2SN)


def _second_view(judged: _Judged) -> float:
    theta_P = judged.translator.theta_P
    right = gradient(judged.kl_term, theta_P) - gradient(judged.information, theta_P)
    return mismatch(gradient(judged.left, theta_P), right)


@experiment("exchanged/infogan", "d-ii 2)", "infoGAN: 从x推出z")
def infogan(*, cases: int = 4) -> Outcome:
    """InfoGAN is the second view's identity with (z, y) for y: the judge recovers z too, and the JSD becomes I((z,y);
    x).
    """
    return Outcome(
        max(_second_view(_judged(_pair(seed)[0], seed)) for seed in range(cases)), detail=f"{cases} generators"
    )


@experiment("exchanged/infogan_jsd", "d-ii 2)", "infoGAN: 从x推出z", stated="fails")
def infogan_jsd(*, cases: int = 4) -> Outcome:
    """InfoGAN obeys the second view's identity with the GAN's JSD over y alone."""
    found = []
    for seed in range(cases):
        judged = _judged(_pair(seed)[0], seed)
        theta_P = judged.translator.theta_P
        right = gradient(judged.kl_term, theta_P) - gradient(judged.jsd, theta_P)
        found.append(mismatch(gradient(judged.left, theta_P), right))
    return Outcome(min(found), detail=f"{cases} generators")


@experiment("exchanged/infogan_recovery", "d-ii 2)", "qη(z|x,y)")
def infogan_recovery(*, cases: int = 4) -> Outcome:
    """Recovering z bounds I(z; x) from below: E[log q(z|x)] + H(z) = I(z; x) - E_x KL(p(z|x) || q(z|x))."""
    errors = []
    for seed in range(cases):
        decoder, _ = _pair(seed)
        joint_SN = decoder.joint_SN(decoder.theta_P)
        guess_SN = torch.randn(joint_SN.shape, dtype=torch.float64, generator=seeded(seed)).log_softmax(0)
        bound = (joint_SN.exp() * guess_SN).sum() - mean(decoder.source_S, decoder.source_S)
        made_N = decoder.made_N(decoder.theta_P)
        information = mean(decoder.source_S, kl(decoder.given_SN(decoder.theta_P), made_N))
        gap = mean(made_N, kl(joint_SN.log_softmax(0).T, guess_SN.T))
        errors.append(mismatch([float(bound)], [float(information - gap)]))
    return Outcome(max(errors), detail=f"{cases} recognisers of no merit")


@experiment("exchanged/aae_mirrored", "d-ii 4)", "AAE: x和z的位置调了")
def aae_mirrored(*, cases: int = 4) -> Outcome:
    """AAE is InfoGAN with x and z exchanged: the same identity for the encoder, the decoder recovering x."""
    return Outcome(
        max(_second_view(_judged(_pair(seed)[1], seed)) for seed in range(cases)), detail=f"{cases} encoders"
    )


@experiment("exchanged/cyclegan", "d-ii 5)", "cycleGAN: 把infoGAN和AAE两个图的线结合起来")
def cyclegan(*, cases: int = 4) -> Outcome:
    """CycleGAN is InfoGAN one way and AAE the other, each translator the other's recogniser: both identities hold."""
    worst = 0.0
    for seed in range(cases):
        there, back = _pair(seed)
        for one, other in ((there, back), (back, there)):
            critic_N = torch.randn(len(one.target_N), dtype=torch.float64, generator=seeded(seed))
            recovery_SN = other.given_SN(other.theta_P).T  # the cycle loss -log p(s|t) of the other translator
            judge_2SN = torch.stack([F.logsigmoid(critic_N) + recovery_SN, F.logsigmoid(-critic_N) + recovery_SN])
            worst = max(worst, _second_view(_Judged(one, judge_2SN)), _first_view(one))
    return Outcome(worst, detail=f"{cases} pairs of translators, both views")


def _adversarial_vae(seed: int, *, perfect: bool) -> tuple[Tensor, Tensor]:
    """Gradients of both networks: of the VAE as InfoGAN mirrored, and of the VAE."""
    decoder, encoder = _pair(seed)
    # the data lie left of 0 and what was generated before lies right, so that a perfect critic of x exists
    left_N = (encoder.source_S1[:, 0] < 0).double()
    data_N = encoder.source_S.exp() * left_N
    before_N = decoder.made_N(decoder.theta_P).exp() * (1 - left_N)
    data_N, before_N = data_N / data_N.sum(), before_N / before_N.sum()
    critic_N = left_N if perfect else 0.5 + 0.3 * (left_N - 0.5)

    def elbo_N(theta_P: Tensor) -> Tensor:
        encoder_NS, decoder_NS = encoder.given_SN(theta_P[4:]), decoder.given_SN(theta_P[:4]).T
        return mean(encoder_NS, decoder_NS) - kl(encoder_NS, encoder.target_N)

    both_P = torch.cat([decoder.theta_P, encoder.theta_P])
    # the critic weighs the decoder's branch, y = 0; the branch y = 1 is a constant
    with_critic = gradient(lambda t: (-0.5 * (data_N + before_N) * critic_N * elbo_N(t)).sum(), both_P)
    return with_critic, gradient(lambda t: (-0.5 * data_N * elbo_N(t)).sum(), both_P)


@experiment("exchanged/vae", "d-ii 3)", "VAE: 对抗关系是退化了的")
def vae(*, cases: int = 4) -> Outcome:
    """The VAE is InfoGAN mirrored with a perfect adversary, which leaves no trace in either network's gradient."""
    found = [mismatch(*_adversarial_vae(seed, perfect=True)) for seed in range(cases)]
    return Outcome(max(found), detail=f"{cases} pairs of networks")


@experiment("exchanged/vae_imperfect", "d-ii 3)", "VAE: 对抗关系是退化了的", stated="fails")
def vae_imperfect(*, cases: int = 4) -> Outcome:
    """With an adversary that errs, the mirrored InfoGAN's gradient still has the direction of the VAE's."""
    pairs = [_adversarial_vae(seed, perfect=False) for seed in range(cases)]
    found = [mismatch(with_critic / with_critic.norm(), plain / plain.norm()) for with_critic, plain in pairs]
    return Outcome(min(found), detail=f"{cases} pairs of networks")


def drawing(*, seed: int = 0) -> Drawing:
    """The VAE's term and the AAE's over the encoder's width."""
    _, encoder = _pair(seed)
    widths = torch.linspace(-2.0, 0.3, 41, dtype=torch.float64)
    vae_term, aae_term = [], []
    for width in widths:
        theta_P = torch.cat([encoder.theta_P[:3], width.view(1)])
        vae_term.append(float(encoder.vae_term(theta_P)))
        aae_term.append(float(kl(encoder.made_N(theta_P), encoder.target_N)))
    x = tuple(widths.exp().tolist())
    return Drawing(
        "exchanged",
        "The VAE's term counts the information I(x; z) that codes carry; the AAE's, of the aggregate "
        "posterior, does not",
        (
            Series("VAE: E KL(p(z|x) || q(z))", x, tuple(vae_term), "reference"),
            Series("AAE: KL(aggregate || q(z))", x, tuple(aae_term), "generated"),
            Series("difference: I(x; z)", x, tuple(a - b for a, b in zip(vae_term, aae_term, strict=True))),
        ),
        "encoder's width",
        "nats",
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    gan, aae, aae_vae_term, aae_is_vae, ali, ali_bound, infogan, infogan_jsd, infogan_recovery, vae, vae_imperfect,
    aae_mirrored, cyclegan,
)  # fmt: skip
