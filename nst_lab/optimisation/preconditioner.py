"""What L-BFGS begins with instead of the identity: where the content holds a pixel fast, and where it leaves it free.

The Hessian of the content loss is about 2 Jᵀ J (Gauss-Newton), J the derivative of the content representation. Its
diagonal differs a thousandfold between an edge and an even surface, and L-BFGS with its few pairs would have to find
that out pixel by pixel.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab.losses.objective import Objective, digest

PROBES = 8  # backward passes, after one forward
NEIGHBOURHOOD = 9  # pixels, whose mean says more of each than so few probes do
FLOOR = 0.2  # of the mean curvature: what the style, which counts everywhere, adds about


def content_preconditioner(objective: Objective, content: Tensor) -> Tensor:
    """P = 1 / (d / mean(d) + 0.2), (1, 3, H, W): about the inverse of the content loss's diagonal curvature d.

    d = E[(Jᵀ v)²] with v random signs, the diagonal of Jᵀ J (Hutchinson 1990; Bekas, Kokiopoulou and Saad 2007, eq. 2),
    by 8 draws that are always the same, and the mean of 9×9 pixels.

    Args:
        objective: whose content representation counts, each layer by its weight and each position by its mask.
        content: RGB (1, 3, H, W) in [0, 1], where J is taken; ReLUs make it another one elsewhere.
    """

    def inverse() -> Tensor:
        margin = NEIGHBOURHOOD // 2
        curvature = F.avg_pool2d(_diagonal(objective, content), NEIGHBOURHOOD, 1, margin, count_include_pad=False)
        mean = curvature.mean()
        return 1 / (torch.where(mean > 0, curvature / mean, 1) + FLOOR)

    layers = tuple((layer, objective.content_share(layer)) for layer in objective.content_layers)
    guides = map(digest, objective.content_guides.values())
    return objective.memory.recall(("preconditioner", layers, digest(content), *guides), inverse)


def _diagonal(objective: Objective, content: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        picture = content.clone().requires_grad_()
        represented = objective.represent(picture)
        squares = torch.zeros_like(content)
        for left in reversed(range(PROBES)):
            probed = torch.zeros((), device=content.device)
            for layer, value in represented.items():
                probed = probed + math.sqrt(objective.content_share(layer)) * (_signs(value, random) * value).sum()
            (gradient,) = torch.autograd.grad(probed, picture, retain_graph=left > 0)
            squares += gradient.square()
    return squares / PROBES


def _signs(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.randint(0, 2, like.shape, generator=random, dtype=torch.int8).to(like).mul_(2).sub_(1)
