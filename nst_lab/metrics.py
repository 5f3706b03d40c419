"""Reference distances: how far a finished picture is from its photograph and its styles, whatever it was optimised for.

The final losses of two runs compare only where every layer, weight and convention agrees. These distances are the same
for every run: measured on the picture as saved, with one network (the built-in VGG-19, normalised, average pooling,
zero padding, float32 without TF32) and at one size (longer side 256 px), and relative, so that they read alike for
every pair of photograph and style. `METRICS_VERSION` stands for all of this.

| key | 0 | 1 | is |
|---|---|---|---|
| `content` | the photograph | as far as no activation at all | ‖F − P‖ / ‖P‖ on relu4_2 |
| `style` | the style | the photograph | Gram matrices on relu1_1 … relu5_1 |
| `swd` | the style | the photograph | sliced Wasserstein distance on the same layers |
| `color` | the style's colours | the photograph's | sliced Wasserstein distance of CIELAB colours |
| `ssim` | nothing in common | the photograph | structural similarity of the luminance |
| `psnr` | | | dB to the photograph, 100 at most |
| `tv` | flat | | mean |d| to the right plus mean |d| to the lower neighbour, RGB in [0, 1] |

F and P are the activations of the picture and of the photograph. With T_l a statistic of the activations of layer l and
D(x, s) = Σ_l ‖T_l(x) − T_l(s)‖ / ‖T_l(s)‖, the relative distance of picture x to style s is D(x, s) / D(photograph, s):
every layer counts alike, and nothing is squared, so that half the way to the style is ½ in that norm.

"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import log10
from os import PathLike
from typing import NamedTuple

import numpy
import torch
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity
from torch import Tensor

from nst_lab.architecture import LAYERS, input_statistics
from nst_lab.images import load_image, resize, target_size, to_bytes
from nst_lab.losses import gram_matrix, total_variation
from nst_lab.vgg import VGG19
from nst_lab.weights import prepare_weights

METRICS_VERSION = 1  # raise it when the same picture begins to have other distances

SIZE = 256  # pixels of the longer side
CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
PARTS = 256  # parts of equal mass that a distribution is cut into
COLOR_BASES = 16  # random rotations of CIELAB, three directions each
PSNR_LIMIT = 100.0  # dB
DIGITS = 6


def distances(
    picture: Tensor,
    content: Tensor | None,
    styles: Mapping[str, Tensor],
    *,
    resampling: str = "bicubic",
    device: torch.device | str = "cpu",
) -> dict[str, float | None]:
    """The reference distances of a picture, by the keys of this module's table, rounded to six significant digits.

    `style`, `swd` and `color` are means over the styles; `style/<name>` and so on are those of each. None stands for
    what does not apply: `content`, `ssim` and `psnr` without a content, the style distances without a style, and a
    style distance that photograph and style do not differ in. Without a content, a flat picture of the style's mean
    colour takes the photograph's place: 1 is then no texture at all.

    Args:
        picture: RGB (1, 3, H, W) in [0, 1]; rounded to 8 bits as `result.png` is, if it is not.
        content: the photograph at its own size; brought to H x W, as the run did, whatever its aspect. Or None.
        styles: style images by name, at their own sizes; may be empty.
        resampling: how the run brought the content to H x W, `bicubic` or `bilinear`.
        device: where the network is evaluated. Elsewhere than on the CPU the last digits differ.

    On the CPU one thread is used, so that the values do not depend on the number of threads a run had.

    Raises:
        ValueError: a picture is not (1, 3, H, W).
        WeightsError: the built-in weights are missing or damaged.
    """
    height, width = picture.shape[-2:]

    def as_run_saw(image: Tensor, height: int, width: int) -> Seen:
        return _seen(_as_saved(resize(image, height, width, resampling=resampling)))

    with torch.no_grad(), _numerics():
        device = torch.device(device)
        seen = _seen(_as_saved(picture))
        photograph = None if content is None else as_run_saw(content, height, width)
        paintings = {
            name: as_run_saw(style, *target_size(*style.shape[-2:], max(height, width), "longer"))
            for name, style in styles.items()
        }
        own = _measure(seen, device)
        origin = None if photograph is None else _reference(photograph, device)
        values = {"content": None if origin is None else relative_difference(own.content, origin.content).mean().item()}
        values |= _style_distances(own, origin, paintings, device)
        values |= _pixel_distances(seen, photograph)
        return {name: None if value is None else float(f"{value:.{DIGITS}g}") for name, value in values.items()}


def distances_of_run(
    picture_path: str | PathLike, content: Tensor | None, styles: Mapping[str, Tensor], **options
) -> dict[str, float | None]:
    """`distances` of a picture file, such as a run's `result.png`."""
    return distances(load_image(picture_path), content, styles, **options)


class Seen(NamedTuple):
    """A picture as the distances see it: 8 bits, (3, H, W), longer side 256. Its bytes are the key of the caches."""

    height: int
    width: int
    pixels: bytes

    def image(self) -> Tensor:
        """As a tensor (1, 3, H, W) in [0, 1]."""
        values = torch.frombuffer(bytearray(self.pixels), dtype=torch.uint8)
        return values.view(1, 3, self.height, self.width).float() / 255


def _as_saved(image: Tensor) -> Tensor:
    if image.dim() != 4 or image.shape[:2] != (1, 3):
        raise ValueError(f"a picture has shape {tuple(image.shape)}, expected (1, 3, H, W)")
    return to_bytes(image)[None].float() / 255


def _seen(image: Tensor) -> Seen:
    # The deepest layer needs a position in each direction, however narrow the picture.
    least = max(LAYERS[layer].stride for layer in STYLE_LAYERS)
    height, width = (max(least, side) for side in target_size(*image.shape[-2:], SIZE, "longer"))
    return Seen(height, width, to_bytes(resize(image, height, width)).contiguous().numpy().tobytes())


@dataclass(frozen=True)
class Measured:
    """What of a picture is compared, on the CPU: activations (C, M), and by layer Gram matrices and quantiles."""

    content: Tensor
    style: list[Tensor]
    swd: list[Tensor]
    color: Tensor


def _measure(seen: Seen, device: torch.device) -> Measured:
    activations = _network(device)(seen.image().to(device))
    layers = [activations[layer] for layer in STYLE_LAYERS]
    lab = rgb2lab(seen.image()[0].numpy(), channel_axis=0)
    return Measured(
        content=activations[CONTENT_LAYER][0].flatten(1).cpu(),
        style=[gram_matrix(layer).cpu() for layer in layers],
        swd=[quantiles(layer[0].flatten(1), directions(layer.shape[1])) for layer in layers],
        color=quantiles(torch.from_numpy(lab).float().flatten(1), directions(3, COLOR_BASES)),
    )


# Photographs and styles return in every cell of a sweep; about 6 MB each.
_reference = lru_cache(maxsize=32)(_measure)


@lru_cache(maxsize=2)
def _network(device: torch.device) -> VGG19:
    statistics = input_statistics("caffe")
    network = VGG19(
        prepare_weights("caffe", seed=0, normalized=True).kernels, [CONTENT_LAYER, *STYLE_LAYERS],
        pooling="avg", padding="zeros", padding_first="zeros", mean=statistics.mean, std=statistics.std,
    )  # fmt: skip
    return network.to(device)


@lru_cache
def directions(channels: int, bases: int = 1) -> Tensor:
    """`bases` random orthonormal bases of the channels, (bases * channels, channels), the same in every process.

    Orthonormal directions measure a translation of all features by v exactly: the mean of (θ·v)² is ‖v‖² / channels.
    """
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(bases, channels, channels, generator=generator)
    return torch.linalg.qr(gaussian).Q.mT.reshape(bases * channels, channels)


def quantiles(features: Tensor, directions: Tensor) -> Tensor:
    """The distribution of features (C, M) along every direction (n, C), as (n, 256) means of its quantile function.

    Sliced Wasserstein distance (Heitz et al. 2021, eq. 6): along one direction the Wasserstein-2 distance is the L2
    distance of the quantile functions. Pictures of different sizes compare because every function is averaged over
    256 parts of equal mass; unlike samples of it, the parts keep the tails.
    """
    projected = numpy.sort((directions.to(features.device) @ features).cpu().numpy(), axis=1)
    count, positions = projected.shape
    total = numpy.zeros((count, positions + 1))
    numpy.cumsum(projected, axis=1, out=total[:, 1:])
    ends = numpy.arange(PARTS + 1) * positions / PARTS
    below = ends.astype(int).clip(max=positions - 1)
    integral = total[:, below] + (ends - below) * projected[:, below]
    return torch.from_numpy(numpy.diff(integral) * PARTS / positions).float()


def relative_difference(a: Tensor, b: Tensor) -> Tensor:
    """δ(a, b) = ‖a − b‖ / √(‖a‖² + ‖b‖²) over the last dimension, in float64; 0 where both are zero."""
    a, b = a.double(), b.double()
    size = torch.hypot(a.norm(dim=-1), b.norm(dim=-1))
    return (a - b).norm(dim=-1) / torch.where(size > 0, size, 1.0)


def _mean_difference(measured: Sequence[Tensor], target: Sequence[Tensor]) -> float:
    parts = (relative_difference(a.flatten(), b.flatten()) for a, b in zip(measured, target, strict=True))
    return torch.stack(list(parts)).mean().item()


def _color_difference(measured: Tensor, target: Tensor) -> float:
    return (measured.double() - target.double()).norm().item()


STYLE_DISTANCES = {"style": _mean_difference, "swd": _mean_difference, "color": _color_difference}
PHOTOGRAPH_DISTANCES = ("content", "ssim", "psnr")  # None without a photograph
PICTURE_DISTANCES = ("tv",)


def _style_distances(
    own: Measured, origin: Measured | None, styles: dict[str, Seen], device: torch.device
) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    targets = {name: _reference(style, device) for name, style in styles.items()}
    origins = {name: origin or _reference(_flat(style), device) for name, style in styles.items()}
    for kind, distance in STYLE_DISTANCES.items():
        each = {}
        for name, target in targets.items():
            here, there = (distance(getattr(x, kind), getattr(target, kind)) for x in (own, origins[name]))
            each[name] = here / there if there > 1e-6 else None
        known = [value for value in each.values() if value is not None]
        values[kind] = sum(known) / len(known) if known else None
        values |= {f"{kind}/{name}": value for name, value in each.items()}
    return values


def _flat(style: Seen) -> Seen:
    """A picture of the style's mean colour."""
    return _seen(style.image().mean((-2, -1), keepdim=True).expand(1, 3, style.height, style.width))


def _pixel_distances(seen: Seen, photograph: Seen | None) -> dict[str, float | None]:
    """SSIM with the Gaussian window of Wang et al. 2004 on .299 R + .587 G + .114 B; PSNR over all values; TV."""
    picture = seen.image()
    values: dict[str, float | None] = dict.fromkeys(("ssim", "psnr"))
    if photograph is not None:
        pair = picture, photograph.image()
        luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        values["ssim"] = structural_similarity(
            *((image[0] * luma).sum(0).numpy() for image in pair),
            data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        error = (pair[0] - pair[1]).double().square().mean().item()
        values["psnr"] = min(PSNR_LIMIT, -10 * log10(error)) if error else PSNR_LIMIT
    return values | {"tv": total_variation(picture, "l1", "mean").item()}


@contextmanager
def _numerics() -> Iterator[None]:
    """One thread and full float32 whatever the run used; then as before."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    cudnn_tf32 = torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = cudnn_tf32
