"""A convolution with 3x3 filters by whichever of PyTorch's implementations suits it.

Of large float32 pictures on CPUs that is Winograd's algorithm (Lavin and Gray 2015, arXiv:1509.09308), F(6x6, 3x3),
from NNPACK, which comes with PyTorch and which PyTorch by itself does not take where it has oneDNN: a fifth of the
multiplications, half the time of an evaluation. Rounding is about 1e-5 of the greatest value, where it is 1e-6 of sums
of products. What it gives is the same with any number of threads.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

aten = torch.ops.aten
# Positions of the result from which on the filters, which are transformed every time, cost less than is saved.
WINOGRAD_POSITIONS = 512


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, margin: int, *, winograd: bool) -> Tensor:
    """What a convolution with a stride of 1 makes of x: (B, C, H, W) to (B, out, H + 2 margin - 2, W + 2 margin - 2).

    Args:
        x: with zeros around it, as many as `margin` says. In the memory format of the weight, which is the result's.
        weight: (out, C, 3, 3).
        bias: (out).
        margin: 0, 1 or 2.
        winograd: whether it may be by Winograd's algorithm; only of float32 on CPUs, in plain memory format, and where
            `has_winograd`.
    """
    if winograd and (x.shape[-2] + 2 * margin - 2) * (x.shape[-1] + 2 * margin - 2) >= WINOGRAD_POSITIONS:
        # One by one: NNPACK takes another algorithm for several, and a batch would differ from its pictures.
        convolved = [aten._nnpack_spatial_convolution(one, weight, bias, (margin, margin)) for one in x.split(1)]
        return convolved[0] if len(convolved) == 1 else torch.cat(convolved)
    if x.is_cpu and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # Always by oneDNN: PyTorch takes it for large inputs only, and a batch would differ from its pictures.
        once = (1, 1)
        direct: Tensor = aten.mkldnn_convolution(x, weight, bias, (margin, margin), once, once, 1)
        return direct
    return F.conv2d(x, weight, bias, padding=margin)


@cache
def has_winograd() -> bool:
    """Whether this PyTorch and this CPU have Winograd's algorithm."""
    return hasattr(aten, "_nnpack_spatial_convolution") and torch.backends.nnpack.is_available()
