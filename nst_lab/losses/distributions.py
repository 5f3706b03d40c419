"""Distributions of features, compared direction by direction: the sliced Wasserstein distance (Heitz et al. 2021).

As there, a layer is seen along as many random directions as it has channels; here they are orthonormal and always the
same, so that values compare.
"""

from functools import lru_cache

import numpy
import torch
from torch import Tensor

PARTS = 256  # parts of equal mass that a distribution is cut into


@lru_cache
def directions(channels: int, bases: int = 1) -> Tensor:
    """`bases` random orthonormal bases of the channels, (bases * channels, channels), the same in every process.

    Orthonormal directions measure a translation of all features by v exactly: the mean of (θ·v)² is ‖v‖² / channels.
    """
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(bases, channels, channels, generator=generator)
    return torch.linalg.qr(gaussian).Q.mT.reshape(bases * channels, channels)


def quantiles(features: Tensor, directions: Tensor) -> Tensor:
    """The distribution of features (C, M) along every direction (n, C), as (n, 256) means of its quantile function.

    Along one direction the Wasserstein-2 distance of two distributions is the L2 distance of their quantile functions.
    Pictures of different sizes compare because every function is averaged over 256 parts of equal mass; unlike samples
    of it, the parts keep the tails.
    """
    projected = numpy.sort((directions.to(features.device) @ features).cpu().numpy(), axis=1)
    count, positions = projected.shape
    total = numpy.zeros((count, positions + 1))
    numpy.cumsum(projected, axis=1, out=total[:, 1:])
    ends = numpy.arange(PARTS + 1) * positions / PARTS
    below = ends.astype(int).clip(max=positions - 1)
    integral = total[:, below] + (ends - below) * projected[:, below]
    return torch.from_numpy(numpy.diff(integral) * PARTS / positions).float()


def relative_difference(a: Tensor, b: Tensor) -> Tensor:
    """δ(a, b) = ‖a − b‖ / √(‖a‖² + ‖b‖²) over the last dimension, in float64; 0 where both are zero."""
    a, b = a.double(), b.double()
    size = torch.hypot(a.norm(dim=-1), b.norm(dim=-1))
    return (a - b).norm(dim=-1) / torch.where(size > 0, size, 1.0)
