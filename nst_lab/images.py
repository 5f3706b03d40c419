"""Pictures in and out: decode to RGB in [0, 1], sizes, antialiased resizing, PNG with metadata."""

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from nst_lab import catalog
from nst_lab.errors import ImageError


def load_image(name_or_path: str | os.PathLike) -> Tensor:
    """Decode a picture into float32 RGB (1, 3, H, W) in [0, 1], at its own size.

    EXIF orientation is applied, greyscale and palettes become RGB, transparency is composited on white.

    Args:
        name_or_path: a name of the catalog (`chelsea`, `starry_strokes` …) or a path.

    Raises:
        ConfigError: no such name or file.
        ImageError: the file cannot be decoded.
    """
    path = catalog.locate(str(name_or_path))
    try:
        with Image.open(path) as image:
            return _to_tensor(_to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a picture in a format that Pillow reads") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be decoded ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit greyscale; any other conversion would clip instead of scaling
        image = image.point(lambda value: value / 257, "L")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_tensor(image: Image.Image) -> Tensor:
    return pil_to_tensor(image).unsqueeze(0).float() / 255


def save_image(image: Tensor, path: str | os.PathLike, metadata: dict[str, str] | None = None) -> None:
    """Write an RGB picture (1, 3, H, W); values outside [0, 1] are clipped and rounded to 8 bits.

    The file appears under its name only when complete. `metadata` becomes PNG text entries.
    """
    path = Path(path)
    if image.dim() != 4 or image.shape[:2] != (1, 3):
        raise ValueError(f"image has shape {tuple(image.shape)}, expected (1, 3, H, W)")
    options = {}
    if metadata and path.suffix.lower() == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        for key, text in metadata.items():
            options["pnginfo"].add_text(key, text)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        to_pil_image(to_bytes(image)).save(temporary, **options)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_bytes(image: Tensor) -> Tensor:
    """The picture as it is saved: uint8 (3, H, W) on the CPU, clipped and rounded."""
    return image.detach()[0].clamp(0, 1).mul(255).round().to("cpu", torch.uint8)


def target_size(height: int, width: int, size: int, rule: str) -> tuple[int, int]:
    """Height and width that `size` means for a picture, its aspect kept but for `exact`.

    `longer` and `shorter` are the side that becomes `size`, `height` is the height, `area` gives size² pixels,
    `exact` a size x size square. Both sides are rounded and at least one pixel.
    """
    if rule == "exact":
        return size, size
    reference = {
        "longer": max(height, width),
        "shorter": min(height, width),
        "height": height,
        "area": (height * width) ** 0.5,
    }[rule]
    return max(1, round(height * size / reference)), max(1, round(width * size / reference))


def resize(image: Tensor, height: int, width: int, *, clip: bool = True, resampling: str = "bicubic") -> Tensor:
    """Antialiased resizing, `bicubic` or `bilinear`; the identity at the same size.

    Bicubic interpolation overshoots at edges, so the result is clipped to [0, 1] unless the picture itself is one of
    an optimisation and may lie outside.
    """
    if image.shape[-2:] == (height, width):
        return image
    resized = F.interpolate(image, (height, width), mode=resampling, antialias=True)
    return resized.clamp(0, 1) if clip else resized
