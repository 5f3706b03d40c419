"""ICC profiles that are curves and a matrix, as those of cameras and screens are, computed in floating point.

Pillow's transforms give 8 bits per channel; a picture of 16 bits would be left with steps.
"""

import struct
from functools import cache, lru_cache

import numpy as np

CURVES = {"L": (b"kTRC",), "RGB": (b"rTRC", b"gTRC", b"bTRC")}
COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")

# How many numbers each kind of parametric curve has, ICC.1:2022, table 68.
PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}


def to_srgb(levels: np.ndarray, space: str, profile: bytes, srgb: bytes) -> np.ndarray | None:
    """Levels (H, W, 1 or 3) from 0 to 255 -> sRGB float32 (H, W, 3) in [0, 1]; None for a profile of another kind.

    Args:
        space: L or RGB, which the profile is for.
        srgb: the profile of sRGB, whose primaries are the target's.
    """
    parts = _parts(profile, space)
    if parts is None:
        return None
    curves, to_xyz = parts
    values = levels.astype(np.float32) / 255
    light = np.stack([_evaluated(curve, values[..., index]) for index, curve in enumerate(curves)], axis=-1)
    if space == "RGB":
        light = light @ (_from_xyz(srgb) @ to_xyz).T.astype(np.float32)
    encoded = _srgb_encoded(light)
    return np.repeat(encoded, 3, axis=-1) if space == "L" else encoded


@lru_cache(maxsize=8)
def _parts(profile: bytes, space: str) -> tuple[list[bytes], np.ndarray] | None:
    """The curves, as stored, and the matrix from linear RGB to XYZ; None unless that is all the profile says."""
    try:
        tags = _tags(profile)
        if b"A2B0" in tags or profile[20:24] != b"XYZ " or space not in CURVES:
            return None
        curves = [tags[name] for name in CURVES[space]]
        for curve in curves:
            _evaluated(curve, np.zeros(1, np.float32))
        columns = [_fixed(tags[name][8:20]) for name in COLUMNS] if space == "RGB" else np.eye(3)
        return curves, np.array(columns).T
    except (KeyError, IndexError, ValueError, struct.error):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))]
    return {name: profile[offset : offset + size] for name, offset, size in entries}


@cache
def _from_xyz(srgb: bytes) -> np.ndarray:
    parts = _parts(srgb, "RGB")
    assert parts is not None  # of such a kind is sRGB
    return np.linalg.inv(parts[1])


def _evaluated(curve: bytes, values: np.ndarray) -> np.ndarray:
    """A tone curve (tag curv or para) at values in [0, 1]."""
    if curve[:4] == b"curv":
        (count,) = struct.unpack_from(">I", curve, 8)
        if count == 0:
            return values
        table = np.frombuffer(curve, ">u2", count, 12)
        if count == 1:
            curved: np.ndarray = values ** np.float32(table[0] / 256)
        else:
            curved = np.interp(values, np.linspace(0, 1, count), table / 65535).astype(np.float32)
        return curved
    (kind,) = struct.unpack_from(">H", curve, 8)
    return _parametric(kind, _fixed(curve[12 : 12 + 4 * PARAMETERS[kind]]), values)


def _parametric(kind: int, numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(a·x + b)^g + e from d on, c·x + f below; each kind of curve leaves some of these at their neutral values.

    What leaves [0, 1] is clipped, as the standard has it; numbers that make no curve would otherwise give infinities.
    """
    g, a, b, c, d, e, f = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == 0:
        (g,) = numbers
    elif kind in (1, 2):
        g, a, b = numbers[:3]
        d = -b / a if a else np.inf
        e = f = numbers[3] if kind == 2 else 0.0
    else:
        g, a, b, c, d = numbers[:5]
        e, f = numbers[5:] if kind == 4 else (0.0, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        curved = np.maximum(a * values + b, 0) ** g + e
    return np.where(values >= d, curved, c * values + f).clip(0, 1).astype(np.float32)


def _fixed(data: bytes) -> np.ndarray:
    return np.frombuffer(data, ">i4") / 65536


def _srgb_encoded(light: np.ndarray) -> np.ndarray:
    """Linear light -> sRGB, IEC 61966-2-1, clipped to [0, 1]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
