"""The easel: coordinates, noise, colour and light shared by every painting.

All lengths are fractions of the longer side of the picture, so that a work looks the same at
any pixel size.  Every random decision is taken either from a seeded generator or from an integer
hash of a position in these units; none depends on the number of pixels.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage


class Easel:
    """A rectangle of the given proportions with a pixel grid laid over it.

    ``x`` and ``y`` hold the position of every (oversampled) pixel; ``height`` is the short side
    (or the long one, for an upright picture, whose width is then below 1).
    """

    def __init__(self, proportions: tuple[int, int], size: int, oversample: int = 2):
        across, down = proportions
        longest = max(across, down)
        self.width, self.height = across / longest, down / longest
        self.oversample = oversample
        self.columns = max(8, round(size * self.width)) * oversample
        self.rows = max(8, round(size * self.height)) * oversample
        self.scale = size * oversample  # pixels in one unit of length
        xs = (np.arange(self.columns, dtype=np.float32) + 0.5) / self.scale
        ys = (np.arange(self.rows, dtype=np.float32) + 0.5) / self.scale
        self.x, self.y = np.meshgrid(xs, ys)

    def finish(self, picture: np.ndarray, step: int = 6) -> np.ndarray:
        """Average the oversampled picture down and round it to bytes that are multiples of ``step``.

        The coarse rounding is far below the grain of any paint (about 43 dB) and makes the PNG a
        third smaller; it also swallows differences in the last digit between machines.
        """
        n = self.oversample
        small = picture.reshape(self.rows // n, n, self.columns // n, n, 3).mean(axis=(1, 3))
        return (np.rint(np.clip(small, 0, 1) * (255 / step)) * step).clip(0, 255).astype(np.uint8)


def study(proportions: tuple[int, int], size: int = 640) -> Easel:
    """The grid of fixed size on which a scene is planned, whatever the size of the picture."""
    return Easel(proportions, size, oversample=1)


# ---------------------------------------------------------------- noise

_ANGLES = np.arange(64) * (2 * np.pi / 64)
_GRADIENT_X = np.cos(_ANGLES).astype(np.float32)
_GRADIENT_Y = np.sin(_ANGLES).astype(np.float32)


def _hashed(ix: np.ndarray, iy: np.ndarray, seed: int) -> np.ndarray:
    """A well mixed unsigned integer for every lattice point."""
    h = ix.astype(np.uint32) * np.uint32(374761393)
    h = h + iy.astype(np.uint32) * np.uint32(668265263)
    h = h + np.uint32((seed * 2246822519) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(2654435769)
    return h ^ (h >> np.uint32(15))


def noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Gradient noise, about -1 to 1, with features one unit of ``x`` and ``y`` across."""
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    fx, fy = np.floor(x), np.floor(y)
    ix, iy = fx.astype(np.int64), fy.astype(np.int64)
    dx, dy = x - fx, y - fy
    corners = []
    for oy in (0, 1):
        for ox in (0, 1):
            g = (_hashed(ix + ox, iy + oy, seed) & np.uint32(63)).astype(np.intp)
            corners.append(_GRADIENT_X[g] * (dx - ox) + _GRADIENT_Y[g] * (dy - oy))
    wx = dx * dx * dx * (dx * (dx * 6 - 15) + 10)
    wy = dy * dy * dy * (dy * (dy * 6 - 15) + 10)
    top = corners[0] + wx * (corners[1] - corners[0])
    bottom = corners[2] + wx * (corners[3] - corners[2])
    return (top + wy * (bottom - top)) * np.float32(1.5)


def fractal(x, y, frequency: float, octaves: int, seed: int, gain: float = 0.5) -> np.ndarray:
    """Several octaves of noise, scaled to stay about within -1 to 1."""
    total, weight, norm = 0.0, 1.0, 0.0
    for octave in range(octaves):
        f = frequency * 2.0**octave
        total = total + weight * noise(x * f + 17.3 * octave, y * f - 9.1 * octave, seed + octave)
        norm += weight
        weight *= gain
    return total / norm**0.75


# ---------------------------------------------------------------- colour

def rgb(code: str) -> np.ndarray:
    """A colour from its hexadecimal notation, as three numbers from 0 to 1."""
    code = code.lstrip("#")
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255


def pigments(*codes: str) -> np.ndarray:
    """Several colours, one per row."""
    return np.stack([rgb(code) for code in codes])


def ramp(value: np.ndarray, colours: np.ndarray, stops=None) -> np.ndarray:
    """Colours along a scale: ``value`` 0 is the first pigment, 1 the last."""
    stops = np.linspace(0, 1, len(colours)) if stops is None else np.asarray(stops)
    value = np.clip(value, 0, 1)
    return np.stack([np.interp(value, stops, colours[:, c]) for c in range(3)], -1).astype(np.float32)


def mix(a, b, amount) -> np.ndarray:
    """Colour ``a`` covered by ``b`` to the given amount (a number or one per pixel)."""
    amount = np.asarray(amount, np.float32)
    if amount.ndim:
        amount = amount[..., None]
    return a + (b - a) * amount


def smoothstep(low: float, high: float, value) -> np.ndarray:
    """0 below ``low``, 1 above ``high`` and smooth between; ``low`` may exceed ``high``."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


# ---------------------------------------------------------------- light

def relief(easel: Easel, height: np.ndarray, strength: float, blur: float = 0.0008) -> np.ndarray:
    """Light from the upper left on a height map (in units of length): about 0, up to +-1.

    ``blur`` rounds the edges of paint, as a liquid would; it is a length, like the height.
    """
    h = ndimage.gaussian_filter(height, blur * easel.scale) if blur else height
    dy, dx = np.gradient(h * easel.scale)
    slope = (dx * 0.6 + dy * 0.8) * strength
    return (slope / np.sqrt(1 + slope * slope)).astype(np.float32)


def lit(colour: np.ndarray, light: np.ndarray, depth: float = 0.4, gloss: float = 0.15) -> np.ndarray:
    """Shade a picture by its relief; shadows keep their colour, highlights whiten a little."""
    shaded = colour * (1 + depth * np.minimum(light, 0)[..., None] + 0.5 * depth * np.maximum(light, 0)[..., None])
    return shaded + gloss * (np.maximum(light, 0) ** 2)[..., None]


def canvas_weave(easel: Easel, threads: float = 170, seed: int = 5) -> np.ndarray:
    """The weave of a linen canvas, about -1 to 1, with threads of uneven thickness."""
    wobble = noise(easel.x * 24, easel.y * 24, seed) * 0.5
    warp = np.sin((easel.x * threads + wobble) * 2 * np.pi)
    weft = np.sin((easel.y * threads + wobble) * 2 * np.pi)
    slub = 1 + 0.6 * noise(easel.x * 8, easel.y * 120, seed + 1)
    return 0.5 * (warp * np.abs(weft) + weft * slub * np.abs(warp))


# ---------------------------------------------------------------- paper

def save(picture: np.ndarray, path) -> None:
    """Write bytes as a PNG, without any metadata that could differ between machines."""
    Image.fromarray(picture, "RGB").save(path, format="PNG", optimize=True)
