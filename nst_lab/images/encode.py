"""Pixels -> PNG, JPEG or WebP with metadata and the sRGB profile: complete or not at all, equal for equal input."""

import json
import os
import struct
import uuid
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from nst_lab.errors import ImageError
from nst_lab.images import icc

JPEG_QUALITY = 95  # of 100, colours not subsampled
WEBP_QUALITY = 95  # of 100, lossy

MOST_EXIF_BYTES = 65_000  # a JPEG segment holds 64 KiB

# What EXIF has a place of its own for; everything, these too, goes into the comment.
EXIF_PLACES = {"Software": ExifTags.Base.Software, "Copyright": ExifTags.Base.Copyright}
ASCII_COMMENT = b"ASCII\0\0\0"


def write(path: str | os.PathLike[str], pixels: np.ndarray, metadata: Mapping[str, str] | None = None) -> None:
    """Write RGB pixels in the format that the extension names.

    Args:
        path: ends in .png, .jpg, .jpeg or .webp; replaced in one step once the file is complete.
        pixels: (H, W, 3), uint8, or uint16 for a 16-bit PNG.
        metadata: PNG text entries; in JPEG and WebP the EXIF user comment, as JSON. `read_metadata` reads both.

    Raises:
        ImageError: the extension is unknown, the format lacks 16 bits or room for the metadata, which are not text,
            or the file cannot be written.
    """
    path = Path(path)
    encode = encoder(path)
    metadata = {} if metadata is None else metadata
    if not _are_texts(metadata):
        raise ImageError(f"{path}: metadata={metadata!r}: expected a dictionary of texts")
    if "\0" in str(path):
        raise ImageError(f"{path}: cannot be written (a zero byte in its name)")
    if pixels.dtype == np.uint16:
        if encode is not _png:
            raise ImageError(f"{path}: 16 bits per channel need .png")
        encode = _png_of_16_bits
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with temporary.open("xb") as file:
            encode(file, pixels, dict(metadata))
        temporary.replace(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # where nothing could be written, there is nothing to remove
            temporary.unlink()


def _are_texts(metadata: object) -> bool:
    return isinstance(metadata, Mapping) and all(isinstance(text, str) for pair in metadata.items() for text in pair)


def encoder(path: Path) -> Callable[[BinaryIO, np.ndarray, dict[str, str]], None]:
    """What writes the format that the extension of `path` names.

    Raises:
        ImageError: the extension is not one of those.
    """
    try:
        return ENCODERS[path.suffix.lower()]
    except KeyError:
        kind = path.suffix or "a file without extension"
        raise ImageError(f"{path}: cannot save as {kind}; valid: {', '.join(ENCODERS)}") from None


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What `write` was given as metadata; empty for a picture without."""
    with Image.open(path) as image:
        if isinstance(image, PngImagePlugin.PngImageFile):
            return dict(image.text)
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
    return json.loads(comment.removeprefix(ASCII_COMMENT)) if comment.startswith(ASCII_COMMENT + b"{") else {}


def _png(file: BinaryIO, pixels: np.ndarray, metadata: dict[str, str]) -> None:
    Image.fromarray(pixels).save(file, "PNG", pnginfo=_png_texts(metadata), icc_profile=icc.srgb_profile())


def _png_texts(metadata: dict[str, str]) -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    for key, text in metadata.items():
        texts.add_text(key, text)
    return texts


def _png_of_16_bits(file: BinaryIO, pixels: np.ndarray, metadata: dict[str, str]) -> None:
    """Pillow writes no RGB of 16 bits, and the format is simple: chunks of deflated rows, here as differences upwards.

    https://www.w3.org/TR/png-3/
    """
    height, width, _ = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2  # filter "up": a byte minus the one above, modulo 256
    filtered[:, 1:] = rows
    filtered[1:, 1:] -= rows[:-1]
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc.srgb_profile()))
    for name, text, *_ in _png_texts(metadata).chunks:
        _chunk(file, name, text)
    _chunk(file, b"IDAT", zlib.compress(filtered.tobytes()))
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))


def _jpeg(file: BinaryIO, pixels: np.ndarray, metadata: dict[str, str]) -> None:
    options = {"quality": JPEG_QUALITY, "subsampling": "4:4:4", "optimize": True, "icc_profile": icc.srgb_profile()}
    Image.fromarray(pixels).save(file, "JPEG", exif=_exif(metadata), **options)


def _webp(file: BinaryIO, pixels: np.ndarray, metadata: dict[str, str]) -> None:
    options = {"quality": WEBP_QUALITY, "icc_profile": icc.srgb_profile()}
    Image.fromarray(pixels).save(file, "WEBP", exif=_exif(metadata), **options)


def _exif(metadata: dict[str, str]) -> bytes:
    if not metadata:
        return b""
    exif = Image.Exif()
    for key, tag in EXIF_PLACES.items():
        if key in metadata:
            exif[tag] = metadata[key]
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = ASCII_COMMENT + json.dumps(metadata).encode()
    packed = exif.tobytes()
    if len(packed) > MOST_EXIF_BYTES:
        raise ImageError(f"{len(packed)} bytes of metadata are more than EXIF holds; use .png")
    return packed


ENCODERS = {".png": _png, ".jpg": _jpeg, ".jpeg": _jpeg, ".webp": _webp}
