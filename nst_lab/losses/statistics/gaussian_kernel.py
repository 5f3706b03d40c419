"""The maximum mean discrepancy with a Gaussian kernel, by random Fourier features."""

from typing import Any

import torch
from torch import Tensor

from nst_lab.config.schema import Loss
from nst_lab.losses.statistics.measuring import Measured


class GaussianMmd:
    """MMD² with the kernel k(f, s) = exp(−γ ‖f − s‖²), 1/γ the mean squared distance of two of the style's positions.

    Li et al. 2017 (section 4.1; there γ is that of both pictures). It is the mean of |φ_F(ω) − φ_S(ω)|² over
    frequencies ω ~ N(0, 2γ I), where φ_F(ω) = mean over the positions of exp(i ωᵀf) (Rahimi and Recht 2007), and lies
    in [0, 4]. `mmd_samples` frequencies are drawn once and for all, by `seed` and the layer's name. Not pairs of
    positions are: with fixed pairs the style itself is no minimum, and positions that are in none have no gradient,
    while here every position counts, their order does not, and the style is at 0 exactly. The relative error of one
    layer's value is about √(2 / mmd_samples).

    A style whose positions are all equal takes its mean square in the place of the distance, and 1 if that is 0 too.
    `style_reduction` does not apply.
    """

    def __init__(self, loss: Loss, seed: int):
        self.samples, self.seed = loss.mmd_samples, seed

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        return (features.flatten(2),)

    def target(self, measured: Measured) -> Measured:
        (features,) = measured
        mean = features.mean(-1, keepdim=True)
        size, spread = features.square().sum(1).mean(), 2 * (features - mean).square().sum(1).mean()
        distance = torch.where(spread > 1e-6 * size, spread, torch.where(size > 0, size, 1.0))
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(self.samples, features.shape[1], generator=generator).to(features)
        frequencies = drawn * (2 / distance).sqrt()
        # Distances do not see a translation; phases near 0 are computed more exactly.
        origin = frequencies @ mean
        return frequencies, origin, *characteristic_function(features, frequencies, origin)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        (features,), (frequencies, origin, real, imaginary) = measured, target
        own_real, own_imaginary = characteristic_function(features, frequencies, origin)
        return ((own_real - real).square() + (own_imaginary - imaginary).square()).mean()


def characteristic_function(features: Tensor, frequencies: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cosine and sine of ωᵀf − origin over the positions of (B, N, M), each (B, n), for n frequencies (n, N)."""
    means: tuple[Tensor, Tensor] = _CharacteristicFunction.apply(features, frequencies, origin)
    return means


class _CharacteristicFunction(torch.autograd.Function):
    """Cosines and sines are each other's derivatives: kept for the gradient, they are computed once."""

    @staticmethod
    def forward(context: Any, features: Tensor, frequencies: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        phases = (frequencies @ features).sub_(origin)
        cosines, sines = phases.cos(), phases.sin_()
        context.save_for_backward(frequencies, cosines, sines)
        return cosines.mean(-1), sines.mean(-1)

    @staticmethod
    def backward(context: Any, real: Tensor, imaginary: Tensor) -> tuple[Tensor, None, None]:
        frequencies, cosines, sines = context.saved_tensors
        phases = (imaginary[..., None] * cosines).addcmul_(real[..., None], sines, value=-1)
        return frequencies.T @ phases / cosines.shape[-1], None, None
