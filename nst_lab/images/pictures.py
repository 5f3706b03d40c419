"""Pictures in and out as tensors: RGB and masks in [0, 1], sizes, antialiased resizing, saving."""

import os
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab.errors import FetchError, ImageError
from nst_lab.images import catalog, decode, encode


def size_of(picture: Tensor) -> tuple[int, int]:
    """Height and width of pictures (…, H, W)."""
    height, width = picture.shape[-2:]
    return height, width


def described(value: object) -> str:
    """What was given in the place of a picture, for messages."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    words = f"{value.dtype} {tuple(value.shape)}"
    return words if is_dense(value) else f"{words} ({'meta, without values' if value.is_meta else value.layout})"


def is_dense(picture: Tensor) -> bool:
    """Whether a tensor holds its values, one after the other."""
    return picture.layout == torch.strided and not picture.is_meta


def load_image(name_or_path: str | os.PathLike[str]) -> Tensor:
    """Decode a picture into float32 RGB (1, 3, H, W) in [0, 1], sRGB, at its own size.

    EXIF orientation is applied, greyscale, palettes and CMYK become RGB, embedded colour profiles sRGB; transparency is
    composited on white; 16 bits per channel are kept. An image of the catalog is fetched if it has to be.

    Args:
        name_or_path: a name of the catalog (`chelsea`, `starry_strokes` …) or a path.

    Raises:
        ConfigError: no such name or file.
        ImageError: the file cannot be decoded, or an image of the catalog cannot be fetched.
    """
    return torch.from_numpy(decode.decode(catalog.locate(str(name_or_path)))).permute(2, 0, 1)[None].contiguous()


def load_mask(name_or_path: str | os.PathLike[str]) -> Tensor:
    """A mask as float32 (1, 1, H, W) in [0, 1]: the grey value as stored, 0 where the picture is transparent.

    Colours become grey by luma (.299 R + .587 G + .114 B), no colour profile is applied. A picture of one colour all
    over says nothing but by its transparency, so there the alpha channel alone is the mask.

    Raises:
        ConfigError, ImageError: as `load_image`.
    """
    return torch.from_numpy(decode.decode_mask(catalog.locate(str(name_or_path))))[None, None]


def image_size(name_or_path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of a picture, from the catalog or its header; nothing is decoded and nothing fetched.

    Raises:
        ConfigError: no such name or file.
        ImageError: the file has no readable header, or the size of a catalog image is known only once it is fetched.
    """
    entry = catalog.entries().get(str(name_or_path))
    if entry and entry.pixels:
        width, height = entry.pixels
        return height, width
    file = catalog.find(str(name_or_path))
    if file is None:
        raise FetchError(f"{name_or_path}: its size is not known before it is fetched; nst-images fetch {name_or_path}")
    return decode.header_size(file)


def save_image(
    image: Tensor, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None, *, bits: int = 8
) -> None:
    """Write an RGB picture (1, 3, H, W) as PNG, JPEG or WebP; values outside [0, 1] are clipped, then rounded.

    The sRGB profile is embedded, `metadata` goes along as text, and the file appears under its name only when complete.
    The same input gives the same bytes.

    Args:
        path: ends in .png, .jpg, .jpeg (quality 95, colours not subsampled) or .webp (quality 95).
        bits: 8, or 16 for a PNG with 16 bits per channel.

    Raises:
        ImageError: no such picture, another extension or depth, values that are not finite, or the file cannot be
            written.
    """
    if not _is_picture(image):
        expected = "expected (1, 3, H, W) in floating point with values in [0, 1], as nst_lab.load_image gives"
        raise ImageError(f"{path}: the picture is {described(image)}, {expected}")
    if bits not in (8, 16):
        raise ImageError(f"{path}: bits={bits}, expected 8 or 16")
    if not image.isfinite().all():
        raise ImageError(f"{path}: the picture holds values that are not finite")
    pixels = to_bytes(image) if bits == 8 else _scaled(image, 65535).to(torch.uint16)
    encode.write(path, pixels.permute(1, 2, 0).contiguous().numpy(), metadata)


def _is_picture(image: object) -> bool:
    if not isinstance(image, Tensor) or not image.is_floating_point() or not is_dense(image):
        return False
    return image.dim() == 4 and image.shape[:2] == (1, 3) and image.numel() > 0


def to_bytes(image: Tensor) -> Tensor:
    """The picture as it is saved: uint8 (3, H, W) on the CPU, clipped and rounded."""
    return _scaled(image, 255).to(torch.uint8)


def _scaled(image: Tensor, white: int) -> Tensor:
    return image.detach()[0].cpu().float().clamp(0, 1).mul(white).round()


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


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Antialiased bilinear resizing of a mask (1, 1, H, W): it never leaves the range of its values."""
    if mask.shape[-2:] == (height, width):
        return mask
    return F.interpolate(mask, (height, width), mode="bilinear", antialias=True).clamp(0, 1)
