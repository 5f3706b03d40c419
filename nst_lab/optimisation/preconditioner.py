"""What L-BFGS begins with instead of the identity: where the content holds a pixel fast, and where it leaves it free.

The Hessian of the content loss is about 2 Jᵀ J (Gauss-Newton), J the derivative of the content representation. Its
diagonal differs a thousandfold from place to place, and L-BFGS with its few pairs would have to find that out pixel by
pixel. The style holds all pixels about alike, and the more of the total it is, the less P differs.
"""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab.losses.objective import Objective, Place, digest

PROBES, STYLE_PROBES = 8, 2  # backward passes, after one forward; of the style only the mean is wanted
NEIGHBOURHOOD = 9  # pixels, whose mean says more of each than so few probes do
ROUNDING = 1e-8  # of the greatest curvature: less is what convolutions leave where the content does not count
LEAST_FLOOR = 0.05  # of the mean curvature; no pixel is left to the noise of the probes

T = TypeVar("T", bound=Hashable)


def content_preconditioner(objective: Objective, content: Tensor, *, grey: bool = False) -> Tensor:
    """P = 1 / (d / mean(d) + ρ), (1, 3, H, W): about the inverse of the diagonal curvature, ρ = mean(s) / mean(d).

    d and s are the diagonals of Jᵀ J of the content representation and of the Gram matrices, as their squared errors
    weigh in the total: E[(Jᵀ v)²] with v random signs (Hutchinson 1990; Bekas, Kokiopoulou and Saad 2007, eq. 2), by 8
    and 2 draws that are always the same; d is the mean of 9×9 pixels, its own mean that of the pixels that count at
    all, and ρ at least 0.05.

    Args:
        objective: with Gram matrices, or without a style.
        content: RGB (1, 3, H, W) in [0, 1], where J is taken; ReLUs make it another one elsewhere.
        grey: whether one value stands for all three channels; P is then (1, 1, H, W).
    """
    contents, styles = objective.content_weights(), objective.gram_weights()
    shares, style_shares = _shares(contents), _shares(styles)

    def measure() -> tuple[Tensor, Tensor]:
        return _curvatures(objective, content, shares, style_shares, grey)

    guides = [
        *objective.content_guides.values(),
        *(each for each in objective.measurements.values() if each is not None),
    ]
    pictures = tuple(map(digest, [content, *guides]))
    key = "curvatures", objective.form, grey, tuple(shares.items()), tuple(style_shares.items()), pictures
    diagonal, style = objective.memory.recall(key, measure)
    mean = diagonal.sum() / (diagonal > ROUNDING * diagonal.max()).sum()
    floor = (sum(styles.values()) * style / (sum(contents.values()) * mean)).clamp_min(LEAST_FLOOR)
    return torch.where(mean > 0, 1 / (diagonal / mean + floor), 1.0)


def _curvatures(
    objective: Objective, content: Tensor, shares: dict[str, float], style_shares: dict[Place, float], grey: bool
) -> tuple[Tensor, Tensor]:
    """The diagonal by the content's shares (1, 3 or 1, H, W), and the mean () of that by the style's."""
    random = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        picture = content.clone().requires_grad_()
        represented, measured = objective.represent(picture)
        of_content = [(math.sqrt(shares[layer]), value) for layer, value in represented.items()]
        of_style = [(math.sqrt(style_shares[place]), gram) for place, (gram,) in measured.items()]
        probes = [of_content] * PROBES + [of_style] * (STYLE_PROBES if of_style else 0)
        squares, style = torch.zeros_like(content[:, :1] if grey else content), content.new_zeros(())
        for left, probe in zip(reversed(range(len(probes))), probes, strict=True):
            probed = torch.stack([root * (_signs(value, random) * value).sum() for root, value in probe]).sum()
            (gradient,) = torch.autograd.grad(probed, picture, retain_graph=left > 0)
            square = (gradient.sum(dim=1, keepdim=True) if grey else gradient).square()
            if probe is of_content:
                squares += square
            else:
                style += square.mean()
    margin = NEIGHBOURHOOD // 2
    diagonal = F.avg_pool2d(squares / PROBES, NEIGHBOURHOOD, 1, margin, count_include_pad=False)
    return diagonal, style / STYLE_PROBES


def _shares(weights: Mapping[T, float]) -> dict[T, float]:
    """The same relative to their sum, and the same whatever they are all multiplied by."""
    return {name: round(weight / sum(weights.values()), 12) for name, weight in weights.items()}


def _signs(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.randint(0, 2, like.shape, generator=random, dtype=torch.int8).to(like).mul_(2).sub_(1)
