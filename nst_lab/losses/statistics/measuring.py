"""What the families share: the protocol, means and second moments of a layer, and the seed of its draws."""

import hashlib
from typing import Protocol

from torch import Tensor

from nst_lab.losses.terms import gram_matrix

Measured = tuple[Tensor, ...]


class Statistic(Protocol):
    """What the objective needs of a style representation, one object per layer.

    F are the layer's activations (B, N, H, W), M = H W its positions. A `guide` T (1, 1, H, W) with mean(T²) = 1
    weights positions by T² in every mean; which statistics take one is said in `config/statistics.py`.
    """

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured: ...  # means over the positions

    def target(self, measured: Measured) -> Measured: ...

    def distance(self, measured: Measured, target: Measured) -> Tensor: ...


def moments(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Means Σ T² F / M, (B, N), and second moments (F∘T)(F∘T)ᵀ / M, (B, N, N); without a guide T = 1.

    Unlike covariances both may be averaged over pictures.
    """
    if guide is None:
        return features.mean((-2, -1)), gram_matrix(features, "positions")
    return (features * guide.square()).mean((-2, -1)), gram_matrix(features * guide, "positions")


def covariance(mean: Tensor, second_moment: Tensor) -> Tensor:
    """Σ = second moment − μ μᵀ, (B, N, N)."""
    return second_moment - mean[..., :, None] * mean[..., None, :]


def seed_of_layer(seed: int, layer: str) -> int:
    """The seed of a layer's draws: a hash of the run's seed and the layer's name, and of nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed} {layer}".encode()).digest()[:8])
