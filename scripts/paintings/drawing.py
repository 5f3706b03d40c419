"""Line and flat shape: splines, swelling lines and polygons on a plate of numbered inks.

A plate holds one small integer per oversampled pixel, the number of an ink.  It has no half
tones: edges become smooth when the finished picture is averaged down.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .easel import Easel, noise


def spline(points, count: int = 80) -> np.ndarray:
    """A smooth curve through some points (Catmull-Rom), as ``count`` points."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, len(p) - 3, count)
    k = np.minimum(t.astype(int), len(p) - 4)
    f = (t - k)[:, None]
    a, b, c, d = p[k], p[k + 1], p[k + 2], p[k + 3]
    return 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)


def normals(curve: np.ndarray) -> np.ndarray:
    """Unit normals of a curve, to the right of its direction on the page (y grows downwards)."""
    tangent = np.gradient(curve, axis=0)
    tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None] + 1e-12
    return np.stack([-tangent[:, 1], tangent[:, 0]], -1)


def swelling(curve: np.ndarray, width: float, ends: float = 0.25) -> np.ndarray:
    """The outline of a line that is thin at its ends and full in the middle."""
    s = np.linspace(0, 1, len(curve))
    half = 0.5 * width * (ends + (1 - ends) * np.sin(np.pi * s) ** 0.7)
    offset = normals(curve) * half[:, None]
    return np.vstack([curve + offset, (curve - offset)[::-1]])


def between(first: np.ndarray, second: np.ndarray, t) -> np.ndarray:
    """A curve of the family leading from one curve to another; ``t`` may vary along it."""
    t = np.broadcast_to(np.asarray(t, float), (len(first),))[:, None]
    return first * (1 - t) + second * t


class Plate:
    """Ink numbers on the pixels of an easel."""

    def __init__(self, easel: Easel, ink: int = 0):
        self.easel = easel
        self.image = Image.new("L", (easel.columns, easel.rows), ink)
        self._pen = ImageDraw.Draw(self.image)

    def fill(self, outline, ink: int) -> None:
        """Fill a polygon."""
        points = np.asarray(outline) * self.easel.scale
        self._pen.polygon([tuple(p) for p in points.tolist()], fill=ink)

    def line(self, curve, width: float, ink: int, ends: float = 0.25) -> None:
        """A line that swells in the middle."""
        self.fill(swelling(np.asarray(curve, float), width, ends), ink)

    def disc(self, x: float, y: float, radius: float, ink: int) -> None:
        """Fill a circle."""
        s = self.easel.scale
        self._pen.ellipse([(x - radius) * s, (y - radius) * s, (x + radius) * s, (y + radius) * s], fill=ink)

    def array(self, tremble: float = 0.0, seed: int = 1) -> np.ndarray:
        """The ink numbers, with edges displaced a little as by a hand-held knife."""
        inks = np.asarray(self.image)
        if not tremble:
            return inks
        e = self.easel
        dx = noise(e.x * 70, e.y * 70, seed) + 0.5 * noise(e.x * 190, e.y * 190, seed + 1)
        dy = noise(e.x * 70, e.y * 70, seed + 2) + 0.5 * noise(e.x * 190, e.y * 190, seed + 3)
        column = np.clip((e.x + tremble * dx) * e.scale, 0, e.columns - 1).astype(np.int32)
        row = np.clip((e.y + tremble * dy) * e.scale, 0, e.rows - 1).astype(np.int32)
        return inks[row, column]
