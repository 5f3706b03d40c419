"""A golden tree of spirals over a flowering meadow, two birds in its branches.

Texture on offer: gold leaf laid in squares, coiling branches with dark contours, small bright
ornaments (eyes, triangles, chequers, petals) packed close together over brushed paint.
"""

from __future__ import annotations

import numpy as np

from .brush import Canvas, lay, scatter, straight, variety
from .drawing import normals, spline
from .easel import Easel, fractal, lit, mix, noise, pigments, ramp, relief, rgb, smoothstep

PROPORTIONS = (448, 512)
SEED = 1909

GOLD = pigments("#8f6a1c", "#b88a2a", "#d4a93c", "#e6c564", "#f3e09a")
BARK = pigments("#2a1a12", "#4a2c18", "#6b4220")
JEWELS = pigments("#b3202c", "#1f5f8a", "#2f7f5a", "#e8e0cc", "#7a3a86", "#e07a2c", "#16202e", "#d87a96")
MEADOW = pigments("#1f3a2a", "#2f5a38", "#46783f", "#7a9a4a", "#274a52")
PETALS = pigments("#e84a4a", "#f3b83a", "#f6efe0", "#5f6fd0", "#e888b0", "#9a4ab0", "#f07a2c")


def _gold_ground(easel: Easel, rng):
    """Squares of gold leaf, overlapping at their seams, worn to the red clay in places."""
    x, y = easel.x, easel.y
    wx, wy = x + 0.004 * noise(x * 9, y * 9, 3), y + 0.004 * noise(x * 9, y * 9, 4)
    size = 0.0835
    column, row = np.floor(wx / size), np.floor(wy / size + 0.5 * (np.floor(wx / size) % 2))
    sheet = noise(column * 0.73 + 0.31, row * 0.57 + 0.17, 7)
    seam = smoothstep(0.455, 0.500, np.maximum(np.abs((wx / size) % 1 - 0.5),
                                               np.abs((wy / size + 0.5 * (column % 2)) % 1 - 0.5)))
    tone = 0.50 + 0.30 * sheet + 0.30 * fractal(x, y, 5, 4, 9) + 0.12 * fractal(x, y, 60, 2, 11) + 0.12 * seam
    colour = ramp(tone, GOLD)
    worn = smoothstep(0.30, 0.62, fractal(x, y, 22, 4, 13, gain=0.65) + 0.15 * fractal(x, y, 3, 2, 15))
    colour = mix(colour, rgb("#8a3a22"), 0.65 * worn)
    return colour, 0.0006 * seam + 0.0010 * fractal(x, y, 45, 3, 17)


def _spiral(start, turn, length, hand, curl=2.35, count=70):
    """A branch that leaves straight and winds itself up: curvature grows along the way."""
    s = np.linspace(0, 1, count)
    angle = turn + hand * curl * 2 * np.pi * (0.10 * s + 0.90 * s**2.6)
    step = length * (1 - 0.78 * s) / count * 1.55
    return start + np.cumsum(np.stack([np.cos(angle) * step, np.sin(angle) * step], -1), 0)


def _branches(rng):
    """All limbs, largest first: path and girth."""
    trunk = spline([(0.430, 0.860), (0.445, 0.760), (0.425, 0.660), (0.440, 0.560)], 50)
    limbs = [(trunk, 0.066, 0.052)]
    roots = (((0.430, 0.60), -2.50, 0.80, 1, 0.036), ((0.445, 0.59), -0.66, 0.78, -1, 0.036),
             ((0.435, 0.575), -1.92, 0.86, -1, 0.033), ((0.442, 0.570), -1.18, 0.84, 1, 0.033),
             ((0.425, 0.645), -2.95, 0.50, -1, 0.025), ((0.447, 0.650), -0.20, 0.52, 1, 0.025),
             ((0.438, 0.560), -1.52, 0.98, 1, 0.028))
    for start, turn, length, hand, girth in roots:
        path = _spiral(np.array(start), turn, length, hand)
        limbs.append((path, girth, girth * 0.30))
        for at, way in ((14, -1), (22, 1), (30, -1), (40, -1)):
            base, ahead = path[at], np.arctan2(*(path[at + 1] - path[at - 1])[::-1])
            side = _spiral(base, ahead + way * hand * 0.75, length * rng.uniform(0.30, 0.48), way * hand)
            limbs.append((side, girth * 0.56, girth * 0.18))
            twig = _spiral(side[16], np.arctan2(*(side[17] - side[15])[::-1]) - way * hand * 0.9, length * 0.17,
                           -way * hand)
            limbs.append((twig, girth * 0.34, girth * 0.12))
    return limbs


def _paint_limb(canvas, rng, path, girth, tip):
    """Dark contour, body in strokes of two golds, and a row of ornaments along the middle."""
    half = np.linspace(girth, tip, len(path))[:, None] / 2
    side = normals(path) * half
    _tapered(canvas, rng, path, half * 1.35 + 0.0016, BARK[rng.integers(0, 2)], 3)
    for t in np.linspace(-0.72, 0.72, max(2, int(girth / 0.008))):
        tone = GOLD[rng.integers(1, 5, 1)]
        lay(canvas, rng, (path + side * t)[None], max(0.0042, girth * 0.24), tone,
            variety(rng, GOLD[rng.integers(1, 5, 1)], 0.05), tint=0.07, dry=0.35, body=0.9, taper=0.8)
    if not 0.02 < girth < 0.05:
        return
    for k in range(4, int(len(path) * 0.62), 4):
        jewel = JEWELS[rng.integers(0, len(JEWELS), 2)]
        at, turn = path[k] + rng.normal(0, 0.15) * side[k], np.arctan2(*side[k][::-1])
        _bead(canvas, rng, at, turn, half[k, 0] * 0.55, jewel)


def _tapered(canvas, rng, path, half, tone, count):
    """A bundle of strokes under a limb, which remains visible as its contour."""
    side = normals(path) * half
    for t in np.linspace(-0.75, 0.75, count):
        lay(canvas, rng, (path + side * t)[None], float(half.max()) * 0.75, tone[None], variety(rng, tone[None], 0.08),
            tint=0.06, dry=0, body=0.5, taper=0.75)


def _bead(canvas, rng, at, turn, size, tones):
    """An eye: a dab of one pigment with a smaller dab of another on it."""
    place, turn = np.array([at]), np.array([turn])
    lay(canvas, rng, straight(place, turn, 2.0 * size), 1.7 * size, tones[:1], variety(rng, tones[:1], 0.08), tint=0.03,
        dry=0, body=0.7, taper=0.4)
    lay(canvas, rng, straight(place, turn, 0.9 * size), 0.8 * size, tones[1:], tint=0.03, dry=0, body=0.9, taper=0.4)


def _engraving(canvas, rng, easel):
    """Thin coils drawn into the gold, so that no leaf of it stays plain."""
    points = scatter(rng, easel.width, 0.86, 0.060)
    for x, y in points:
        turn, hand, reach = rng.uniform(0, 6.28), rng.choice([-1, 1]), rng.uniform(0.13, 0.24)
        for shift, tone in ((0.0, GOLD[[0]]), (0.0032, GOLD[[4]])):
            path = _spiral(np.array([x + shift, y + shift]), turn, reach, hand, curl=2.9)
            lay(canvas, rng, path[None], 0.0034, tone, variety(rng, tone, 0.08), tint=0.06, dry=0.4, body=0.8,
                taper=0.5)


def _ornaments(canvas, rng, easel):
    """Small things in the gold between the branches: circles, triangles, leaves."""
    points = scatter(rng, easel.width, 0.80, 0.036)
    for k, (x, y) in enumerate(points):
        kind, turn, size = rng.integers(0, 4), rng.uniform(0, 6.28), rng.uniform(0.0055, 0.0105)
        tones = JEWELS[rng.integers(0, len(JEWELS), 2)]
        if kind == 0:
            _bead(canvas, rng, (x, y), turn, size, tones)
        elif kind == 1:
            ring = np.linspace(0, 6.4, 18)
            path = np.stack([x + size * np.cos(ring), y + size * np.sin(ring)], -1)
            lay(canvas, rng, path[None], 0.0036, GOLD[[4]] if k % 2 else BARK[[1]], tint=0.05, dry=0.3, body=1.0,
                taper=0.2)
        elif kind == 2:
            for row in range(3):
                width = size * (1 - row / 3) * 2
                at = np.array([[x, y]]) + row * 0.62 * size * np.array([np.cos(turn), np.sin(turn)])
                lay(canvas, rng, straight(at, np.array([turn + np.pi / 2]), width), 0.0052, tones[[row % 2]], tint=0.04,
                    dry=0, body=0.9, taper=0.1)
        else:
            for way in (-1, 0, 1):
                angle = np.array([turn + 0.75 * way])
                at = np.array([[x, y]]) + 0.9 * size * np.stack([np.cos(angle), np.sin(angle)], -1)
                lay(canvas, rng, straight(at, angle, 2.0 * size), 0.0052, MEADOW[rng.integers(1, 4, 1)], GOLD[[3]],
                    tint=0.05, dry=0, body=0.8, taper=0.9)


def _meadow(canvas, rng, easel):
    """A bank of grass and packed flowers below the tree."""
    def top(x):
        return 0.835 + 0.022 * np.sin(x * 6.2 + 0.5) - 0.03 * np.exp(-(((x - 0.44) / 0.10) ** 2))
    points = np.vstack([scatter(rng, easel.width, 1.0, s) for s in (0.016, 0.020)])
    points = points[points[:, 1] > top(points[:, 0])]
    points = points[np.argsort(points[:, 1], kind="stable")]
    shade = ramp(0.5 + 0.6 * noise(points[:, 0] * 8, points[:, 1] * 12, 31) + rng.normal(0, 0.2, len(points)), MEADOW)
    lay(canvas, rng, straight(points, -np.pi / 2 + rng.normal(0, 0.45, len(points)), 0.040,
                              rng.normal(0, 0.6, len(points))), 0.0125, shade, variety(rng, shade, 0.1), tint=0.06,
                              dry=0.3, body=0.8, taper=0.4)
    heads = scatter(rng, easel.width, 1.0, 0.0235)
    heads = heads[heads[:, 1] > top(heads[:, 0]) + 0.008]
    heads = heads[np.argsort(heads[:, 1], kind="stable")]
    for x, y in heads:
        size = 0.0062 + 0.030 * max(0.0, y - 0.83) * rng.uniform(0.6, 1.3)
        tone = PETALS[rng.integers(0, len(PETALS), 2)]
        around = rng.uniform(0, 6.28) + np.arange(6) * 2 * np.pi / 6
        at = np.stack([x + size * np.cos(around), y + size * np.sin(around)], -1)
        lay(canvas, rng, straight(at, around, 1.7 * size), 0.95 * size, tone[:1],
            variety(rng, np.repeat(tone[:1], 6, 0), 0.10), tint=0.05, dry=0, body=0.8, taper=0.5)
        lay(canvas, rng, straight(np.array([[x, y]]), np.zeros(1), 0.9 * size), 0.8 * size,
            PETALS[[1]] if rng.random() < 0.6 else BARK[[0]], tint=0.04, dry=0, body=0.9)


def _bird(canvas, rng, x, y, way):
    """A dark bird of long feathers with a pale breast and a golden eye."""
    for k, t in enumerate(np.linspace(0, 1, 9)):
        tail = spline([(x, y + 0.008 * t), (x - way * (0.045 + 0.01 * t), y + 0.030 + 0.012 * t),
                       (x - way * 0.105, y + 0.085 + 0.030 * t)], 20)
        lay(canvas, rng, tail[None], 0.0072, JEWELS[[(6, 1, 6, 2, 6, 4, 6, 1, 6)[k]]], JEWELS[[6]], tint=0.06, dry=0.3,
            body=0.8, taper=0.7)
    for t in np.linspace(-1, 1, 9):
        body = spline([(x - way * 0.030, y + 0.028 + 0.010 * t), (x, y + 0.004 + 0.024 * t),
                       (x + way * 0.034, y - 0.020 + 0.011 * t)], 16)
        tone = JEWELS[[6]] if t < 0.35 else pigments("#e8e0cc")
        lay(canvas, rng, body[None], 0.0078, tone, JEWELS[[1]] if t < 0.35 else GOLD[[3]], tint=0.06, dry=0, body=0.8,
            taper=0.5)
    lay(canvas, rng, straight(np.array([[x + way * 0.037, y - 0.023]]), np.zeros(1), 0.026), 0.024, JEWELS[[6]],
        JEWELS[[1]], tint=0.06, dry=0, body=0.8)
    beak = spline([(x + way * 0.046, y - 0.026), (x + way * 0.058, y - 0.024), (x + way * 0.066, y - 0.017)], 8)
    lay(canvas, rng, beak[None], 0.0065, GOLD[[2]], tint=0.04, dry=0, body=0.9, taper=0.8)
    _bead(canvas, rng, (x + way * 0.039, y - 0.026), 0.0, 0.0052, np.stack([GOLD[4], JEWELS[6]]))


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    easel = Easel(PROPORTIONS, size, oversample=2)
    ground, leaf = _gold_ground(easel, rng)
    canvas = Canvas(easel, ground)
    _engraving(canvas, rng, easel)
    _ornaments(canvas, rng, easel)
    for path, girth, tip in reversed(_branches(rng)):
        _paint_limb(canvas, rng, path, girth, tip)
    _meadow(canvas, rng, easel)
    _bird(canvas, rng, 0.185, 0.660, 1)
    _bird(canvas, rng, 0.690, 0.650, -1)
    light = relief(easel, canvas.height + leaf, 1.3)
    glint = smoothstep(0.45, 0.85, fractal(easel.x, easel.y, 130, 2, 51)) * (canvas.height == 0)
    return easel.finish(lit(canvas.colour, light, depth=0.48, gloss=0.16) + 0.16 * glint[..., None] * rgb("#fff0b0"),
                        step=10)
