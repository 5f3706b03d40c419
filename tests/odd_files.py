"""Odd but valid picture files, made by Pillow or by ImageMagick, for the tests of decoding.

`FILES` holds a maker for every file name; `reference` is what ImageMagick, all by itself, reads in a file.
"""

import io
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from odd_profiles import PROFILES
from PIL import ExifTags, Image, ImageCms

CONVERT = shutil.which("convert") if shutil.which("identify") else None  # others are called convert too
WIDTH, HEIGHT = 23, 17  # neither equal nor even, so that no turn and no padding goes unnoticed

ORIENTATIONS = (
    "TopLeft", "TopRight", "BottomRight", "BottomLeft", "LeftTop", "RightTop", "RightBottom", "LeftBottom",
)  # fmt: skip

Maker = Callable[[Path], None]


def levels(channels: int, white: int = 255) -> np.ndarray:
    """A picture (H, W, channels) of whole numbers, in smooth colours, so that lossy files stay close to it."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    down, across = y / (HEIGHT - 1), x / (WIDTH - 1)
    waves = [across, down, (across + 2 * down) / 3, 1 - across * down]
    return np.stack([(wave * white).round() for wave in waves[:channels]], axis=-1).astype(np.int64)


def picture(mode: str) -> Image.Image:
    """The same picture in one of Pillow's modes."""
    if mode in ("1", "P"):
        return picture("L" if mode == "1" else "RGB").convert(mode)
    channels = {"L": 1, "LA": 2, "RGB": 3, "LAB": 3, "YCbCr": 3, "RGBA": 4, "CMYK": 4}[mode]
    return Image.frombytes(mode, (WIDTH, HEIGHT), levels(channels).astype(np.uint8).tobytes())


def by_pillow(mode: str, **options) -> Maker:
    return lambda path: picture(mode).save(path, **options)


def numbers(kind: str, white: float = 1, **options) -> Maker:
    """One channel of numbers of a NumPy type, from 0 to `white`."""
    values = levels(3, 65535)[..., 2] / 65535 * white
    return lambda path: Image.fromarray(values.astype(kind)).save(path, **options)


def by_magick(*arguments: str, depth: int = 8, kind: str = "rgb", to: str = "") -> Maker:
    """Raw pixels given to ImageMagick, which writes the file in its own way."""

    def make(path: Path) -> None:
        channels = {"gray": 1, "rgb": 3, "rgba": 4, "cmyk": 4}[kind]
        raw = levels(channels, 2**depth - 1).astype(f"<u{depth // 8}").tobytes()
        source = ["-size", f"{WIDTH}x{HEIGHT}", "-depth", str(depth), "-endian", "LSB", f"{kind}:-"]
        subprocess.run([CONVERT, *source, "+endian", *arguments, f"{to}{path}"], input=raw, check=True)

    return make


def oriented(orientation: int, **options) -> Maker:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return by_pillow("RGB", exif=exif, **options)


def profiled(mode: str, profile: str, **options) -> Maker:
    return by_pillow(mode, icc_profile=PROFILES[profile], **options)


def profiled_by_magick(profile: str, **options) -> Maker:
    def make(path: Path) -> None:
        file = path.with_suffix(".source.icc")
        file.write_bytes(PROFILES[profile])
        by_magick("-profile", str(file), depth=16, **options)(path)

    return make


def frames(*modes: str, **options) -> Maker:
    """Several pictures in one file, the later ones inverted."""

    def make(path: Path) -> None:
        first, *later = map(picture, modes)
        first.save(path, save_all=True, append_images=[each.point(lambda v: 255 - v) for each in later], **options)

    return make


def without_adobe_marker(path: Path) -> None:
    """A CMYK JPEG that does not say that Adobe's (inverted) inks are meant."""
    buffer = io.BytesIO()
    picture("CMYK").save(buffer, "JPEG", quality=95, subsampling=0)
    data = buffer.getvalue()
    at = data.index(b"\xff\xee")
    path.write_bytes(data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :])


LOSSY = {"quality": 95, "subsampling": 0}
EXACT = {"lossless": True, "exact": True}
GIF = {"optimize": False}

FILES: dict[str, Maker] = {
    # PNG: every colour type and depth, transparency in all its forms
    "1.png": by_pillow("1"),
    "1_transparent.png": by_pillow("1", transparency=0),
    "l.png": by_pillow("L"),
    "l_transparent.png": by_pillow("L", transparency=255),
    "l2.png": by_magick("-depth", "2", "-define", "png:bit-depth=2", "-define", "png:color-type=0", kind="gray"),
    "l4.png": by_magick("-depth", "4", "-define", "png:bit-depth=4", "-define", "png:color-type=0", kind="gray"),
    "la.png": by_pillow("LA"),
    "p.png": by_pillow("P"),
    "p2.png": lambda path: picture("RGB").quantize(4).save(path, bits=2),
    "p4.png": lambda path: picture("RGB").quantize(16).save(path, bits=4),
    "p_one_transparent.png": by_pillow("P", transparency=15),
    "p_alphas.png": by_pillow("P", transparency=bytes(range(0, 250, 5))),
    "rgb.png": by_pillow("RGB"),
    "rgb_transparent.png": by_pillow("RGB", transparency=(0, 0, 0)),
    "rgba.png": by_pillow("RGBA"),
    "i16.png": numbers("uint16", 65535),
    "i16_transparent.png": numbers("uint16", 65535, transparency=65535),
    "la16.png": by_magick("-colorspace", "gray", "-define", "png:color-type=4", depth=16, kind="rgba"),
    "rgb16.png": by_magick(depth=16, to="PNG48:"),
    "rgb16_interlaced.png": by_magick("-interlace", "PNG", depth=16, to="PNG48:"),
    "rgb16_transparent.png": by_magick("-transparent", "#fff", "-define", "png:color-type=2", depth=16),
    "rgba16.png": by_magick(depth=16, kind="rgba", to="PNG64:"),
    "animated.png": frames("RGB", "RGB"),
    # JPEG
    "l.jpg": by_pillow("L", quality=95),
    "rgb.jpg": by_pillow("RGB", **LOSSY),
    "subsampled.jpg": by_pillow("RGB", quality=95, subsampling=2),
    "progressive.jpg": by_pillow("RGB", progressive=True, **LOSSY),
    "rgb_stored.jpg": by_pillow("RGB", keep_rgb=True, quality=95),
    "cmyk_adobe.jpg": by_pillow("CMYK", **LOSSY),
    "cmyk_magick.jpg": by_magick("-quality", "95", kind="cmyk"),
    "cmyk_no_marker.jpg": without_adobe_marker,
    "several.mpo": frames("RGB", "RGB", **LOSSY),
    **{f"orientation_{n}.jpg": oriented(n, **LOSSY) for n in range(1, 9)},
    # TIFF: byte orders, depths, compressions, layouts, colour spaces
    "1_fax.tif": by_pillow("1", compression="group4"),
    "1_white_is_zero.tif": by_magick("-monochrome", "-define", "quantum:polarity=min-is-white", kind="gray"),
    "l.tif": by_pillow("L"),
    "l_white_is_zero.tif": by_magick("-define", "quantum:polarity=min-is-white", kind="gray"),
    "la.tif": by_pillow("LA"),
    "p.tif": by_pillow("P"),
    "rgb_tiled.tif": by_magick("-define", "tiff:tile-geometry=16x16"),
    "rgb_planes.tif": by_magick("-interlace", "plane"),
    "rgb_lzw.tif": by_magick("-compress", "lzw"),
    "rgb_jpeg.tif": by_pillow("RGB", compression="jpeg", quality=95),
    "rgba.tif": by_pillow("RGBA"),
    "rgba_premultiplied.tif": by_magick("-define", "tiff:alpha=associated", kind="rgba"),
    "cmyk.tif": by_pillow("CMYK"),
    "i16.tif": numbers("uint16", 65535),
    "i16_big_endian.tif": by_magick("-define", "tiff:endian=msb", depth=16, kind="gray"),
    "i16_white_is_zero.tif": by_magick("-define", "quantum:polarity=min-is-white", depth=16, kind="gray"),
    "i32.tif": by_magick("-depth", "32", depth=16, kind="gray"),
    "float.tif": numbers("float32"),
    "float_lzw.tif": numbers("float32", compression="tiff_lzw"),
    "rgb16.tif": by_magick(depth=16),
    "rgb16_big_endian.tif": by_magick("-define", "tiff:endian=msb", depth=16),
    "rgb16_lzw.tif": by_magick("-compress", "lzw", depth=16),
    "rgb16_zip_big_endian.tif": by_magick("-compress", "zip", "-define", "tiff:endian=msb", depth=16),
    "rgba16.tif": by_magick(depth=16, kind="rgba"),
    "rgba16_premultiplied.tif": by_magick("-define", "tiff:alpha=associated", depth=16, kind="rgba"),
    "cmyk16.tif": by_magick(depth=16, kind="cmyk"),
    "pages.tif": frames("RGB", "L"),
    **{f"orientation_{n}.tif": by_pillow("RGB", tiffinfo={274: n}) for n in range(2, 9)},
    "rgb16_orientation_6.tif": by_magick("-orient", "right-top", depth=16),
    # WebP, GIF and the rest
    "rgb.webp": by_pillow("RGB", **EXACT),
    "rgba.webp": by_pillow("RGBA", **EXACT),
    "orientation_6.webp": oriented(6, **EXACT),
    "orientation_5.png": oriented(5),
    "orientation_8.png": oriented(8),
    "animated.webp": frames("RGB", "RGB", **EXACT),
    "p.gif": by_pillow("P", **GIF),
    "p_transparent.gif": by_pillow("P", transparency=15, **GIF),
    "l_interlaced.gif": by_pillow("L", interlace=True, **GIF),
    "animated.gif": frames("P", "P", **GIF),
    "1.bmp": by_pillow("1"),
    "p.bmp": by_pillow("P"),
    "rgb.bmp": by_pillow("RGB"),
    "rgba.bmp": by_magick("-define", "bmp:format=bmp4", kind="rgba"),
    "rle.bmp": by_magick("-colors", "16", "-compress", "rle", to="BMP3:"),
    "1.pbm": by_pillow("1"),
    "l_text.pgm": by_magick("-compress", "none", kind="gray"),
    "i16.pgm": by_magick(depth=16, kind="gray"),
    "i16_text.pgm": by_magick("-compress", "none", depth=16, kind="gray"),
    "rgb.ppm": by_pillow("RGB"),
    "rgb16.ppm": by_magick(depth=16),
    "float.pfm": numbers("float32"),
    "rgb.tga": by_pillow("RGB", compression="tga_rle"),
    "rgba.tga": by_pillow("RGBA"),
    "l.pcx": by_pillow("L"),
    "rgb.pcx": by_pillow("RGB"),
    "rgb.sgi": by_pillow("RGB"),
    "rgb.jp2": by_pillow("RGB"),
    "rgba.jp2": by_pillow("RGBA"),
    "i16.jp2": numbers("uint16", 65535),
    "rgb.ras": by_magick(to="SUN:"),
    "rgb.psd": by_magick(),
    "rgba.ico": lambda path: picture("RGBA").save(path, sizes=[(WIDTH, HEIGHT)]),
    "1.xbm": by_pillow("1"),
    "rgb.xpm": by_magick("-colors", "16"),
    "rgb.dds": by_pillow("RGB"),
    # Colour profiles
    "wide.png": profiled("RGB", "wide"),
    "wide.jpg": profiled("RGB", "wide", **LOSSY),
    "wide.webp": profiled("RGB", "wide", **EXACT),
    "wide.tif": profiled("RGB", "wide"),
    "wide_rgba.png": profiled("RGBA", "wide"),
    "wide_p.png": profiled("P", "wide"),
    "wide_l.jpg": profiled("L", "wide", quality=95),
    "srgb.png": profiled("RGB", "srgb"),
    "srgb_l.png": profiled("L", "srgb"),
    "grey.png": profiled("L", "grey"),
    "grey.jpg": profiled("L", "grey", quality=95),
    "grey_la.png": profiled("LA", "grey"),
    "grey16.tif": numbers("uint16", 65535, icc_profile=PROFILES["grey"]),
    "wide16.png": profiled_by_magick("wide", to="PNG48:"),
    "wide16.tif": profiled_by_magick("wide"),
    "inks16.tif": profiled_by_magick("inks", kind="cmyk"),
    "inks.tif": profiled("CMYK", "inks"),
    "inks.jpg": profiled("CMYK", "inks", **LOSSY),
}

SIXTEEN_BITS = [name for name in FILES if "16" in name or name.startswith("float")]


def reference(path: Path) -> np.ndarray:
    """RGB (H, W, 3) in [0, 1] of the first frame: upright, in sRGB, on white."""
    named = subprocess.run(["identify", "-format", "%[profile:icc]\n", f"{path}[0]"], capture_output=True, check=True)
    command = [CONVERT, f"{path}[0]"]
    if turned := re.search(r"orientation_(\d)", path.name):
        command += ["-orient", ORIENTATIONS[int(turned[1]) - 1]]  # this release reads it in JPEG and TIFF only
    command += ["-auto-orient"]
    if named.stdout.strip():
        srgb = path.with_suffix(".icc")
        srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        command += ["-intent", "perceptual", "-profile", str(srgb)]
    command += ["-colorspace", "sRGB", "-type", "TrueColorAlpha", "-background", "white", "-alpha", "remove"]
    sized = subprocess.run([*command, "-format", "%w %h", "info:"], capture_output=True, check=True)
    width, height = map(int, sized.stdout.split())
    raw = subprocess.run([*command, "-depth", "16", "-endian", "LSB", "rgb:-"], capture_output=True, check=True)
    return np.frombuffer(raw.stdout, "<u2").reshape(height, width, 3) / 65535
