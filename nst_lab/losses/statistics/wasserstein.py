"""Wasserstein-2 distances of Gaussians."""

import torch
from torch import Tensor

from nst_lab.config.schema import Loss
from nst_lab.errors import ConfigError
from nst_lab.losses.statistics.measuring import Measured, covariance, moments


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
        return moments(features, None if guide is None else guide.to(features))

    def target(self, measured: Measured) -> Measured:
        mean, spread = measured[0], self._covariance(*measured)
        return mean, spread, self._root(spread)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        mean, spread = measured[0], self._covariance(*measured)
        if not torch.isfinite(spread).all():
            return spread.sum()  # the loop stops at what is not finite; a decomposition would fail on it
        target_mean, target_spread, target_root = target
        if self.exact:
            cross: Tensor = torch.linalg.svdvals(target_root @ self._factor(spread)).sum()
        else:
            cross = _trace(newton_schulz(target_root @ spread @ target_root))
        total = (mean - target_mean).square().sum() + _trace(spread) + _trace(target_spread) - 2 * cross
        return total / mean.numel() if self.reduction == "mean" else total

    def _covariance(self, mean: Tensor, second_moment: Tensor) -> Tensor:
        identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
        return covariance(mean, second_moment) + self.eps * identity

    def _factor(self, matrix: Tensor) -> Tensor:
        try:
            factor: Tensor = torch.linalg.cholesky(matrix)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            what = "is lost in the rounding of these activations' covariance; choose a larger one"
            raise ConfigError(f"loss.w2_eps={self.eps:g}: {what}") from error
        return factor

    def _root(self, matrix: Tensor) -> Tensor:
        if not self.exact:
            return newton_schulz(matrix)
        values, vectors = torch.linalg.eigh(matrix)
        root: Tensor = vectors * values.clamp_min(0).sqrt()[..., None, :] @ vectors.mT
        return root


def newton_schulz(matrix: Tensor, iterations: int = 12) -> Tensor:
    """About the square root of positive matrices (B, C, C), by the coupled iteration (Higham 2008, eq. 6.35).

    With Y₀ = A/‖A‖, Z₀ = I and T = (3 I − Z Y)/2: Y ← Y T, Z ← T Z; then Y √‖A‖. An eigenvalue λ ≪ ‖A‖ grows by 1.5 per
    iteration and stays below its root until it is near.
    """
    norm: Tensor = torch.linalg.matrix_norm(matrix, keepdim=True)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    y, z = matrix / norm, identity
    for _ in range(iterations):
        t = (3 * identity - z @ y) / 2
        y, z = y @ t, t @ z
    return y * norm.sqrt()


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum()
