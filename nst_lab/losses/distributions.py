"""Distributions of features, seen direction by direction: quantile functions, of the metric and of the loss.

The metric's quantiles are not differentiable, and its directions always the same, so that values compare; as in Heitz
et al. 2021 a layer is seen along as many directions as it has channels.
"""

from functools import lru_cache

import numpy
import torch
from torch import Tensor

PARTS = 256  # parts of equal mass that a distribution is cut into


@lru_cache
def directions(channels: int, bases: int = 1, seed: int = 0) -> Tensor:
    """`bases` random orthonormal bases of the channels, (bases * channels, channels), the same in every process.

    Orthonormal directions measure a translation of all features by v exactly: the mean of (θ·v)² is ‖v‖² / channels.
    """
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(bases, channels, channels, generator=generator)
    orthonormal: Tensor = torch.linalg.qr(gaussian).Q.mT
    return orthonormal.reshape(bases * channels, channels)


def quantiles(features: Tensor, directions: Tensor) -> Tensor:
    """The distribution of features (C, M) along every direction (n, C), as (n, 256) means of its quantile function.

    Along one direction the Wasserstein-2 distance of two distributions is the L2 distance of their quantile functions.
    Pictures of different sizes compare because every function is averaged over 256 parts of equal mass; unlike samples
    of it, the parts keep the tails.
    """
    projected = numpy.sort((directions.to(features.device) @ features).cpu().numpy(), axis=1)
    return part_means(torch.from_numpy(projected), PARTS)


def part_means(ascending: Tensor, parts: int) -> Tensor:
    """Means of the quantile function of sorted values (…, M) over `parts` parts of equal mass, (…, parts)."""
    positions = ascending.shape[-1]
    if parts == positions:
        return ascending
    # MPS has no float64.
    values = (ascending.cpu() if ascending.device.type == "mps" else ascending).double()
    total = torch.nn.functional.pad(values.cumsum(-1), (1, 0))
    ends = torch.arange(parts + 1, dtype=torch.float64, device=values.device) * positions / parts
    below = ends.long().clamp_max(positions - 1)
    integral = total[..., below] + (ends - below) * values[..., below]
    return (integral.diff(dim=-1) * parts / positions).to(ascending)


def relative_difference(a: Tensor, b: Tensor) -> Tensor:
    """δ(a, b) = ‖a − b‖ / √(‖a‖² + ‖b‖²) over the last dimension, in float64; 0 where both are zero."""
    a, b = a.double(), b.double()
    size = torch.hypot(a.norm(dim=-1), b.norm(dim=-1))
    distance: Tensor = (a - b).norm(dim=-1)
    return distance / torch.where(size > 0, size, 1.0)
