"""Any picture that Pillow opens -> RGB in sRGB: orientation, palettes, depths, colour spaces, profiles, transparency.

NumPy only, so that tools that merely show pictures need no torch. What a file loses on the way is said in the log, once
per file.
"""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageFile, UnidentifiedImageError

from nst_lab.errors import ImageError
from nst_lab.images import deep, icc
from nst_lab.notices import say_once

MAX_PIXELS = 100_000_000  # read from the header: a larger picture is refused before anything is decoded

GREY_MODES = ("1", "L", "LA", "La")

# How files of ICO and WebP begin, which Pillow makes room for or decodes as it opens them, before their size is known.
EAGER = (b"\0\0\1\0", b"RIFF")

# Pillow's limits and Python's warning filters belong to the whole process.
_PROCESS_WIDE = threading.Lock()


@dataclass(frozen=True)
class Pixels:
    """A picture as stored, upright.

    `levels` (H, W, channels of `space`): uint8, or float32 from 0 to 255 with fractions where the file is deeper than
    8 bits. `space` is L, RGB, CMYK or LAB; `alpha` (H, W) in [0, 1] or None; `profile` an ICC profile or None.
    """

    levels: np.ndarray
    space: str
    alpha: np.ndarray | None
    profile: bytes | None


def decode(path: str | os.PathLike[str]) -> np.ndarray:
    """The picture in a file as float32 RGB (H, W, 3) in [0, 1], sRGB.

    The first frame of a file of several. EXIF orientation is applied, an embedded colour profile converted to sRGB,
    transparency composited on white. More than 8 bits per channel are kept; floating-point files must lie in [0, 1].

    Raises:
        ImageError: the file cannot be decoded, is larger than `MAX_PIXELS`, or holds values without a meaning.
    """
    pixels = _read(path)
    try:
        rgb = icc.to_srgb(pixels.levels, pixels.space, pixels.profile)
    except icc.ProfileError as error:
        say_once(f"{path}: its colour profile is ignored ({error})")
        rgb = icc.to_srgb(pixels.levels, pixels.space, None)
    if pixels.alpha is not None and pixels.alpha.min() < 1:
        say_once(f"{path}: transparency is composited on white")
        alpha = pixels.alpha[..., None]
        rgb = rgb * alpha + (1 - alpha)
    return rgb


def decode_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """A mask (H, W) float32 in [0, 1]: the grey value as stored (no colour profile), 0 where it is transparent.

    Colours become grey by luma. A picture of one colour all over says nothing but by its transparency, so there the
    alpha channel alone is the mask.

    Raises:
        ImageError: as `decode`.
    """
    pixels = _read(path)
    levels = pixels.levels
    if pixels.space == "L":
        grey = levels[..., 0].astype(np.float32) / 255
    else:
        rgb = icc.to_srgb(levels, pixels.space, None)
        grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    if pixels.alpha is None:
        return grey
    one_colour = (levels == levels[:1, :1]).all()
    return pixels.alpha if one_colour else grey * pixels.alpha


def header_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width that `decode` will give, from the header alone.

    Raises:
        ImageError: as `decode`.
    """
    with _opened(path) as image:
        width, height = image.size
        # Pillow turns TIFF by itself and has its turned size already.
        return (width, height) if image.format != "TIFF" and _orientation(image, path) >= 5 else (height, width)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[ImageFile.ImageFile]:
    """Pillow's image of a file of acceptable size; whatever goes wrong inside is one ImageError that names the file."""
    with _PROCESS_WIDE, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = Image.MAX_IMAGE_PIXELS
        try:
            # Pillow raises at the double of its limit, and does not tell width and height.
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2 if _is_eager(path) else None
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ImageError(
                        f"{path}: {width}x{height} pixels are {width * height / 1e6:.0f} megapixels; "
                        f"the limit is {MAX_PIXELS / 1e6:.0f}"
                    )
                if image.format == "EPS":
                    raise ImageError(f"{path}: EPS is a program that draws, not a picture; save it as .png first")
                Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # for pictures inside pictures
                yield image
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise ImageError(f"{path}: larger than the limit of {MAX_PIXELS / 1e6:.0f} megapixels") from error
        except UnidentifiedImageError as error:
            raise ImageError(f"{path}: not a picture in a format that Pillow reads") from error
        except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"{path}: cannot be decoded ({reason})") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before
    for warning in caught:
        if not issubclass(warning.category, (Image.DecompressionBombWarning, DeprecationWarning)):
            say_once(f"{path}: {' '.join(str(warning.message).split())}")


def _is_eager(path: str | os.PathLike[str]) -> bool:
    with open(path, "rb") as file:
        return file.read(4) in EAGER


def _read(path: str | os.PathLike[str]) -> Pixels:
    with _opened(path) as image:
        rawmode = deep.raw_mode(image)
        profile = image.info.get("icc_profile")
        levels, space, alpha = deep.read(image, path, rawmode) or _read_8_bits(image, rawmode)
        if "icc_profile" in image.info and not profile:
            say_once(f"{path}: its colour profile is ignored (damaged)")
        orientation = _orientation(image, path)
    levels = np.ascontiguousarray(_upright(levels, orientation))
    return Pixels(levels, space, None if alpha is None else _upright(alpha, orientation), profile)


def _read_8_bits(image: Image.Image, rawmode: str) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Levels, colour space and alpha of a picture that Pillow holds in 8 bits per channel."""
    image.load()
    if rawmode in ("L;2", "L;4") and "transparency" in image.info:
        image.info["transparency"] *= 85 if rawmode == "L;2" else 17  # Pillow scales the grey values but not this one
    grey = image.mode in GREY_MODES
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        alpha = np.asarray(image.getchannel("A"), np.float32) / 255
    if image.format == "XBM":
        image = ImageChops.invert(image)  # a bit set is ink, not light
    space = "L" if grey else image.mode if image.mode in ("CMYK", "LAB") else "RGB"
    levels = np.asarray(image.convert(space))
    return levels.reshape(*levels.shape[:2], -1), space, alpha


def _orientation(image: Image.Image, path: str | os.PathLike[str]) -> int:
    """EXIF orientation, 1 (upright) to 8."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # a damaged EXIF block raises whatever it leads Pillow to, and is no reason to stop
        say_once(f"{path}: its EXIF data are ignored ({' '.join(str(error).split())})")
        return 1
    return value if value in range(1, 9) else 1


def _upright(plane: np.ndarray, orientation: int) -> np.ndarray:
    """Rows and columns (the first two axes) in the order that the EXIF orientation asks for."""
    if orientation >= 5:
        plane = plane.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return plane
