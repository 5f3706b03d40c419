"""Ink on rice paper: mountains rising from mist, pines, a skiff, bamboo in the foreground.

Texture on offer: greys that pool and darken at wet edges, granulation, dry split-hair strokes,
blooms, long paper fibres; nearly one hue, so mostly structure.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from .brush import Canvas, lay, scatter, straight
from .drawing import Plate, normals, spline
from .easel import Easel, fractal, mix, noise, rgb, smoothstep

PROPORTIONS = (400, 512)
SEED = 1420

# Ridge of each range: base height, height of the relief, seed, darkness, depth of the fade
RANGES = ((0.235, 0.075, 3, 0.36, 0.120), (0.330, 0.150, 7, 0.56, 0.150), (0.445, 0.110, 12, 0.70, 0.130),
          (0.560, 0.085, 19, 0.84, 0.115), (0.745, 0.060, 26, 0.95, 0.095))


def _ridge(x, base, relief, seed):
    """Height of a range: a few peaks of their own plus crags."""
    line = base + 0 * x
    rng = np.random.default_rng(seed)
    for _ in range(4):
        centre, spread = rng.uniform(-0.05, 0.85), rng.uniform(0.05, 0.13)
        line = line - relief * rng.uniform(0.45, 1.15) * np.exp(-(np.abs((x - centre) / spread) ** 1.35))
    for octave, size in ((7, 0.16), (16, 0.10), (37, 0.055), (80, 0.030)):
        line = line + relief * size * noise(x * octave, 0 * x + seed, seed + octave)
    return line


def _washes(easel: Easel) -> np.ndarray:
    """Density of the ink from the broad wet brush."""
    x, y = easel.x, easel.y
    bleed = 0.0022 * noise(x * 60, y * 60, 1) + 0.0012 * noise(x * 150, y * 150, 2)
    bloom = fractal(x, y, 4, 5, 8, gain=0.6)
    density = 0.07 + 0.08 * bloom + 0.07 * np.exp(-(((bloom - 0.10) / 0.03) ** 2)) + 0.10 * smoothstep(0.14, 0.0,
        y + 0.05 * noise(x * 4, y * 4, 6))
    for base, relief, seed, dark, fade in RANGES:
        below = y - _ridge(x[:1], base, relief, seed) + bleed
        inside = smoothstep(-0.0012, 0.0022, below)
        pool = fractal(x + 0.02 * noise(x * 9, y * 9, seed), y, 9, 4, seed + 1, gain=0.6)
        folds = fractal(x * 2.2 + 0.6 * y, y * 0.8 - 0.8 * x, 8, 4, seed + 2, gain=0.6)
        body = np.exp(-np.maximum(below, 0) / (fade * (0.75 + 0.5 * noise(x * 3, y, seed + 5))))
        tone = dark * body * (0.62 + 0.70 * pool + 0.75 * folds)
        rim = dark * 0.60 * np.exp(-np.maximum(below, 0) / 0.0055) * (0.6 + 0.7 * noise(x * 18, y * 18, seed + 7))
        tide = np.exp(-(((pool - 0.18) / 0.035) ** 2)) * 0.22 * dark * body
        wash = np.clip(tone + rim + tide, 0, 0.97)
        # The mist in front of the farther range is bare paper, a little stained.
        density = density * (1 - inside * (0.90 - 0.15 * body)) + wash * inside
    return density


def _water(easel: Easel, density):
    """Still water at the foot: pale, with level ripples."""
    x, y = easel.x, easel.y
    lake = smoothstep(0.800, 0.830, y + 0.012 * noise(x * 6, y * 6, 40))
    ripple = np.maximum(0, noise(x * 4, y * 110, 41)) * 0.30 + np.maximum(0, noise(x * 11, y * 190, 42)) * 0.22
    return density * (1 - 0.85 * lake) + lake * (0.07 + ripple * (0.5 + 0.5 * noise(x * 3, y * 5, 43)))


def _texture_strokes(canvas, rng):
    """Dry side-brush strokes down the slopes ("hemp fibre"), and tufts of trees along ridges."""
    for base, relief, seed, dark, fade in RANGES[1:]:
        points = scatter(rng, canvas.easel.width, 1, 0.0105)
        below = points[:, 1] - _ridge(points[:, 0], base, relief, seed)
        points, below = points[(below > 0.004) & (below < fade)], below[(below > 0.004) & (below < fade)]
        keep = rng.random(len(points)) < 0.85 * np.exp(-below / (0.55 * fade))
        points = points[keep]
        run = 0.004
        right, left = (_ridge(points[:, 0] + side, base, relief, seed) for side in (run, -run))
        slope = np.arctan2(right - left, 2 * run)
        angle = np.where(slope > 0, slope * 0.6 + 0.55, slope * 0.6 - 0.55 + np.pi) + rng.normal(0, 0.22, len(points))
        tone = np.clip(dark * rng.uniform(0.45, 1.05, (len(points), 1)), 0, 0.95) * np.ones(3)
        lay(canvas, rng, straight(points, angle, rng.uniform(0.016, 0.046, len(points)),
                                  rng.normal(0, 0.6, len(points))),
            rng.uniform(0.0014, 0.0042, len(points)), tone, tone * 0.6, tint=0.12, dry=1.1, taper=0.9, streak=0.9)
    for base, relief, seed, dark, _ in RANGES[2:]:
        _pines(canvas, rng, base, relief, seed, dark)


def _pines(canvas, rng, base, relief, seed, dark):
    """Clumps of small pines along a ridge: a trunk and tiers of dry dabs."""
    xs = np.concatenate([c + rng.normal(0, 0.024, 9) for c in rng.uniform(0.03, 0.75, 5)])
    size = 0.016 + 0.030 * (base - 0.40)
    for x in xs:
        foot = _ridge(np.array([x]), base, relief, seed)[0] + 0.004
        tall = size * rng.uniform(0.7, 1.5)
        trunk = np.array([[[x, foot], [x + rng.normal(0, 0.002), foot - tall * 0.5], [x, foot - tall]]])
        lay(canvas, rng, trunk, size * 0.10, np.full(3, dark), tint=0.1, dry=0.3, taper=0.5)
        level = rng.uniform(0.25, 1.0, 10)
        at = np.stack([x + rng.normal(0, 0.16, 10) * tall * (1.15 - level), foot - tall * level], -1)
        tone = dark * rng.uniform(0.8, 1.25, (10, 1)) * np.ones(3)
        lay(canvas, rng, straight(at, rng.normal(0, 0.35, 10), tall * (1.25 - level) * 0.62, -0.6), size * 0.15,
            np.clip(tone, 0, 0.95),
            tint=0.12, dry=0.9, taper=0.9)


def _bamboo(canvas, rng):
    """Two stalks in few joined strokes, then leaves in hanging groups of three to five."""
    for root, top, girth, ink in ((0.735, (0.640, -0.04), 0.025, 0.80), (0.665, (0.705, -0.04), 0.015, 0.50)):
        foot, joints = 1.04, np.concatenate([[0], np.cumsum(rng.uniform(0.10, 0.16, 9))])
        joints = joints / joints[-1]
        stalk = spline([(root, foot), ((root + top[0]) / 2 + 0.012, 0.5), top], 200)
        for low, high in pairwise(joints):
            part = stalk[int(low * 199) + 1 : int(high * 199)]
            side = normals(part) * girth * 0.5
            for offset in np.linspace(-0.82, 0.82, 7):
                tone = np.full(3, ink * (0.45 + 0.75 * abs(offset) ** 1.5) * rng.uniform(0.8, 1.15))
                lay(canvas, rng, (part + side * offset)[None], girth * 0.22, tone, tone * 0.7, tint=0.10, dry=0.5,
                    taper=0.1, streak=0.9)
            knot = part[0] + np.array([[-1.15, 0.004], [0, -0.05], [1.15, 0.004]]) * girth * 0.5
            lay(canvas, rng, knot[None], 0.0042, np.full(3, min(0.95, ink + 0.3)), tint=0.1, dry=0.4, taper=0.4)
            if low > 0.08:
                _twig(canvas, rng, part[0], ink)


def _twig(canvas, rng, start, ink):
    """Two twigs from a knot, each with two hanging groups of leaves."""
    for way in (-1, 1):
        tip = start + np.array([way * rng.uniform(0.05, 0.12), -rng.uniform(0.005, 0.05)])
        twig = spline([start, (start + tip) / 2 + (0, -0.012), tip], 16)
        lay(canvas, rng, twig[None], 0.0030, np.full(3, ink), tint=0.1, dry=0.5, taper=0.7)
        for at in (twig[9], twig[-1]):
            count = rng.integers(3, 6)
            hang = np.pi / 2 - way * rng.uniform(0.1, 0.7)
            angle = hang + np.linspace(-0.75, 0.75, count) + rng.normal(0, 0.12, count)
            length = rng.uniform(0.060, 0.112, count)
            middle = at + 0.5 * length[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
            tone = np.clip(ink * rng.uniform(0.6, 1.5, (count, 1)), 0.2, 0.97) * np.ones(3)
            lay(canvas, rng, straight(middle, angle, length, rng.normal(0, 0.35, count)),
                rng.uniform(0.0085, 0.0150, count),
                tone, tone * 0.75, tint=0.10, dry=0.55, taper=0.96, streak=0.9)


def _skiff(canvas, rng):
    """A fisherman in his boat, ripples, and birds above."""
    hull = spline([(0.150, 0.876), (0.200, 0.889), (0.265, 0.886), (0.315, 0.868)], 20)
    lay(canvas, rng, np.stack([hull, hull - (0, 0.005)]), 0.0085, np.full(3, 0.82), np.full(3, 0.5), tint=0.1, dry=0.4,
        taper=0.6)
    body = spline([(0.238, 0.880), (0.235, 0.858), (0.243, 0.842)], 8)
    lay(canvas, rng, body[None], 0.014, np.full(3, 0.75), np.full(3, 0.5), tint=0.1, dry=0.2, taper=0.5)
    lay(canvas, rng, spline([(0.227, 0.842), (0.243, 0.830), (0.259, 0.842)], 8)[None], 0.0058, np.full(3, 0.9),
        tint=0.1, dry=0.2, taper=0.6)
    lay(canvas, rng, spline([(0.252, 0.850), (0.300, 0.830), (0.352, 0.884)], 16)[None], 0.0020, np.full(3, 0.7),
        tint=0.1, dry=0.3, taper=0.5)
    for k in range(5):
        y = 0.897 + 0.007 * k
        lay(canvas, rng, np.array([[[0.17 + 0.01 * k, y], [0.23, y + 0.002], [0.30 - 0.012 * k, y]]]), 0.0028,
            np.full(3, 0.34), tint=0.1, dry=1.0)
    for x, y in ((0.335, 0.150), (0.372, 0.135), (0.402, 0.158), (0.440, 0.128), (0.300, 0.172)):
        for way in (-1, 1):
            wing = spline([(x, y), (x + way * 0.009, y - 0.008), (x + way * 0.020, y - 0.003)], 8)
            lay(canvas, rng, wing[None], 0.0030, np.full(3, 0.62), tint=0.1, dry=0.3, taper=0.9)


def _seal(easel: Easel) -> np.ndarray:
    """A square seal with a few cut strokes, worn as if pressed by hand."""
    plate = Plate(easel, 0)
    x, y, s = 0.062, 0.905, 0.046
    plate.fill([(x, y), (x + s, y), (x + s, y + s), (x, y + s)], 1)
    for curve in ([(0.15, 0.22), (0.85, 0.22)], [(0.50, 0.22), (0.50, 0.82)], [(0.22, 0.45), (0.22, 0.82)],
                  [(0.22, 0.82), (0.80, 0.82)], [(0.80, 0.45), (0.80, 0.82)]):
        plate.line(np.array([x, y]) + s * np.array(curve), 0.0042, 0, ends=1.0)
    worn = smoothstep(-0.45, -0.05, fractal(easel.x, easel.y, 70, 3, 55))
    return np.asarray(plate.image) * worn


def paint(size: int) -> np.ndarray:
    """The finished sheet as bytes."""
    rng = np.random.default_rng(SEED)
    easel = Easel(PROPORTIONS, size, oversample=2)
    x, y = easel.x, easel.y
    density = _water(easel, _washes(easel))
    # Mist behind the bamboo keeps it legible.
    veil = 1 - 0.72 * smoothstep(0.46, 0.66, x + 0.05 * noise(x * 5, y * 7, 57))
    density = density * veil
    layer = Canvas(easel, np.zeros(3, np.float32))
    _texture_strokes(layer, rng)
    _skiff(layer, rng)
    far = ndimage.gaussian_filter(layer.colour[..., 0], 0.0007 * easel.scale)
    near = Canvas(easel, np.zeros(3, np.float32))
    _bamboo(near, rng)
    # A wet halo creeps out of every stroke into the paper.
    stroke = near.colour[..., 0]
    halo = ndimage.gaussian_filter(stroke, 0.0050 * easel.scale) * (0.30 + 0.25 * noise(x * 50, y * 50, 61))
    density = 1 - (1 - density) * (1 - 0.85 * far * veil) * (1 - np.clip(halo, 0, 1)) * (1 - 0.93 * stroke)
    fibre = noise(x * 180 + 3 * noise(x * 9, y * 9, 70), y * 26, 71) + noise(x * 30,
        y * 210 + 3 * noise(x * 9, y * 9, 72), 73)
    tooth = fractal(x, y, 110, 3, 75, gain=0.7)
    density = np.clip(density * (1 + 0.42 * tooth + 0.14 * fibre) + 0.035 * tooth, 0, 1)
    paper = rgb("#ece2cb") * (1 + 0.050 * fibre + 0.05 * fractal(x, y, 5, 4, 77))[..., None]
    out = np.hypot(x - 0.235, y - 0.118)
    sun = smoothstep(0.0605, 0.0575, out + 0.0012 * noise(x * 70, y * 70, 79))
    pooled = 0.58 + 0.42 * fractal(x, y, 13, 4, 81, gain=0.65) + 0.25 * smoothstep(0.048, 0.058, out)
    paper = mix(paper, rgb("#d6694a"), sun * pooled.clip(0, 0.95))
    warm = mix(rgb("#2b2724"), rgb("#27323c"), (0.5 + 0.6 * fractal(x, y, 4, 2, 83)).clip(0, 1))
    picture = paper * (1 - density[..., None]) + warm * density[..., None]
    picture = mix(picture, rgb("#b5322a"), 0.86 * _seal(easel))
    return easel.finish(picture)
