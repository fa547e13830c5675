"""Likelihoods and divergences of latents: pure functions, one reference each.

Shapes: B batch, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "free_bits",
    "gaussian_nll",
    "kl_to_standard_normal",
    "laplace_nll",
    "masked_errors",
    "masked_squared_error",
]


def masked_squared_error(motion_BTD: Tensor, other_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Squared error of each window, summed over its frames and features: ``sum_td m_t (x_td - y_td)^2``.

    Args:
        motion_BTD: (B, T, D) features.
        other_BTD: (B, T, D) features.
        mask_BT: (B, T) False on the padded frames, which count nothing whatever stands in them.

    Returns:
        (B,)
    """
    difference_BTD = (motion_BTD - other_BTD).masked_fill_(~mask_BT.unsqueeze(2), 0.0)
    return difference_BTD.square().sum((1, 2))


def masked_errors(motion_BTD: Tensor, other_BTD: Tensor, mask_BT: Tensor, *, power: Literal[1, 2] = 2) -> Tensor:
    """Error of each feature of each window, summed over its frames: ``sum_t m_t |x_td - y_td|^power``.

    Args:
        motion_BTD: (B, T, D) features.
        other_BTD: (B, T, D) features.
        mask_BT: (B, T) False on the padded frames, which count nothing whatever stands in them.
        power: 2 for squared, 1 for absolute errors.

    Returns:
        (B, D)
    """
    difference_BTD = (motion_BTD - other_BTD).masked_fill_(~mask_BT.unsqueeze(2), 0.0)
    return (difference_BTD.square() if power == 2 else difference_BTD.abs()).sum(1)


def gaussian_nll(squared_error_B: Tensor, count_B: Tensor, variance: Tensor) -> Tensor:
    """``-log N(x; mean, sigma^2 I) = 1/2 (n log(2 pi sigma^2) + |x - mean|^2 / sigma^2)`` of each window, in nats.

    Any shapes that fit one another do, such as (B, D) errors, (B, 1) counts and (D,) variances of features.

    References:
        Rybkin, Daniilidis & Levine, Simple and Effective VAE Training with Calibrated Decoders, 2021, for one variance
        shared by all elements and its optimum, the mean squared error.

    Args:
        squared_error_B: (B,) ``|x - mean|^2``, summed.
        count_B: (B,) n, the numbers summed over.
        variance: scalar ``sigma^2``.

    Returns:
        (B,)
    """
    return 0.5 * (count_B * torch.log(2 * math.pi * variance) + squared_error_B / variance)


def laplace_nll(absolute_error_B: Tensor, count_B: Tensor, scale: Tensor) -> Tensor:
    """``-log prod 1/(2b) exp(-|x - mean| / b) = n log(2 b) + |x - mean|_1 / b`` of each window, in nats.

    The best ``b`` is the mean absolute error; the variance is ``2 b^2``. Any shapes that fit one another do.

    Args:
        absolute_error_B: (B,) ``|x - mean|_1``, summed.
        count_B: (B,) n, the numbers summed over.
        scale: scalar ``b``.

    Returns:
        (B,)
    """
    return count_B * torch.log(2 * scale) + absolute_error_B / scale


def free_bits(kl_Z: Tensor, joined_Z: Tensor, least: float) -> Tensor:
    """``sum_z max(least, KL_z)``: a dimension whose KL is below ``least`` is not pushed further down.

    References:
        Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow, 2016, appendix C.8.

    Args:
        kl_Z: (Z,) KL of each dimension, mean over the windows of this process, in nats.
        joined_Z: (Z,) that over all processes, which says what is below: ``StepContext.mean`` of ``kl_Z``.
        least: nats of each dimension that cost nothing.

    Returns:
        Scalar.
    """
    return torch.where(joined_Z > least, kl_Z, least).sum()


def kl_to_standard_normal(mean_BZ: Tensor, log_variance_BZ: Tensor) -> Tensor:
    """``KL(N(mean, diag(variance)) || N(0, I)) = 1/2 sum_z (mean^2 + variance - 1 - log variance)``, in nats.

    References:
        Kingma & Welling, Auto-Encoding Variational Bayes, 2014, appendix B.

    Args:
        mean_BZ: (B, Z) means.
        log_variance_BZ: (B, Z) logarithms of the variances.

    Returns:
        (B, Z), one value a dimension.
    """
    return 0.5 * (mean_BZ.square() + log_variance_BZ.expm1() - log_variance_BZ)
