"""ICC profiles made from nothing, for the tests of decoding: a wide RGB, a dark grey, and four inks."""

import struct
from itertools import product

import numpy as np
from PIL import ImageCms

D50 = (0.9642, 1, 0.8249)


def _numbers(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header, table and contents of ICC.1:2001 (version 2.1)."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + _numbers(*D50),
    } | tags
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", offset + len(body), len(content))
        body += padded
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    header = struct.pack(">I4xI", offset + len(body), 0x02100000) + kind + space + connection + date + b"acsp"
    header = header.ljust(68, b"\0") + _numbers(*D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def wide_rgb() -> bytes:
    """Primaries far outside sRGB, gamma 1.8."""
    columns = ((0.7977, 0.2880, 0), (0.1352, 0.7119, 0), (0.0313, 0.0001, 0.8249))
    tags = (b"rXYZ", b"gXYZ", b"bXYZ")
    primaries = {tag: b"XYZ " + bytes(4) + _numbers(*xyz) for tag, xyz in zip(tags, columns, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", primaries | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(1.8)))


def grey() -> bytes:
    """Gamma 1.5: decidedly brighter than sRGB's."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(1.5)})


def inks() -> bytes:
    """Four inks by a table of their 16 overprints in Lab; C, M and Y darken by a third each, and K to black."""
    straight = bytes(range(256))
    overprints = bytearray()
    for c, m, y, k in product((0, 1), repeat=4):
        light, a, b = 255 * (1 - (c + m + y) / 4), 60 * m - 40 * c, 70 * y - 40 * c
        overprints += bytes([round(light) * (1 - k), 128 + a * (1 - k), 128 + b * (1 - k)])
    table = b"mft1" + bytes(4) + struct.pack(">4B", 4, 3, 2, 0) + _numbers(*np.eye(3).ravel())
    table += straight * 4 + bytes(overprints) + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


PROFILES = {
    "wide": wide_rgb(),
    "grey": grey(),
    "inks": inks(),
    "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
}
