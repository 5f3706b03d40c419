"""The terms of the loss, one function each: content representation, style representation (Gram matrix), TV.

F is an activation (B, C, H, W), N = C its number of filters and M = H * W its number of positions. Every function
returns the raw value, before any weight.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def gram_matrix(features: Tensor, divisor: str = "positions") -> Tensor:
    """Gram matrix G = F Fᵀ, (B, C, C), of the activations (B, C, H, W) (Gatys et al. 2016, eq. 3).

    Args:
        features: activations of one layer.
        divisor: `positions` gives F Fᵀ / M, so that pictures of different sizes compare; `channels_positions` gives
            F Fᵀ / (N M); `none` the plain sum.
    """
    _, channels, height, width = features.shape
    scale = {"positions": height * width, "channels_positions": channels * height * width, "none": 1}[divisor]
    return _OuterProduct.apply(features.flatten(2)) / scale


class _OuterProduct(torch.autograd.Function):
    """F Fᵀ of (B, N, M). Its gradient (D + Dᵀ) F takes one matrix product; autograd, unaware of the symmetry, two."""

    @staticmethod
    def forward(context, features: Tensor) -> Tensor:
        context.save_for_backward(features)
        return features @ features.transpose(1, 2)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (features,) = context.saved_tensors
        return (gradient + gradient.transpose(1, 2)) @ features


def squared_error(value: Tensor, target: Tensor, reduction: str) -> Tensor:
    """Mean or sum of (value - target)² over all elements.

    With `sum` and a factor ½ on activations this is the printed content loss (Gatys et al. 2016, eq. 1); with `mean`
    and a factor ¼ on Gram matrices divided by M it is the printed E_l (eq. 4).
    """
    return F.mse_loss(value, target, reduction=reduction)


def total_variation(image: Tensor, form: str, reduction: str) -> Tensor:
    """Total variation of a picture (B, 3, H, W): differences to the right and lower neighbour.

    Args:
        image: RGB in [0, 1].
        form: `l1` takes |d|, `squared` takes d² (both anisotropic: the two directions are added).
        reduction: `sum`, or `mean` over each direction's differences.
    """
    measure = torch.abs if form == "l1" else torch.square
    differences = (image.diff(dim=-1), image.diff(dim=-2))
    # A picture one pixel wide has no neighbours in that direction; the mean of nothing would be NaN.
    parts = [measure(d).mean() if reduction == "mean" else measure(d).sum() for d in differences if d.numel()]
    return sum(parts, start=image.new_zeros(()))
