"""What of an activation is its style, and how far two styles are apart: Gram matrices, or Gaussians (Wasserstein-2).

A statistic belongs to one layer. It measures activations (B, C, H, W) into a tuple of tensors that may be averaged over
several styles, makes a target of such a tuple once, and gives the distance of other measurements to that target. With a
guide T (1, 1, H, W) of mean square 1 every position counts T² times: F∘T takes the place of F in second moments, and
means are Σ T² F / M.
"""

from typing import Protocol

import torch
from torch import Tensor

from nst_lab.config.schema import Config, Loss
from nst_lab.errors import ConfigError
from nst_lab.losses.terms import gram_matrix, squared_error

Measured = tuple[Tensor, ...]


class Statistic(Protocol):
    """What the objective needs of a style representation."""

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured: ...

    def target(self, measured: Measured) -> Measured: ...

    def distance(self, measured: Measured, target: Measured) -> Tensor: ...


class Gram:
    """E = mean or sum of (G − A)² over the Gram matrices (Gatys et al. 2016, eq. 4 without its factor)."""

    def __init__(self, loss: Loss):
        self.divisor, self.reduction = loss.gram_divisor, loss.style_reduction

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        return (gram_matrix(features if guide is None else features * guide, self.divisor),)

    def target(self, measured: Measured) -> Measured:
        return measured

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        return squared_error(measured[0], target[0], self.reduction)


class Wasserstein2:
    """Squared Wasserstein-2 distance of the Gaussians that have the activations' means and covariances.

    W = ‖μ − ν‖² + tr(Σ + T − 2 (T^½ Σ T^½)^½) with Σ = F Fᵀ / M − μ μᵀ + ε I, and ν, T the target's (Olkin and
    Pukelsheim 1982); `style_reduction: mean` divides by the number of filters, as crowsonkb/style-transfer-pytorch
    does. Measured are μ and the second moment F Fᵀ / M: unlike covariances they may be averaged.

    `w2_sqrt: exact` computes in float64, since small eigenvalues of Σ drown in float32 where filters outnumber
    positions. The last trace is the sum of the singular values of T^½ L with L Lᵀ = Σ: nothing is squared, and the
    gradient needs no differences of eigenvalues. `newton_schulz12` takes both roots by twelve Newton-Schulz iterations
    in the network's precision; small eigenvalues have then not converged, which is part of crowson's loss.
    """

    def __init__(self, loss: Loss):
        self.exact, self.eps, self.reduction = loss.w2_sqrt == "exact", loss.w2_eps, loss.style_reduction

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        if self.exact:
            # MPS has no float64.
            features = (features.cpu() if features.device.type == "mps" else features).double()
        if guide is None:
            return features.mean((-2, -1)), gram_matrix(features, "positions")
        guided = features * guide.to(features)
        return (guided * guide.to(features)).mean((-2, -1)), gram_matrix(guided, "positions")

    def target(self, measured: Measured) -> Measured:
        mean, covariance = measured[0], self._covariance(*measured)
        return mean, covariance, self._root(covariance)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        mean, covariance = measured[0], self._covariance(*measured)
        if not torch.isfinite(covariance).all():
            return covariance.sum()  # the loop stops at what is not finite; a decomposition would fail on it
        target_mean, target_covariance, target_root = target
        if self.exact:
            cross = torch.linalg.svdvals(target_root @ self._factor(covariance)).sum()
        else:
            cross = _trace(newton_schulz(target_root @ covariance @ target_root))
        total = (mean - target_mean).square().sum() + _trace(covariance) + _trace(target_covariance) - 2 * cross
        return total / mean.numel() if self.reduction == "mean" else total

    def _covariance(self, mean: Tensor, second_moment: Tensor) -> Tensor:
        identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
        return second_moment - mean[..., :, None] * mean[..., None, :] + self.eps * identity

    def _factor(self, covariance: Tensor) -> Tensor:
        try:
            return torch.linalg.cholesky(covariance)
        except torch.linalg.LinAlgError as error:
            what = "is lost in the rounding of these activations' covariance; choose a larger one"
            raise ConfigError(f"loss.w2_eps={self.eps:g}: {what}") from error

    def _root(self, matrix: Tensor) -> Tensor:
        if not self.exact:
            return newton_schulz(matrix)
        values, vectors = torch.linalg.eigh(matrix)
        return vectors * values.clamp_min(0).sqrt()[..., None, :] @ vectors.mT


def newton_schulz(matrix: Tensor, iterations: int = 12) -> Tensor:
    """About the square root of positive matrices (B, C, C), by the coupled iteration (Higham 2008, eq. 6.35).

    With Y₀ = A/‖A‖, Z₀ = I and T = (3 I − Z Y)/2: Y ← Y T, Z ← T Z; then Y √‖A‖. An eigenvalue λ ≪ ‖A‖ grows by 1.5 per
    iteration and stays below its root until it is near.
    """
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    y, z = matrix / norm, identity
    for _ in range(iterations):
        t = (3 * identity - z @ y) / 2
        y, z = y @ t, t @ z
    return y * norm.sqrt()


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum()


STATISTICS = {"gram": Gram, "w2": Wasserstein2}


def statistic(config: Config, layer: str) -> Statistic:
    """The style representation of one layer that a filled configuration names."""
    return STATISTICS[config.loss.statistic](config.loss)
