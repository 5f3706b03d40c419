"""Pixels of more than 8 bits per channel, which Pillow keeps for a single channel only.

For several channels Pillow unpacks 16 bits by taking the high byte. Unpacked once more in the opposite byte order the
same data give the low byte, so two readings hold all 16 bits, whatever the compression.
"""

import os
import sys

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from nst_lab.errors import ImageError

Planes = tuple[np.ndarray, str, np.ndarray | None]  # levels 0 … 255 with fractions (H, W, C), colour space, alpha

NATIVE, OPPOSITE = ("16L", "16B") if sys.byteorder == "little" else ("16B", "16L")
SWAPPED = {"16L": "16B", "16B": "16L", "16N": OPPOSITE}

TOLERANCE = 1e-3  # a floating-point picture may overshoot [0, 1] this much, by resampling say


def raw_mode(image: ImageFile.ImageFile) -> str:
    """How the pixels lie in the file, in Pillow's words; to be asked before they are loaded."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def read(image: ImageFile.ImageFile, path: str | os.PathLike[str], rawmode: str) -> Planes | None:
    """Load a picture that is deeper than 8 bits; None (and nothing loaded) for any other.

    Raises:
        ImageError: values that cannot be placed between black and white.
    """
    if image.mode == "F":
        return _floats(image, path)
    if image.mode.startswith("I"):
        return _integers(image, path)
    if image.tile and image.tile[0].codec_name == "ppm" and image.tile[0].args == ("RGB", 65535):
        image.tile = [image.tile[0]._replace(codec_name="raw", args=("RGB;16B", 0, 1))]  # else scaled to 8 bits
        rawmode = "RGB;16B"
    kind, _, depth = rawmode.partition(";")
    if rawmode == "LA;16B":
        return _grey_and_alpha(image)
    if depth in SWAPPED and kind in ("RGB", "RGBX", "RGBA", "RGBa", "CMYK"):
        return _several_channels(image, path, rawmode)
    return None


def _floats(image: ImageFile.ImageFile, path: str | os.PathLike[str]) -> Planes:
    values = np.array(image, np.float32)
    if not np.isfinite(values).all():
        raise ImageError(f"{path}: holds values that are not finite numbers (NaN or infinity)")
    low, high = float(values.min()), float(values.max())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ImageError(f"{path}: floating-point values from {low:g} to {high:g}; expected 0 (black) to 1 (white)")
    return _one_channel(image, values.clip(0, 1)), "L", None


def _integers(image: ImageFile.ImageFile, path: str | os.PathLike[str]) -> Planes:
    values = np.array(image).astype(np.int64)
    bits, signed = 16, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0]
        signed = image.tag_v2.get(ExifTags.Base.SampleFormat, (1,))[0] == 2
    if not signed:
        values %= 2**32  # Pillow holds unsigned 32 bits as signed ones
    if values.min() < 0:
        raise ImageError(f"{path}: integer values from {values.min()}; expected none below 0 (black)")
    if bits == 32 and values.max() < 2**16:
        bits, signed = 16, False  # 16 bits in a wider store; read as 32 bits the picture would be black all over
    white = 2 ** (bits - signed) - 1
    transparency = image.info.get("transparency")
    alpha = None if transparency is None else (values != transparency).astype(np.float32)
    return _one_channel(image, values.astype(np.float32) / white), "L", alpha


def _one_channel(image: ImageFile.ImageFile, values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as levels (H, W, 1); Pillow inverts "white is zero" for 8 bits only."""
    inverted = isinstance(image, TiffImagePlugin.TiffImageFile) and (
        image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == 0
    )
    values = 1 - values if inverted else values
    return values[..., None] * np.float32(255)


def _several_channels(image: ImageFile.ImageFile, path: str | os.PathLike[str], rawmode: str) -> Planes:
    kind, _, depth = rawmode.partition(";")
    channels = kind.upper()  # RGBa is multiplied by its alpha, which Pillow would undo byte by byte
    image.tile, low_bytes = (
        [_unpacked_as(tile, f"{channels};{order}") for tile in image.tile] for order in (depth, SWAPPED[depth])
    )
    values = np.asarray(image, np.float32) * 256
    with Image.open(path) as again:
        again.tile = low_bytes
        values += np.asarray(again, np.float32)
    space = "CMYK" if channels == "CMYK" else "RGB"
    alpha = values[..., 3] / 65535 if channels == "RGBA" else None
    if transparency := image.info.get("transparency"):
        alpha = (values != np.array(transparency, np.float32)).any(-1).astype(np.float32)
    values = values[..., : len(space)] / np.float32(257)
    if kind == "RGBa" and alpha is not None:
        values = (values / np.maximum(alpha, 1 / 65535)[..., None]).clip(0, 255)
    return values, space, alpha


def _unpacked_as(tile: ImageFile._Tile, rawmode: str) -> ImageFile._Tile:
    """Pillow's instruction to decode a part of a file, with other words for how its pixels lie there."""
    rest = tile.args[1:] if isinstance(tile.args, tuple) else ()
    return tile._replace(args=(rawmode, *rest))


def _grey_and_alpha(image: ImageFile.ImageFile) -> Planes:
    """Grey and alpha in 16 bits are four bytes, just as RGBA."""
    image.tile = [_unpacked_as(tile, "RGBA") for tile in image.tile]
    high_grey, low_grey, high_alpha, low_alpha = np.moveaxis(np.asarray(image, np.float32), -1, 0)
    return ((high_grey * 256 + low_grey) / 257)[..., None], "L", (high_alpha * 256 + low_alpha) / 65535
