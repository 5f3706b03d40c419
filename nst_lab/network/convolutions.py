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
TILE, SEEN = 6, 8  # of Winograd's algorithm: positions of a side of a tile of the result, and of what it is made of
# What tiles may be transformed to at once. Of 512x512 positions of 64 channels they take 230 MiB, and in strips a sixth
# more time; of larger pictures they would take more than anything else.
WORKSPACE_BYTES, LARGE_WORKSPACE_BYTES = 256 * 2**20, 48 * 2**20
LARGE = 2**18  # pixels of a picture, above which that is less


def most_workspace(pixels: int) -> int:
    """Bytes that Winograd's algorithm may take for a picture of so many pixels."""
    return LARGE_WORKSPACE_BYTES if pixels > LARGE else WORKSPACE_BYTES


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, margin: int, *, workspace: int = 0) -> Tensor:
    """What a convolution with a stride of 1 makes of x: (B, C, H, W) to (B, out, H + 2 margin - 2, W + 2 margin - 2).

    Args:
        x: with zeros around it, as many as `margin` says. In the memory format of the weight, which is the result's.
        weight: (out, C, 3, 3).
        bias: (out).
        margin: 0, 1 or 2.
        workspace: bytes that Winograd's algorithm may take beside, and keeps for the next convolution. 0: sums of
            products. Only of float32 on CPUs, in plain memory format, and where `has_winograd`.
    """
    if workspace and (x.shape[-2] + 2 * margin - 2) * (x.shape[-1] + 2 * margin - 2) >= WINOGRAD_POSITIONS:
        # One by one: NNPACK takes another algorithm for several, and a batch would differ from its pictures.
        convolved = [_by_winograd(one, weight, bias, margin, workspace) for one in x.split(1)]
        return convolved[0] if len(convolved) == 1 else torch.cat(convolved)
    if x.is_cpu and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # Always by oneDNN: PyTorch takes it for large inputs only, and a batch would differ from its pictures.
        once = (1, 1)
        direct: Tensor = aten.mkldnn_convolution(x, weight, bias, (margin, margin), once, once, 1)
        return direct
    return F.conv2d(x, weight, bias, padding=margin)


def _by_winograd(x: Tensor, weight: Tensor, bias: Tensor | None, margin: int, workspace: int) -> Tensor:
    """Of one picture; in strips of whole tiles, which alters no bit, where the workspace holds no more."""
    (channels, height, width), filters = x.shape[1:], len(weight)
    height, width = height + 2 * margin - 2, width + 2 * margin - 2
    rows = TILE * max(1, workspace // workspace_bytes(channels + filters, TILE, width))
    if rows >= height:
        whole: Tensor = aten._nnpack_spatial_convolution(x, weight, bias, (margin, margin))
        return whole
    convolved = x.new_empty(1, filters, height, width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        low, high = top - margin, bottom + 2 - margin
        seen = F.pad(x[..., max(low, 0) : high, :], (0, 0, max(-low, 0), max(high - x.shape[-2], 0)))
        convolved[..., top:bottom, :] = aten._nnpack_spatial_convolution(seen, weight, bias, (0, margin))
    return convolved


def workspace_bytes(channels: int, height: int, width: int) -> int:
    """For the transformed tiles of so many channels, those of x and of the result, and so many positions."""
    tiles = -(-height // TILE) * -(-width // TILE)
    return 4 * SEEN * SEEN * channels * tiles


@cache
def has_winograd() -> bool:
    """Whether this PyTorch and this CPU have Winograd's algorithm."""
    return hasattr(aten, "_nnpack_spatial_convolution") and torch.backends.nnpack.is_available()
