"""A poppy field under a summer sky, laid on with the palette knife.

Texture on offer: broad flat slabs of very thick paint with ridged edges and raking light, round
dabs of red and orange over blades of green, every slab streaked with a second pigment.
"""

from __future__ import annotations

import numpy as np

from .brush import Canvas, lay, look_up, scatter, straight, variety
from .easel import Easel, canvas_weave, fractal, lit, mix, noise, pigments, ramp, relief, rgb, smoothstep, study

PROPORTIONS = (512, 400)
SEED = 1910

TREES = pigments("#1e3b34", "#2d5a45", "#50784a", "#7f9a55", "#29455c", "#b0a84e")
GRASS = pigments("#274a2c", "#3f6f38", "#6c9440", "#9fb24c", "#c9bd5a", "#2b5a56")
POPPIES = pigments("#c4161c", "#e2331d", "#f2601f", "#8e0f22", "#f58a3a", "#ef4a52")
FLOWERS = pigments("#f6f0dc", "#f3c83c", "#7a5cae", "#4f6fc0", "#e9a5b8", "#c9a6d8")


def _horizon(x):
    """Where the field ends."""
    return 0.300 + 0.016 * np.sin(x * 6 + 0.8) - 0.012 * np.sin(x * 15)


def _sky(canvas, plan, rng):
    """Wind-driven clouds in slabs of three sizes."""
    x, y = plan.x, plan.y
    cloud = fractal(x + 0.2, y * 1.9, 3.4, 3, 12)
    beneath = fractal(x + 0.2 + 0.02, (y - 0.035) * 1.9, 3.4, 3, 12)
    colour = ramp(0.05 + 1.1 * y, pigments("#3d7fc0", "#6fa8d6", "#9cc6dc", "#e8d9b8"))
    colour = mix(colour, rgb("#fbf4e4"), smoothstep(0.02, 0.22, cloud))
    # The undersides of the clouds turn to lilac and rose.
    colour = mix(colour, rgb("#a79cc6"), 0.8 * smoothstep(0.05, 0.30, beneath) * smoothstep(-0.05, 0.15, cloud))
    glow = smoothstep(0.16, 0.30, y) * smoothstep(-0.1, 0.2, noise(x * 5, y * 9, 19))
    colour = mix(colour, rgb("#f0bf98"), 0.6 * glow)
    tilt = -0.35 + 0.9 * noise(x * 2.6, y * 3.6, 5)
    for spacing, length, width in ((0.034, 0.080, 0.036), (0.024, 0.050, 0.022), (0.034, 0.034, 0.014)):
        points = scatter(rng, 1, 0.30, spacing)
        first = variety(rng, look_up(plan, colour, points), 0.04)
        second = variety(rng, look_up(plan, colour, points + rng.normal(0, 0.03, points.shape)), 0.05)
        angle = look_up(plan, tilt, points) + rng.normal(0, 0.25, len(points))
        lay(canvas, rng, straight(points, angle, length * rng.uniform(0.6, 1.2, len(points)),
                                  rng.normal(0, 0.4, len(points))),
            width * rng.uniform(0.6, 1.1, len(points)), first, second, tint=0.022, dry=0.5, body=0.55, taper=0.05,
            streak=0.8)


def _trees(canvas, rng):
    """Far hills in two slabs of violet, then rounded masses of trees and a poplar row."""
    for lift, tones in ((0.050, pigments("#8b8fb8", "#a3a3c0", "#7a86b0")),
                        (0.026, pigments("#5e7a94", "#6d8f8a", "#4f6a8a"))):
        xs = np.sort(rng.uniform(-0.03, 1.03, 60))
        ys = _horizon(xs) - lift * (0.6 + 0.5 * np.sin(xs * 5.1 + lift * 90)) * rng.uniform(0.2, 1, 60)
        shade = variety(rng, tones[rng.integers(0, 3, 60)], 0.03)
        lay(canvas, rng, straight(np.stack([xs, ys], -1), rng.normal(0, 0.25, 60), 0.055), 0.020, shade,
            tones[rng.integers(0, 3, 60)], tint=0.03, dry=0.3, body=0.5, taper=0.1)
    for cx, size, tall in ((0.10, 0.070, 1.0), (0.165, 0.040, 1.1), (0.035, 0.05, 0.8), (0.345, 0.030, 1.3),
                           (0.60, 0.028, 0.8),
                           (0.66, 0.020, 3.4), (0.70, 0.022, 4.2), (0.745, 0.020, 3.6), (0.84, 0.045, 0.9),
                           (0.93, 0.060, 1.0)):
        _foliage(canvas, rng, cx, _horizon(cx) + 0.012, size, tall)


def _foliage(canvas, rng, cx, foot, size, tall):
    """One tree: slabs from shade to light, lit from the upper left."""
    count = int(80 * (0.5 + size * 14) * max(1, tall * 0.45))
    turn, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    points = np.stack([cx + size * out * np.cos(turn), foot - size * tall * 0.8 * (1 + out * np.sin(turn))], -1)
    points = points[np.argsort(points[:, 1] * -1 + rng.normal(0, 0.3 * size, count), kind="stable")]
    # Light falls from the upper left.
    glow = np.clip(0.5 - 0.42 * (points[:, 0] - cx) / size - 0.25 * (points[:, 1] - foot + size * tall) / (size * tall),
                   0, 1)
    shade = ramp(0.85 * glow + rng.normal(0, 0.13, count), TREES[[4, 0, 1, 2, 3, 5]])
    angle = rng.normal(-1.1 if tall < 2 else -1.5, 0.5, count)
    lay(canvas, rng, straight(points, angle, 0.026 * rng.uniform(0.6, 1.2, count), 0.5),
        0.0135 * rng.uniform(0.6, 1.1, count),
        shade, variety(rng, shade, 0.09), tint=0.03, dry=0.3, body=0.75, taper=0.1)


def _farm(canvas, rng):
    """A white house with a warm roof, a few slabs each."""
    walls = pigments("#f7efe0", "#e9dcd0", "#c9c2d6", "#fbf6ea")
    roofs = pigments("#c9583a", "#a8432f", "#e07a4a", "#8f4a4a")
    for x, y, across, down in ((0.235, 0.298, 0.062, 0.030), (0.288, 0.300, 0.040, 0.022)):
        count = 5
        rows = np.stack([np.full(count, x), np.linspace(y, y - down, count)], -1) + rng.normal(0, 0.001, (count, 2))
        lay(canvas, rng, straight(rows, rng.normal(0, 0.04, count), across), 0.0095, walls[rng.integers(0, 4, count)],
            walls[rng.integers(0, 4, count)], tint=0.02, dry=0, body=0.7, taper=0.02)
        tiers = np.stack([np.full(4, x), y - down - np.linspace(0.001, down * 0.75, 4)], -1)
        lay(canvas, rng, straight(tiers, rng.normal(0, 0.03, 4), across * np.linspace(1.12, 0.62, 4)), 0.0090,
            roofs[rng.integers(0, 4, 4)], roofs[rng.integers(0, 4, 4)], tint=0.02, dry=0, body=0.8, taper=0.02)
        panes = np.stack([x + across * np.array([-0.26, 0.05, 0.3]), np.full(3, y - down * 0.5)], -1)
        lay(canvas, rng, straight(panes, np.full(3, np.pi / 2), 0.010), 0.0058, rgb("#4a5a86"), dry=0, body=0.6,
            taper=0)


def _near(y):
    """How near the ground at height ``y`` is: 0 at the horizon, 1 at the lower edge."""
    return np.clip((y - 0.30) / (0.78 - 0.30), 0, 1)


def _path_of(points):
    """Whether some points lie on the sandy path that winds into the field."""
    near = _near(points[:, 1])
    centre = 0.54 + 0.13 * np.sin(near * 4.2 + 0.4) * near**0.5 - 0.10 * near
    return np.abs(points[:, 0] - centre) < 0.008 + 0.085 * near**1.3


def _meadow(canvas, rng):
    """Grass in upright and the path in level slabs, growing towards the viewer."""
    points = np.vstack([scatter(rng, 1, 0.8, s) for s in (0.017, 0.020)] + [scatter(rng, 1, 0.46, 0.010)])
    points = points[points[:, 1] > _horizon(points[:, 0])]
    points = points[np.argsort(points[:, 1], kind="stable")]
    near, path = _near(points[:, 1]), _path_of(points)
    band = 0.5 + 0.55 * noise(points[:, 0] * 3.0, points[:, 1] * 16, 31) + rng.normal(0, 0.16, len(points))
    shade = ramp(band, GRASS)
    sand = pigments("#e3c08e", "#cda075", "#f0dcb2", "#b58a86")[rng.integers(0, 4, len(points))]
    shade = np.where(path[:, None], sand, mix(shade, rgb("#a7b78a"), 0.35 * (1 - near)))
    angle = np.where(path | (near < 0.25), rng.normal(0, 0.22, len(points)),
                     -np.pi / 2 + rng.normal(0, 0.35, len(points)))
    size = 0.35 + 0.65 * near
    lay(canvas, rng, straight(points, angle, 0.058 * size * rng.uniform(0.6, 1.2, len(points)),
                              rng.normal(0, 0.5, len(points))),
        0.0190 * size * rng.uniform(0.55, 1.15, len(points)), variety(rng, shade, 0.05), variety(rng, shade, 0.10),
        tint=0.03, dry=0.45, body=0.7, taper=0.25, streak=0.8)


def _flowers(canvas, rng):
    """Blades and blossoms from far to near; every poppy is a few dabs around a dark heart."""
    points = scatter(rng, 1, 0.8, 0.0150)
    points = points[(points[:, 1] > _horizon(points[:, 0]) + 0.012) & ~_path_of(points)]
    near = _near(points[:, 1])
    drift = noise(points[:, 0] * 4.2, points[:, 1] * 7.5, 41)
    keep = rng.random(len(points)) < (0.55 + 0.55 * drift) * np.where(near < 0.3, 1.0, 0.62)
    points = points[keep]
    points = points[np.argsort(points[:, 1], kind="stable")]
    kind = np.where(noise(points[:, 0] * 5 + 9, points[:, 1] * 9, 43) + rng.normal(0, 0.22, len(points)) > 0.30, 1, 0)
    for row in range(14):
        part = slice(len(points) * row // 14, len(points) * (row + 1) // 14)
        _blades(canvas, rng, points[part])
        _blossoms(canvas, rng, points[part], kind[part])


def _blades(canvas, rng, points):
    """Thin blades of grass between the blossoms."""
    size = 0.30 + 0.70 * _near(points[:, 1])
    roots = points + rng.normal(0, 0.014, points.shape) * size[:, None]
    shade = GRASS[rng.integers(0, len(GRASS), len(points))]
    lay(canvas, rng, straight(roots, -np.pi / 2 + rng.normal(0, 0.35, len(points)), 0.056 * size,
                              rng.normal(0, 0.7, len(points))),
        0.0050 * size + 0.0012, shade, variety(rng, shade, 0.12), tint=0.03, dry=0.2, body=1.1, taper=0.8)


def _blossoms(canvas, rng, points, kind):
    """Four dabs to a blossom; poppies also get a dark heart."""
    size = 0.30 + 0.75 * _near(points[:, 1])
    for petal in range(4):
        turn = rng.uniform(0, 2 * np.pi) + petal * np.pi / 2 + rng.normal(0, 0.4, len(points))
        reach = 0.0085 * size * (kind == 0) + 0.0058 * size * (kind == 1)
        at = points + np.stack([np.cos(turn), 0.7 * np.sin(turn)], -1) * reach[:, None]
        red = POPPIES[np.clip(rng.integers(0, 6, len(points)) - (petal == 0), 0, 5)]
        drift = np.floor(points[:, 0] * 7 + points[:, 1] * 11).astype(int)  # one kind of flower per patch
        other = FLOWERS[(drift + rng.integers(0, 2, len(points))) % 6]
        shade = np.where(kind[:, None] == 0, red, other)
        lay(canvas, rng, straight(at, turn + np.pi / 2 + rng.normal(0, 0.3, len(points)), 2.5 * reach, 0.9),
            1.9 * reach,
            variety(rng, shade, 0.05), variety(rng, shade, 0.12), tint=0.03, dry=0.2, body=0.8, taper=0.15)
    heart = points[(kind == 0) & (size > 0.5)]
    lay(canvas, rng, straight(heart, rng.uniform(0, 3, len(heart)), 0.007 * size[(kind == 0) & (size > 0.5)]),
        0.0055, rgb("#1c1420"), rgb("#3a2a3c"), dry=0, body=1.0)


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=3)
    canvas = Canvas(easel, mix(rgb("#c48a55"), rgb("#8e5a48"), 0.5 + 0.4 * fractal(easel.x, easel.y, 10, 3, 2)))
    _sky(canvas, plan, rng)
    _trees(canvas, rng)
    _farm(canvas, rng)
    _meadow(canvas, rng)
    _flowers(canvas, rng)
    light = relief(easel, canvas.height + 0.0001 * canvas_weave(easel), 1.5, blur=0.0010)
    return easel.finish(lit(canvas.colour, light, depth=0.62, gloss=0.20))
