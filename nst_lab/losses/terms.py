"""The terms of the loss, one function each: content representation, Gram matrix, total variation.

F is an activation (B, C, H, W), N = C its number of filters and M = H * W its number of positions. Every function
returns the raw value, before any weight.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def gram_matrix(features: Tensor, divisor: str = "positions", gradient_type: torch.dtype | None = None) -> Tensor:
    """Gram matrix G = F Fᵀ, (B, C, C), of the activations (B, C, H, W) (Gatys et al. 2016, eq. 3).

    Args:
        features: activations of one layer.
        divisor: `positions` gives F Fᵀ / M, so that pictures of different sizes compare; `channels_positions` gives
            F Fᵀ / (N M); `none` the plain sum.
        gradient_type: what the gradient's product is computed in, that of the activations by default; a network in
            bfloat16 goes on with it in that.
    """
    _, channels, height, width = features.shape
    scale = {"positions": height * width, "channels_positions": channels * height * width, "none": 1}[divisor]
    product: Tensor = _OuterProduct.apply(features.flatten(2), gradient_type or features.dtype)
    return product.div_(scale)


class _OuterProduct(torch.autograd.Function):
    """F Fᵀ of (B, N, M). Its gradient (D + Dᵀ) F takes one matrix product; autograd, unaware of the symmetry, two."""

    @staticmethod
    def forward(context: Any, features: Tensor, gradient_type: torch.dtype) -> Tensor:
        context.save_for_backward(features.to(gradient_type))
        return features @ features.transpose(1, 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        features: Tensor
        (features,) = context.saved_tensors
        both = (gradient + gradient.transpose(1, 2)).to(features.dtype)
        # The result is laid out as the features are, which may be channels last.
        if features.is_contiguous():
            return _products(both, features).to(gradient.dtype), None
        return _products(features.transpose(1, 2), both).transpose(1, 2).to(gradient.dtype), None


def _products(left: Tensor, right: Tensor) -> Tensor:
    """(B, I, J) and (B, J, K) -> (B, I, K), the same for a picture alone and in a batch.

    CPUs would add up a batch of matrices of few rows in another order than one of them.
    """
    if not left.is_cpu or len(left) == 1:
        return left @ right
    products = left.new_empty(*left.shape[:2], right.shape[2])
    for one, other, product in zip(left, right, products, strict=True):
        torch.mm(one, other, out=product)
    return products


def squared_error(value: Tensor, target: Tensor, reduction: str) -> Tensor:
    """Mean or sum of (value - target)² over all elements.

    With `sum` and a factor ½ on activations this is the printed content loss (Gatys et al. 2016, eq. 1); with `mean`
    and a factor ¼ on Gram matrices divided by M it is the printed E_l (eq. 4).
    """
    return F.mse_loss(value, target, reduction=reduction)


def revival(pre_activation: Tensor, target: Tensor, reduction: str) -> Tensor:
    """Mean or sum of 2 P max(−z, 0): what draws a unit that is off, z < 0, to where its ReLU comes on.

    The content loss (max(z, 0) − P)² is flat where z < 0, so a unit that the content has on and the picture off is not
    missed. With this added it goes on there in a straight line, as steep as it is at 0, and is convex in z.

    Args:
        pre_activation: z (B, C, H, W), before the ReLU.
        target: P, not negative, of the content after it; times the square of a guide where there is one.
        reduction: as of the content loss.
    """
    value = 2 * target * F.relu(-pre_activation)
    return value.mean() if reduction == "mean" else value.sum()


def total_variation(image: Tensor, form: str, reduction: str, exponent: float = 2) -> Tensor:
    """Total variation of a picture (B, 3, H, W), from differences to neighbours.

    Args:
        image: RGB in the range that the convention measures on.
        form: `l1` adds |d| and `squared` adds d² of the right and the lower neighbour (anisotropic); `nine_point` adds
            ⅔ d² of those and ⅙ d² of the two diagonals, the border replicated (crowsonkb/style-transfer-pytorch);
            `squared_gradient` is ½ d² of right and lower where both exist, whose gradient the Lua original of
            jcjohnson/neural-style applies (`Objective` leaves its value out of the loss); `l2` is √(d_r² + d_l²) of the
            right and the lower neighbour (isotropic), a neighbour beyond the border counting as equal; `power` is that
            to the power of `exponent` (Mahendran and Vedaldi 2015, section 3: their β). The gradient of both is 0 where
            nothing differs.
        reduction: `sum`, or `mean` over each direction's differences (of `l2` and `power`, over all values).
        exponent: at least 1.
    """
    if form in ("l2", "power"):
        variation = _isotropic(image, 1 if form == "l2" else exponent)
        return variation.mean() if reduction == "mean" else variation.sum()
    # A picture one pixel wide has no neighbours in that direction; the mean of nothing would be NaN.
    parts = [weight * _reduce(d, form, reduction) for weight, d in _differences(image, form) if d.numel()]
    return sum(parts, start=image.new_zeros(()))


def _isotropic(image: Tensor, exponent: float) -> Tensor:
    right, lower = F.pad(image.diff(dim=-1), (0, 1)), F.pad(image.diff(dim=-2), (0, 0, 0, 1))
    squares = right.square() + lower.square()
    varies = squares > 0
    # Where nothing differs a root has no gradient; it must not be computed there either, since 0 · ∞ is NaN.
    return torch.where(varies, torch.where(varies, squares, 1.0) ** (exponent / 2), 0.0)


def _differences(image: Tensor, form: str) -> list[tuple[float, Tensor]]:
    if form == "nine_point":
        x = F.pad(image, (1, 1, 1, 1), mode="replicate")
        right, lower = x[..., 1:-1, 2:] - x[..., 1:-1, 1:-1], x[..., 2:, 1:-1] - x[..., 1:-1, 1:-1]
        diagonals = x[..., 1:, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, 1:]
        return [(2 / 3, right), (2 / 3, lower), *((1 / 6, diagonal) for diagonal in diagonals)]
    if form == "squared_gradient":
        return [(0.5, image[..., :-1, :].diff(dim=-1)), (0.5, image[..., :, :-1].diff(dim=-2))]
    return [(1.0, image.diff(dim=-1)), (1.0, image.diff(dim=-2))]


def _reduce(difference: Tensor, form: str, reduction: str) -> Tensor:
    values = difference.abs() if form == "l1" else difference.square()
    return values.mean() if reduction == "mean" else values.sum()
