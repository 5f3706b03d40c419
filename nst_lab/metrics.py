"""Reference distances: how far a finished picture is from its photograph and its styles, whatever it was optimised for.

The final losses of two runs compare only where every layer, weight and convention agrees. These distances are the same
for every run: of the picture as saved, with one network (the built-in VGG-19, normalised, average pooling, zero
padding, float32 without TF32), at one size (longer side 256 px, to which smaller pictures are enlarged), and relative.
`METRICS_VERSION` stands for all of this.

| key | 0 | 1 | is |
|---|---|---|---|
| `content` | the photograph | nothing in common | mean over the filters of relu4_2 of δ(F_k, P_k) |
| `style` | the style | the photograph | D(picture, style) / D(photograph, style) of Gram matrices |
| `swd` | the style | the photograph | the same of quantile functions: sliced Wasserstein (Heitz et al. 2021) |
| `color` | the style's colours | the photograph's | ratio of sliced Wasserstein distances in CIELAB |
| `ssim` | nothing in common | the photograph | structural similarity of the luminance (Wang et al. 2004) |
| `psnr` | | | dB to the photograph; 100 also stands for more, and for no difference at all |
| `tv` | one colour | | mean |difference| to the right plus that to the lower neighbour, RGB in [0, 1] |

δ(a, b) = ‖a − b‖ / √(‖a‖² + ‖b‖²) is 0 for equals and 1 where nothing overlaps; F and P are activations of picture and
photograph, and D(x, s) is the mean of δ(T_l(x), T_l(s)) over relu1_1 … relu5_1 with T_l the statistic of layer l.

Every filter and every layer counts alike because otherwise few would count at all: of the 512 normalised filters of
relu4_2 one, whose mean activation is a fiftieth of the median, holds three quarters of ‖P‖² of `chelsea`, and by
‖F − P‖ / ‖P‖ the photograph blurred (σ = 2 px) is at 2.6, white noise at 1.0. And δ divides by both norms because by
‖b‖ alone a photograph with one such filter is so far from everything that plain grey is near the style (0.29 for
`coffee` and `woodcut_waves`, in place of 1.13).

What they can and cannot show (figures: README, "Distances"):

- `content` sees where each filter responds, not why: recolouring in place costs as much as some pastiches do.
  Unrelated pictures lie at 0.88 to 0.93.
- `style` favours runs that optimised Gram matrices, most of all at 256 px and on this network, where they minimise
  nearly this distance itself. It is blind to arrangement: a texture without any photograph is as near as a pastiche.
- `swd` sees whole distributions and is not what Gram or W2 runs optimise, but it looks at the same layers of the same
  network: a second opinion, not an independent one.
- `color` knows the palette alone: it does not see where a colour is.
- `ssim` and `psnr` want every pixel in its place: they favour a start from the photograph, and blandness.
- `tv` has no reference; noise, strokes and sharpness all raise it.
- None sees what is finer than 256 px, and none is a judgement of beauty.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log10
from os import PathLike
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nst_lab.images.pictures import load_image, resize, size_of, target_size, to_bytes
from nst_lab.losses.distributions import directions, quantiles, relative_difference
from nst_lab.losses.terms import gram_matrix, total_variation
from nst_lab.network.architecture import LAYERS, input_statistics
from nst_lab.network.vgg import VGG19
from nst_lab.network.weights import prepare_weights
from nst_lab.optimisation.numerics import numerics

METRICS_VERSION = 1  # raise it when the same picture begins to have other distances

SIZE = 256  # pixels of the longer side
CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
COLOR_BASES = 16  # random rotations of CIELAB, three directions each
PSNR_LIMIT = 100.0  # dB
DIGITS = 6  # significant ones of every distance


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
    what does not apply: `content`, `ssim` and `psnr` without a content, the style distances without a style, and those
    to a style that does not differ from the photograph (means leave it out). Without a content, a flat picture of the
    style's mean colour takes the photograph's place, and 1 is no texture at all; such values compare among themselves.

    The values are the same however many threads are set: on the CPU they are computed with one.

    Args:
        picture: RGB (1, 3, H, W) in [0, 1]; rounded to 8 bits as `result.png` is, if it is not.
        content: the photograph at its own size; brought to H x W first, as the run did, whatever its aspect. Or None.
        styles: style images by name, at their own sizes; may be empty. Brought to the picture's longer side first, so
            that 0 can be reached at every size, and a small picture is measured by what its size can hold.
        resampling: how the run resized its images, `bicubic` or `bilinear`.
        device: where the network is evaluated; elsewhere than on the CPU the last digits differ.

    Raises:
        ValueError: a picture is not (1, 3, H, W).
        WeightsError: the built-in weights are missing or damaged.
    """
    height, width = size_of(picture)

    def as_run_saw(image: Tensor, height: int, width: int) -> Seen:
        return _seen(_as_saved(resize(image, height, width, resampling=resampling)))

    with torch.no_grad(), numerics(threads=1, tf32=False):
        device = torch.device(device)
        seen = _seen(_as_saved(picture))
        photograph = None if content is None else as_run_saw(content, height, width)
        paintings = {
            name: as_run_saw(style, *target_size(*size_of(style), max(height, width), "longer"))
            for name, style in styles.items()
        }
        own = _measure(seen, device)
        origin = None if photograph is None else _reference(photograph, device)
        values = {"content": None if origin is None else relative_difference(own.content, origin.content).mean().item()}
        values |= _style_distances(own, origin, paintings, device)
        values |= _pixel_distances(seen, photograph)
        return {name: None if value is None else float(f"{value:.{DIGITS}g}") for name, value in values.items()}


def distances_of_run(
    picture_path: str | PathLike[str],
    content: Tensor | None,
    styles: Mapping[str, Tensor],
    *,
    resampling: str = "bicubic",
    device: torch.device | str = "cpu",
) -> dict[str, float | None]:
    """`distances` of a run's `result.png`, read back.

    Raises:
        ImageError: the file cannot be decoded.
        WeightsError: as `distances`.
    """
    return distances(load_image(picture_path), content, styles, resampling=resampling, device=device)


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
    height, width = (max(least, side) for side in target_size(*size_of(image), SIZE, "longer"))
    return Seen(height, width, to_bytes(resize(image, height, width)).contiguous().numpy().tobytes())


@dataclass(frozen=True)
class Measured:
    """What of a picture is compared, on the CPU: activations (C, M), and by layer Gram matrices and quantiles."""

    content: Tensor
    style: list[Tensor]
    swd: list[Tensor]
    color: Tensor


def _measure(seen: Seen, device: torch.device) -> Measured:
    from skimage.color import rgb2lab  # and SciPy with it; needed only when a run is over

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


def _mean_difference(measured: Sequence[Tensor], target: Sequence[Tensor]) -> float:
    parts = (relative_difference(a.flatten(), b.flatten()) for a, b in zip(measured, target, strict=True))
    return torch.stack(list(parts)).mean().item()


def _color_difference(measured: Tensor, target: Tensor) -> float:
    distance: float = (measured.double() - target.double()).norm().item()
    return distance


# By name of what is measured, which they compare.
STYLE_DISTANCES: dict[str, Callable[[Any, Any], float]] = {
    "style": _mean_difference,
    "swd": _mean_difference,
    "color": _color_difference,
}
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
        from skimage.metrics import structural_similarity

        pair = picture, photograph.image()
        luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        values["ssim"] = structural_similarity(
            *((image[0] * luma).sum(0).numpy() for image in pair),
            data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        error = (pair[0] - pair[1]).double().square().mean().item()
        values["psnr"] = min(PSNR_LIMIT, -10 * log10(error)) if error else PSNR_LIMIT
    return values | {"tv": total_variation(picture, "l1", "mean").item()}
