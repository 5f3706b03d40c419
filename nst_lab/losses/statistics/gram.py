"""Gram matrices."""

import torch
from torch import Tensor

from nst_lab.config.schema import Loss
from nst_lab.losses.statistics.measuring import Measured
from nst_lab.losses.terms import gram_matrix, squared_error


class Gram:
    """E = mean or sum of (G − A)² over the Gram matrices (Gatys et al. 2016, eq. 4 without its factor).

    `gram_shift` s makes them those of F + s (Novak and Nikulin 2016, "activation shift", s = −1 there): with s ≠ 0
    they hold the means as well, and rarely active filters count.

    `style_scale: target` divides E by the mean or sum of A², so that every layer counts alike however its activations
    are scaled (1 for a picture with G = 0). Untrained networks need it: He, Wang and Hopcroft 2016 (arXiv:1606.04801)
    blame their failure on badly scaled layers and divide each layer's loss by a factor of its own; that the factor is
    the target's mean square is this project's choice, not read in the paper.
    """

    def __init__(self, loss: Loss, gradient_type: torch.dtype | None = None):
        self.gradient_type = gradient_type
        self.divisor, self.reduction, self.shift = loss.gram_divisor, loss.style_reduction, loss.gram_shift
        self.scaled = loss.style_scale == "target"

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        if self.shift:
            features = features + self.shift
        features = features if guide is None else features * guide
        return (gram_matrix(features, self.divisor, self.gradient_type),)

    def target(self, measured: Measured) -> Measured:
        return measured

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        error = squared_error(measured[0], target[0], self.reduction)
        if not self.scaled:
            return error
        size = squared_error(target[0], torch.zeros_like(target[0]), self.reduction)
        return error / torch.where(size > 0, size, 1.0)
