"""What of an activation is its style, and how far two styles are apart: the choice among the statistics.

A statistic belongs to one layer. It measures activations (B, N, H, W) into a tuple of tensors, makes a target of such a
tuple once, and gives the distance of other measurements to that target: 0 for the style itself, the same however the
positions are arranged. What is random in it is drawn on the CPU by `seed` and the layer's name and fixed for the run.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from nst_lab.config.schema import Config
from nst_lab.losses.statistics.gaussian_kernel import GaussianMmd
from nst_lab.losses.statistics.gram import Gram
from nst_lab.losses.statistics.measuring import Measured, Statistic, seed_of_layer
from nst_lab.losses.statistics.moments import BatchNorm, Moments, PolynomialMmd
from nst_lab.losses.statistics.transport import Histogram, SlicedWasserstein
from nst_lab.losses.statistics.wasserstein import Wasserstein2
from nst_lab.network.strips import Sum

__all__ = ["CONSTRUCTORS", "Measured", "Statistic", "as_sum", "statistic"]


def _histogram(config: Config, layer: str) -> Statistic:
    return Histogram(config.loss) if layer in config.loss.histogram_layers else Gram(config.loss)


CONSTRUCTORS: dict[str, Callable[[Config, str], Statistic]] = {
    "gram": lambda config, layer: Gram(config.loss, torch.bfloat16 if config.precision == "bf16" else None),
    "moments": lambda config, layer: Moments(config.loss),
    "bn": lambda config, layer: BatchNorm(config.loss),
    "w2": lambda config, layer: Wasserstein2(config.loss),
    "mmd_poly": lambda config, layer: PolynomialMmd(config.loss),
    "mmd_gauss": lambda config, layer: GaussianMmd(config.loss, seed_of_layer(config.seed, layer)),
    "swd": lambda config, layer: SlicedWasserstein(config.loss, seed_of_layer(config.seed, layer)),
    "histogram": _histogram,
}


def statistic(config: Config, layer: str) -> Statistic:
    """The style representation of one layer that a filled configuration names."""
    return CONSTRUCTORS[config.loss.statistic](config, layer)


def as_sum(statistic: Statistic, layer: str, guide: Tensor | None) -> Sum:
    """What a statistic measures of a layer as a sum over its rows: all `blendable` ones measure means over positions.

    But for Gram matrices that are divided by nothing, which are sums.
    """

    def of(features: Tensor, rows: slice, height: int) -> Measured:
        own = None if guide is None else guide[..., rows, :]
        share = 1.0 if isinstance(statistic, Gram) and statistic.divisor == "none" else features.shape[-2] / height
        return tuple(share * value for value in statistic.measure(features, own))

    return Sum(layer, of)
