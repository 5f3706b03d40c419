"""Picture files as they should not be, and paths as nobody expects them, for the tests of what becomes of them.

`CORPUS` holds a maker for every one by what is wrong with it. `readable` says whether it must be read (True), must be
refused (False) or may be either (None), as a file cut off may be, whose pixels are all there.
"""

import gzip
import io
import json
import os
import pickle
import random
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odd_files import HEIGHT, WIDTH, oriented, picture
from odd_profiles import PROFILES
from PIL import ExifTags, Image

SIDE = 30_000  # of a bomb: 900 megapixels
FORMATS = ("png", "jpg", "tif", "webp", "gif", "bmp", "ppm", "jp2", "avif", "ico", "tga", "sgi", "pcx", "qoi", "dds")
PNG = b"\x89PNG\r\n\x1a\n"
JPEG_SEGMENTS = b"\xff\xd8"


@dataclass(frozen=True)
class Bad:
    """A path that `make` makes something of, and whether that is to be read; `name` is the file's, in any folder."""

    name: str
    make: Callable[[Path], object]
    readable: bool | None = False


def encoded(suffix: str, mode: str = "RGB", **options) -> bytes:
    """A sound picture as the bytes of a file."""
    file = io.BytesIO()
    picture(mode).save(file, Image.registered_extensions()[f".{suffix}"], **options)
    return file.getvalue()


def holding(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def icon_holding_much(kind: str) -> Callable[[Path], object]:
    """144 megapixels that are really there, in 140 KB, where the file says 16x16."""
    return lambda path: path.write_bytes(icon(png(12_000, 12_000, rows=bytes(12_000 * 12_001)), kind))


def cut(suffix: str, tenths: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        data = encoded(suffix)
        path.write_bytes(data[: len(data) * tenths // 10])

    return make


def flipped(suffix: str, seed: int, **options) -> Callable[[Path], object]:
    """One byte in fifty is another, those of the signature apart."""

    def make(path: Path) -> None:
        data, draws = bytearray(encoded(suffix, **options)), random.Random(seed)
        for _ in range(max(1, len(data) // 50)):
            data[draws.randrange(min(16, len(data) - 1), len(data))] = draws.randrange(256)
        path.write_bytes(data)

    return make


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(width: int, height: int, *chunks: bytes, depth: int = 8, kind: int = 0, rows: bytes | None = None) -> bytes:
    """A PNG by hand: `chunks` between header and pixels, which are black by default."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(2) if rows is None else rows))
    return PNG + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """A sound JPEG with more segments (marker, content) at its beginning."""
    more = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return JPEG_SEGMENTS + more + encoded("jpg")[2:]


def tiff(width: int, height: int, **tags: tuple[int, int, int]) -> bytes:
    """A TIFF of one grey strip by hand; `tags` (type, count, value) take the place of its own by name."""
    own = {
        "ImageWidth": (4, 1, width), "ImageLength": (4, 1, height), "BitsPerSample": (3, 1, 8),
        "Compression": (3, 1, 1),
        "PhotometricInterpretation": (3, 1, 1), "StripOffsets": (4, 1, 8), "SamplesPerPixel": (3, 1, 1),
        "RowsPerStrip": (4, 1, height), "StripByteCounts": (4, 1, width * height % 2**32),
    } | tags  # fmt: skip
    entries = sorted((ExifTags.Base[name].value, *fields) for name, fields in own.items())
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 16) + bytes(8) + directory + bytes(4)


def gif(width: int, height: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def webp(width: int, height: int) -> bytes:
    """An animation of one small frame on a canvas of this size, which is made room for as the file is opened."""

    def riff(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    def triple(number: int) -> bytes:
        return number.to_bytes(3, "little")

    still = encoded("webp", lossless=True)  # RIFF, size, WEBP, then one chunk
    frame = bytes(6) + triple(WIDTH - 1) + triple(HEIGHT - 1) + triple(100) + b"\0" + still[12:]
    canvas = b"\2\0\0\0" + triple(width - 1) + triple(height - 1)
    return riff(b"RIFF", b"WEBP" + riff(b"VP8X", canvas) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", frame))


def icon(inside: bytes, kind: str) -> bytes:
    """An ICO or ICNS file that says 16x16 (128x128) and holds another picture."""
    if kind == "ico":
        return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inside), 22) + inside
    return b"icns" + struct.pack(">I", 16 + len(inside)) + b"ic07" + struct.pack(">I", 8 + len(inside)) + inside


def bombs() -> dict[str, bytes]:
    """Small files by suffix that say they hold 900 megapixels, or the most that their format can say."""
    most = min(SIDE, 65_535)
    jpeg, jp2, avif = (bytearray(encoded(suffix)) for suffix in ("jpg", "jp2", "avif"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", most, most)
    header = jp2.index(b"ihdr")
    jp2[header + 4 : header + 12] = struct.pack(">II", SIDE, SIDE)
    spatial = avif.index(b"ispe")
    avif[spatial + 8 : spatial + 16] = struct.pack(">II", SIDE, SIDE)
    return {
        "png": png(SIDE, SIDE),
        "tif": tiff(SIDE, SIDE),
        "gif": gif(most, most),
        "webp": webp(SIDE, SIDE),
        "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
        "ppm": b"P6 %d %d 255\n" % (SIDE, SIDE),
        "jpg": bytes(jpeg),
        "jp2": bytes(jp2),
        "avif": bytes(avif),
        "qoi": b"qoif" + struct.pack(">IIBB", SIDE, SIDE, 3, 0) + bytes(8),
        "psd": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, SIDE, SIDE, 8, 3) + bytes(14),
        "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, most, most, 24, 0) + bytes(16),
        "sgi": struct.pack(">HBBHHHH", 474, 1, 1, 3, most, most, 3) + bytes(500),
        "eps": postscript("showpage", SIDE),
    }


def postscript(program: str, side: int = 20) -> bytes:
    return f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 {side} {side}\n%%EndComments\n{program}\n%%EOF\n".encode()


def floats(value: float) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        values = np.full((8, 8), 0.5, np.float32)
        values[3, 3] = value
        Image.fromarray(values).save(path)

    return make


def frames(damaged: bool = False, **options) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        picture("RGB").save(path, save_all=True, append_images=[picture("L").convert("RGB")] * 3, **options)
        if damaged:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) * 3 // 4])

    return make


def nested_exif() -> bytes:
    """EXIF data whose first directory is followed by itself, and whose inner one is itself."""
    loop = struct.pack("<HHHII", 1, ExifTags.IFD.Exif, 4, 1, 8) + struct.pack("<I", 8)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + loop


def orientation_as(kind: int, count: int, value: bytes) -> bytes:
    entry = struct.pack("<HHHI", 1, ExifTags.Base.Orientation, kind, count) + value
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + entry + bytes(4) + struct.pack("<II", 6, 0)


def parametric_profile(kind: int, *numbers: float) -> bytes:
    """The grey profile with another tone curve: (a·x + b)^g …, by the numbers g, a, b, c, d of its kind."""
    fixed = b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)
    curve = b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed
    profile = bytearray(PROFILES["grey"])
    (count,) = struct.unpack_from(">I", profile, 128)
    for index in range(count):
        place = 132 + 12 * index
        if profile[place : place + 4] == b"kTRC":
            struct.pack_into(">II", profile, place + 4, len(profile), len(curve))
    struct.pack_into(">I", profile, 0, len(profile) + len(curve))
    return bytes(profile) + curve


def listening(path: Path) -> None:
    """A socket, whose name may be too long for the whole path."""
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def unreadable(path: Path) -> None:
    path.write_bytes(encoded("png"))
    path.chmod(0)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("picture.png", encoded("png"))
    return file.getvalue()


NO_PICTURES = {
    "zero bytes": b"",
    "one byte": b"\x89",
    "a signature": PNG,
    "text": b"not a picture\n" * 50,
    "html": b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "json": json.dumps({"picture": [1, 2, 3]}).encode(),
    "pickle": pickle.dumps({"picture": Path("a")}),
    "zip": zipped(),
    "gzip": gzip.compress(encoded("png")),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n",
    "program": b"\x7fELF" + bytes(200),
    "utf-16": "no picture".encode("utf-16"),
}

SIZES = {"1x1": (1, 1), "1x5000": (1, 5000), "5000x1": (5000, 1)}

EMPTY = {
    "png": png(0, 0), "gif": gif(0, 0), "ppm": b"P6 0 0 255\n", "tif": tiff(0, 0), "qoi": b"qoif" + bytes(18),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
    "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 0, 5, 24, 0) + bytes(16),
    "sgi": struct.pack(">HBBHHHH", 474, 0, 1, 3, 0, 5, 3) + bytes(500),
}  # fmt: skip

LONG_TEXT = zlib.compress(bytes(200 * 2**20), 9)  # 200 MiB in 200 KB
GREY_ROW = b"\0\x80"

METADATA = {
    "ztxt-bomb.png": (png(1, 1, chunk(b"zTXt", b"a\0\0" + LONG_TEXT)), None),
    "itxt-bomb.png": (png(1, 1, chunk(b"iTXt", b"a\0\1\0\0\0" + LONG_TEXT)), None),
    "iccp-bomb.png": (png(1, 1, chunk(b"iCCP", b"a\0\0" + LONG_TEXT)), None),
    "text-without-end.png": (png(1, 1, chunk(b"tEXt", b"no zero byte"), rows=GREY_ROW), None),
    "text-in-no-encoding.png": (png(1, 1, chunk(b"iTXt", b"\xff\0\0\0\xff\0\xff\0\xff"), rows=GREY_ROW), None),
    "profile-of-noise.png": (png(1, 1, chunk(b"iCCP", b"a\0\0" + zlib.compress(os.urandom(600))), rows=GREY_ROW), True),
    "profile-not-deflated.png": (png(1, 1, chunk(b"iCCP", b"a\0\0" + bytes(99)), rows=GREY_ROW), None),
    "checksum-of-header.png": (PNG + chunk(b"IHDR", bytes(13), checksum=1), False),
    "no-pixels.png": (PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""), False),
    "no-palette.png": (png(1, 1, kind=3), None),
    "transparency-too-long.png": (png(1, 1, chunk(b"tRNS", bytes(999)), rows=GREY_ROW), None),
    "depth-of-three.png": (png(1, 1, depth=3), False),
    "exif-of-noise.png": (png(1, 1, chunk(b"eXIf", b"II*\0\xff\xff\xff\xff" + bytes(9)), rows=GREY_ROW), True),
    "chunk-of-4-gigabytes.png": (PNG + b"\xff\xff\xff\xffIHDR" + bytes(50), False),
    "exif-loop.jpg": (jpeg_with((0xE1, nested_exif())), None),
    "exif-cut.jpg": (jpeg_with((0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff")), True),
    "orientation-9.jpg": (jpeg_with((0xE1, orientation_as(3, 1, struct.pack("<I", 9)))), True),
    "orientation-text.jpg": (jpeg_with((0xE1, orientation_as(2, 3, b"up\0\0"))), True),
    "orientation-list.jpg": (jpeg_with((0xE1, orientation_as(3, 2, struct.pack("<HH", 6, 6)))), True),
    "orientation-ratio.jpg": (jpeg_with((0xE1, orientation_as(5, 1, struct.pack("<I", 26)))), True),
    "orientation-0-by-0.jpg": (jpeg_with((0xE1, orientation_as(5, 1, struct.pack("<I", 0)))), True),
    "profile-part-3-of-9.jpg": (jpeg_with((0xE2, b"ICC_PROFILE\0\3\x09" + bytes(99))), True),
    "pictures-elsewhere.jpg": (jpeg_with((0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff" + bytes(40))), None),
    "adobe-cut.jpg": (jpeg_with((0xEE, b"Adobe")), None),
    "strip-beyond-the-end.tif": (tiff(9, 9, StripOffsets=(4, 1, 10**6)), False),
    "million-strips.tif": (tiff(9, 9, StripOffsets=(4, 2**31, 8)), False),
    "no-rows-in-a-strip.tif": (tiff(9, 9, RowsPerStrip=(4, 1, 0)), None),
    "depth-of-77.tif": (tiff(9, 9, BitsPerSample=(3, 1, 77)), False),
    "compressed-nohow.tif": (tiff(9, 9, Compression=(3, 1, 9999)), False),
    "directory-of-itself.tif": (b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8), False),
}

TONES = {
    "flat": (1, 2.2, 0, 0),  # a is 0, which -b/a is not defined for
    "falling": (3, -2.2, 1, 0, 1, 0),
    "steep": (3, 30_000, 2, 1, 1, 0),
    "negative": (3, 2.2, -1, -1, -1, 0.5),
}

NAMES = (
    "with spaces  .png", "it's.png", 'a "b".png', "two\nlines.png", "tab\tand\rreturn.png", "ünïcödé 画 🎨.png",
    "-dash.png", "--help", "a,b.png", "a=b.png", "a${b}.png", "a${b.png", "$HOME.png", "a:b.png", "100%.png", "%(a)s",
    "a'b\"c.png", "back\\slash.png", "ends in\\", "[list].png", "{dict}.png", "(a).png", "#hash.png", "~tilde.png",
    "*.png", "null", "true", "1e5", "\x1b[31mred.png", "\u202eltr.png", "e\u0301.png", f"{251 * 'x'}.png", "???",
    " lead.png", "trail.png ", "..png", "a..b.png", "no suffix", ".png", "many.dots.in.it.png", "UPPER.PNG", "@a.png",
)  # fmt: skip
NOT_UTF_8 = os.fsdecode(b"caf\xe9.png")

NODES = {
    "directory.png": Path.mkdir,
    "fifo.png": os.mkfifo,
    "socket.png": listening,
    "dangling.png": lambda path: path.symlink_to("nowhere.png"),
    "loop.png": lambda path: path.symlink_to(path.name),
    "zeros.png": lambda path: path.symlink_to("/dev/zero"),
    "full.png": lambda path: path.symlink_to("/dev/full"),
    "random.png": lambda path: path.symlink_to("/dev/urandom"),
    "null.png": lambda path: path.symlink_to(os.devnull),
    "terminal.png": lambda path: path.symlink_to("/dev/tty"),
}


def _corpus() -> dict[str, Bad]:
    cases = [Bad(f"cut-{tenths}.{suffix}", cut(suffix, tenths), None) for suffix in FORMATS for tenths in range(1, 10)]
    cases += [Bad(f"flipped-{n}.{suffix}", flipped(suffix, n), None) for suffix in FORMATS for n in range(3)]
    cases += [
        Bad(f"profile-flipped-{n}.png", flipped("png", n, icc_profile=PROFILES["wide"], compress_level=0), None)
        for n in range(5)
    ]
    cases += [Bad(f"{what}.png", holding(data)) for what, data in NO_PICTURES.items()]
    cases += [Bad(f"bomb.{suffix}", holding(data)) for suffix, data in bombs().items()]
    cases += [Bad(f"bomb.{suffix}", icon_holding_much(suffix)) for suffix in ("ico", "icns")]
    cases += [Bad(f"empty.{suffix}", holding(data)) for suffix, data in EMPTY.items()]
    cases += [Bad(name, holding(data), readable) for name, (data, readable) in METADATA.items()]
    cases += [
        Bad(f"tone-{what}.png", holding(encoded("png", "L", icc_profile=parametric_profile(*curve))), True)
        for what, curve in TONES.items()
    ]
    cases += [
        Bad(f"{what}.png", lambda path, size=size: Image.new("RGB", size, "red").save(path), True)
        for what, size in SIZES.items()
    ]
    cases += [Bad(f"{value}.tif", floats(value)) for value in (np.nan, np.inf, -np.inf, 1e38)]
    cases += [Bad(f"{suffix} as another.png", holding(encoded(suffix)), True) for suffix in ("jpg", "gif", "tif")]
    cases += [Bad(f"animated.{suffix}", frames(), True) for suffix in ("gif", "webp", "png", "tif")]
    cases += [Bad(f"animated-cut.{suffix}", frames(damaged=True), None) for suffix in ("gif", "webp", "png", "tif")]
    cases += [Bad("endless.eps", holding(postscript("{} loop")))]
    cases += [Bad(name, make) for name, make in NODES.items()]
    cases += [Bad("turned.jpg", oriented(6), True), Bad("unreadable.png", unreadable, None)]
    cases += [Bad(name, holding(encoded("png")), True) for name in (*NAMES, NOT_UTF_8)]
    return {case.name: case for case in cases}


CORPUS = _corpus()
