"""What the optimiser's variable means: pixels, one grey channel, or decorrelated Fourier coefficients.

A parametrisation is linear and invertible: `picture(variable(x))` is x for every x it can show, so every start can be
given and every scale can go on from the one before.
"""

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

# Root of the covariance of colours in natural pictures: RGB = this @ decorrelated. Measured on ImageNet by the authors
# of tensorflow/lucid (`color_correlation_svd_sqrt` in lucid/optvis/param/color.py), the code of Olah et al. 2017.
COLORS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


class Parametrisation(Protocol):
    """Pictures (1, 3, H, W) from a variable, and back."""

    def picture(self, variable: Tensor) -> Tensor: ...

    def variable(self, picture: Tensor) -> Tensor: ...


class Pixels:
    """The variable is the picture."""

    def picture(self, variable: Tensor) -> Tensor:
        return variable

    def variable(self, picture: Tensor) -> Tensor:
        return picture


class Grey:
    """The variable (1, 1, H, W), in a parametrisation of its own, is each of the three channels.

    Of a picture whose channels differ, such as noise, the first is taken: their mean would have a smaller deviation.
    """

    def __init__(self, channel: Parametrisation):
        self.channel = channel

    def picture(self, variable: Tensor) -> Tensor:
        return self.channel.picture(variable).expand(-1, 3, -1, -1)

    def variable(self, picture: Tensor) -> Tensor:
        return self.channel.variable(picture[:, :1])


class Fourier:
    """Coefficients z of frequencies, divided by the amplitude that natural pictures have there: x = C ℋ(s z).

    ℋ is the two-dimensional Hartley transform, Re − Im of the Fourier transform divided by √(H W): the real form of the
    FFT that has as many coefficients as pixels, is orthonormal and its own inverse. s = 1 / max(f, 1/max(H, W)) is the
    amplitude at frequency f in cycles per pixel, C the root of the covariance of colours (Olah, Mordvintsev, Schubert
    2017, *Feature Visualization*; Mordvintsev et al. 2018, *Differentiable Image Parameterizations*). Both are scaled
    so that the mean of s² and that of the squared norms of C's columns are 1: independent changes of all coefficients
    change the picture as much, in root mean square, as they change the coefficients, and a learning rate means about
    what it means in pixels.

    Args:
        height, width: of the picture.
        channels: 3, or 1 without the colours.
        device, dtype: of the picture.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int = 3,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
        amplitudes = 1 / torch.hypot(rows[:, None], columns).clamp_min(1 / max(height, width))
        colors = torch.tensor(COLORS if channels == 3 else ((1.0,),), dtype=torch.float64)
        colors = colors / (colors.square().sum() / channels).sqrt()
        self.amplitudes = (amplitudes / amplitudes.square().mean().sqrt()).to(device, dtype)
        self.colors, self.inverse = (matrix.to(device, dtype) for matrix in (colors, torch.linalg.inv(colors)))

    def picture(self, variable: Tensor) -> Tensor:
        return torch.einsum("dc,bchw->bdhw", self.colors, hartley(variable * self.amplitudes))

    def variable(self, picture: Tensor) -> Tensor:
        return hartley(torch.einsum("dc,bchw->bdhw", self.inverse, picture)) / self.amplitudes


def hartley(values: Tensor) -> Tensor:
    """Σ_{y,x} v(y, x) cas(2π (u y / H + v x / W)) / √(H W), cas = cos + sin, over the last two dimensions."""
    spectrum: Tensor = torch.fft.fft2(values, norm="ortho")
    return spectrum.real - spectrum.imag


PIXELS = Pixels()


@lru_cache(maxsize=8)
def parametrisation(name: str, grey: bool, height: int, width: int, device: torch.device) -> Parametrisation:
    """The parametrisation of a filled configuration at one size; `grey` where colour control leaves one channel.

    Runs share it.
    """
    space = PIXELS if name == "pixel" else Fourier(height, width, 1 if grey else 3, device)
    return Grey(space) if grey else space
