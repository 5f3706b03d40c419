"""The starting image of an optimisation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nst_lab.config.schema import Init
from nst_lab.images.pictures import resize


def noise_image(
    height: int, width: int, init: Init, random: torch.Generator, input_mean: Sequence[float] = (0.0, 0.0, 0.0)
) -> Tensor:
    """White noise (1, 3, H, W) of the given mean and standard deviation in the image's [0, 1].

    With `noise_origin: input_mean` the mean is counted from `input_mean`, the mean pixel that the network subtracts.
    `normal` is not clipped; `uniform` is spread over mean ± √3·std. Drawn on the CPU, so that every device starts from
    the same picture.
    """
    shape = (1, 3, height, width)
    if init.noise == "normal":
        unit = torch.randn(shape, generator=random)
    else:
        unit = (torch.rand(shape, generator=random) * 2 - 1) * 3**0.5
    origin = torch.tensor(input_mean).view(1, 3, 1, 1) if init.noise_origin == "input_mean" else 0.0
    return origin + init.noise_mean + init.noise_std * unit


def initial_image(
    init: Init,
    random: torch.Generator,
    height: int,
    width: int,
    *,
    content: Tensor | None,
    style: Tensor | None,
    file: Tensor | None,
    input_mean: Sequence[float] = (0.0, 0.0, 0.0),
    resampling: str = "bicubic",
) -> Tensor:
    """The start (1, 3, H, W) that `init.kind` names.

    `content`, `style` (the first style) and `file` (a picture of one's own, or the result of a run) are resized to
    H x W by `resampling`, whatever their aspect; `gray` is 0.5; `mix` is (1 - m)·content + m·noise (Gatys et al.'s
    noise ratio), m being `init.mix`.
    """
    if init.kind == "noise":
        return noise_image(height, width, init, random, input_mean)
    if init.kind == "gray":
        return torch.full((1, 3, height, width), 0.5)
    source = {"content": content, "mix": content, "style": style, "file": file, "run": file}[init.kind]
    assert source is not None  # a configuration without it is refused
    picture = resize(source, height, width, resampling=resampling)
    if init.kind == "mix":
        return torch.lerp(picture, noise_image(height, width, init, random, input_mean), init.mix)
    return picture.clone()
