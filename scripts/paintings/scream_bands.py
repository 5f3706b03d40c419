"""An expressionist evening: burning sky, fjord, a jetty with two walkers, a bare tree.

Texture on offer: very long undulating bands of thin dry paint, oranges against blue-greens, the
brown board showing between them, and straight converging planks.
"""

from __future__ import annotations

import numpy as np

from .brush import Canvas, follow, lay, look_up, scatter, variety
from .drawing import between, normals, spline
from .easel import Easel, fractal, lit, mix, noise, pigments, ramp, relief, rgb, smoothstep, study

PROPORTIONS = (404, 512)
SEED = 1893

BOARD = rgb("#a98458")
SKY = pigments("#b5321c", "#d9531e", "#ea7a24", "#f0a136", "#f3c763", "#e5793a", "#c23a22", "#e99a3c", "#8fa08c",
               "#d8601f")
FJORD = pigments("#e0b65c", "#c9a862", "#7f9a86", "#3f7078", "#2c5568", "#d3a04c")
LAND = pigments("#14283c", "#1f4450", "#2f6a68", "#17324e", "#4f8070", "#22303a", "#8a8a4a")
PLANKS = pigments("#7b5234", "#a8713f", "#5b4638", "#c28d55", "#8c4a2c", "#46504e", "#b99a6a")


def _shore(x):
    """The far shore, where sky meets water."""
    return 0.375 + 0.022 * np.sin(x * 7 + 2.2) - 0.035 * np.exp(-(((x - 0.60) / 0.16) ** 2))


def _bank(y):
    """Left edge of the near land on the right, a deep bay winding towards the viewer."""
    return 0.52 + 0.10 * np.sin((y - 0.36) * 11) - 0.30 * smoothstep(0.50, 0.95, y) + 0.25 * smoothstep(0.5, 0.38, y)


def _scene(plan: Easel):
    """Direction of the bands and their colour, before any stroke."""
    x, y = plan.x, plan.y
    swing = 0.030 * np.sin(x * 9.5 + 1.2 + 5 * y) + 0.020 * np.sin(x * 17 - 4 * y) + 0.012 * noise(x * 5, y * 6, 4)
    level = y + swing * (0.4 + 1.3 * smoothstep(0.0, 0.22, y))
    dy, dx = np.gradient(level)
    angle = np.arctan2(-dx, dy)
    colour = ramp((level * 6.1 + 0.16 * noise(x * 3, level * 34, 6)) % 1.0, SKY)
    colour = mix(colour, rgb("#3f6f7c"), 0.75 * smoothstep(0.30, 0.46, noise(x * 2.4 + 3, level * 30, 15)))

    water = y > _shore(x)
    ripple = y + 0.012 * np.sin(x * 12 + 3)
    wide = ramp(0.5 + 0.75 * noise(x * 2.2, ripple * 22, 22), FJORD)
    colour = np.where(water[..., None], wide, colour)
    angle = np.where(water, 0.14 * np.cos(x * 12 + 3), angle)

    bank = x - _bank(y)
    land = water & (bank > 0)
    turn = np.arctan2(*np.gradient(x - _bank(y) + 0.20 * (y - 0.5) ** 2)[::-1])
    coil = ramp((bank * 4.6 + 0.22 * noise(x * 4, y * 4, 33) + 0.25 * y) % 1.0, LAND)
    colour = np.where(land[..., None], coil, colour)
    angle = np.where(land, np.pi / 2 - turn, angle)
    return angle, colour


def _hills(x, number):
    """Upper edge of the far (0) and the nearer (1) hills."""
    top = _shore(x) - (0.042,
                       0.018)[number] * (0.4 + np.exp(-(((x - 0.52) / 0.2) ** 2))) - 0.006 * np.sin(x * 21 + number)
    return top


def _paint_bands(canvas, plan, rng, angle, colour):
    """Long strokes, thin and dry, in three sizes; the last are accents of pure colour."""
    for spacing, length, width, spread in ((0.024, 0.30, 0.017, 0.05), (0.017, 0.24, 0.0105, 0.07),
                                           (0.026, 0.20, 0.0058, 0.13)):
        points = scatter(rng, plan.width, 1.0, spacing, margin=0.06)
        lengths = length * rng.uniform(0.5, 1.15, len(points)) * np.where(points[:, 1] > 0.40, 0.72, 1)
        first = variety(rng, look_up(plan, colour, points + rng.normal(0, 0.004, points.shape)), spread)
        second = variety(rng, look_up(plan, colour, points + rng.normal(0, 0.016, points.shape)), spread)
        paths = follow(plan, angle, points, lengths, knots=26)
        lay(canvas, rng, paths, width * rng.uniform(0.6, 1.35, len(points)), first, second,
            tint=0.06, dry=0.75, body=0.5, taper=0.6, streak=0.8)


def _paint_hills(canvas, rng, plan):
    """Dark hills in level strokes, with a few lighter ones caught in them."""
    for number, tones in enumerate((pigments("#27435e", "#1b2f4a", "#39586a"),
                                    pigments("#15263a", "#1d3f4c", "#2b4e58"))):
        xs = np.linspace(-0.05, 0.85, 40)
        low = _shore(xs) + 0.006
        for t in np.concatenate([np.linspace(1, 0, 9), [0.0, 0.05]]):
            curve = np.stack([xs, low + (_hills(xs, number) - low) * (1 - t) + rng.normal(0, 0.0008)], -1)
            tone = tones[rng.integers(0, 3, 1)]
            lay(canvas, rng, curve[None], 0.009, tone, tones[rng.integers(0, 3, 1)], tint=0.08, dry=0.3, body=0.5,
                taper=0.1)
        for _ in range(26):
            a, t = rng.integers(0, 28), rng.uniform(0.05, 0.95)
            curve = np.stack([xs, low + (_hills(xs, number) - low) * t], -1)[a : a + rng.integers(6, 12)]
            tone = pigments("#4f7a86", "#7d4a3a", "#6f8f7a", "#101c2c", "#3a6680")[rng.integers(0, 5, 1)]
            lay(canvas, rng, curve[None], rng.uniform(0.003, 0.006), tone, tones[:1], tint=0.08, dry=0.7, body=0.5,
                taper=0.7)


def _paint_jetty(canvas, rng):
    """Planks converging to the far left, then the railing, in straight strokes."""
    far = spline([(-0.02, 0.450), (0.0, 0.452), (0.028, 0.455)], 3)
    near_left, near_right = np.array([-0.55, 1.06]), np.array([0.70, 1.06])
    ends = np.linspace(0, 1, 46)
    rng.shuffle(ends)
    for width in (0.075, 0.034, 0.018, 0.009):
        for t in ends:
            start = far[0] * (1 - t) + far[2] * t
            stop = near_left * (1 - t) + near_right * t
            shade = PLANKS[rng.integers(0, len(PLANKS), 2)]
            run = np.linspace(0, 1, 18)[:, None] ** 1.3
            low, high = np.sort(rng.uniform(0, 1, 2)) if width < 0.05 else (0.0, 1.0)
            high = max(high, low + 0.3)
            path = start + (stop - start) * np.clip(low + (high - low) * run, 0, 1)
            path = path + 0.003 * np.sin(run * 7 + t * 20)
            lay(canvas, rng, path[None], width * (0.45 + 0.55 * rng.random()), variety(rng, shade[:1], 0.05),
                shade[1:], tint=0.08, dry=0.8 if width < 0.05 else 0, body=0.6, taper=0.8 if width < 0.05 else 0)
    for shift, width, tone in ((0.0, 0.030, "#5a2c1e"), (-0.012, 0.012, "#d0702e"), (0.010, 0.010, "#1d3038"),
                               (-0.075, 0.022, "#7e3b22"), (-0.085, 0.009, "#e08a3c"), (0.070, 0.017, "#43342c"),
                               (0.062, 0.007, "#b9653a")):
        top = np.array([[0.022, 0.436 + shift * 0.16], [0.36, 0.688 + shift * 0.62], [0.80, 1.02 + shift * 1.25]])
        lay(canvas, rng, spline(top, 24)[None], width, rgb(tone)[None], variety(rng, rgb(tone)[None], 0.12), tint=0.1,
            dry=0.4, body=0.8)
    for x in (0.085, 0.165, 0.275, 0.42, 0.60):
        y = 0.436 + (x - 0.022) * 0.75
        size = 0.015 + 0.19 * x
        post = spline([(x, y - size * 0.35), (x + 0.002, y + size * 0.3), (x, y + size)], 12)
        lay(canvas, rng, np.stack([post, post + np.array([0.004 * (1 + x), 0])]), 0.006 + 0.022 * x,
            pigments("#4b241c", "#20303a"),
            pigments("#8a4a2c", "#33505a"), tint=0.1, dry=0.3, body=0.8, taper=0.2)


def _paint_figure(canvas, rng, x, foot, size, tones, skin):
    """A walker seen from behind: a long coat of wavering vertical strokes, a small head."""
    left = spline([(x - 0.03, 0.15), (x - 0.10, 0.22), (x - 0.11, 0.45), (x - 0.09, 0.70), (x - 0.10, 1.0)], 24)
    right = spline([(x + 0.03, 0.15), (x + 0.10, 0.22), (x + 0.12, 0.45), (x + 0.10, 0.70), (x + 0.09, 1.0)], 24)
    for k, t in enumerate(np.concatenate([np.linspace(0, 1, 13), rng.uniform(0.03, 0.97, 15)])):
        curve = between(left, right, t)
        curve = np.stack([x + (curve[:, 0] - x) * size, foot - size + curve[:, 1] * size], -1)
        curve[:, 0] += 0.014 * size * np.sin(np.linspace(0, 9, 24) + 4 * t)
        tone = tones[rng.integers(0, len(tones), 2)]
        lay(canvas, rng, curve[None], size * (0.052 if k < 13 else 0.020), tone[:1], tone[1:], tint=0.09, dry=0.3,
            body=0.8, taper=0.3)
    for down, across, tall, tone in ((0.895, 0.060, 0.05, skin), (0.935, 0.095, 0.028, "#141a24"),
                                     (0.965, 0.060, 0.05, "#141a24")):
        head = np.stack([x + across * size * np.linspace(-1, 1, 7), np.full(7, foot - down * size)], -1)
        lay(canvas, rng, head[None], 1.7 * tall * size, rgb(tone)[None], tint=0.08, dry=0, body=0.8, taper=0.5)


def _paint_tree(canvas, rng):
    """A bare tree on the right that writhes up into the sky, every limb a bundle of strokes."""
    trunk = [(0.640, 1.04), (0.605, 0.88), (0.655, 0.70), (0.615, 0.54), (0.665, 0.39), (0.640, 0.27)]
    limbs = [((0.640, 0.29), (0.605, 0.20), (0.640, 0.12), (0.600, 0.03), 0.016),
             ((0.652, 0.35), (0.705, 0.28), (0.690, 0.19), (0.745, 0.11), 0.015),
             ((0.630, 0.56), (0.700, 0.50), (0.705, 0.42), (0.770, 0.35), 0.017),
             ((0.618, 0.52), (0.560, 0.455), (0.555, 0.38), (0.480, 0.33), 0.015),
             ((0.655, 0.40), (0.590, 0.32), (0.575, 0.25), (0.500, 0.21), 0.013),
             ((0.610, 0.17), (0.560, 0.13), (0.550, 0.08), (0.500, 0.05), 0.009),
             ((0.695, 0.22), (0.740, 0.21), (0.755, 0.16), (0.800, 0.15), 0.009),
             ((0.540, 0.37), (0.515, 0.40), (0.470, 0.385), (0.440, 0.41), 0.008),
             ((0.735, 0.385), (0.755, 0.30), (0.790, 0.27), (0.800, 0.21), 0.009),
             ((0.535, 0.23), (0.500, 0.25), (0.460, 0.235), (0.425, 0.26), 0.007),
             ((0.640, 0.12), (0.670, 0.07), (0.665, 0.03), (0.70, -0.01), 0.008),
             ((0.640, 0.62), (0.580, 0.58), (0.565, 0.52), (0.505, 0.50), 0.010)]
    for *points, girth in limbs:
        _limb(canvas, rng, spline(points, 26), girth, girth * 0.16, 7)
    _limb(canvas, rng, spline(trunk, 40), 0.062, 0.013, 26)


def _limb(canvas, rng, middle, girth, tip, count):
    """Strokes side by side along a limb that narrows from ``girth`` to ``tip``."""
    tones = pigments("#15202c", "#2a3b40", "#3a2620", "#6e3a26", "#1c3038", "#a8562e", "#101820")
    half = np.linspace(girth, tip, len(middle))[:, None] / 2
    side = normals(middle) * half
    for t in np.concatenate([rng.permutation(np.linspace(-0.8, 0.8, count)), (-1.0, 1.0)]):
        edge = abs(t) == 1.0
        tone = tones[[6]] if edge else tones[rng.integers(0, 6, 1)]
        stop = len(middle) if edge or girth < 0.03 else rng.integers(len(middle) // 2, len(middle))
        start = 0 if edge or girth < 0.03 else rng.integers(0, len(middle) // 3)
        path = (middle + side * t + 0.12 * side * np.sin(np.linspace(0, 12, len(middle)) + 5 * t)[:, None])[start:stop]
        lay(canvas, rng, path[None], girth * (0.16 if edge else 0.24) + 0.0015, tone, tones[rng.integers(0, 6, 1)],
            tint=0.1, dry=0.45, body=0.7, taper=0.7)


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=2)
    angle, colour = _scene(plan)
    grain = fractal(easel.x * 0.5, easel.y * 2, 60, 3, 9)
    canvas = Canvas(easel, BOARD * (1 + 0.16 * grain[..., None] + 0.10 * fractal(easel.x, easel.y, 7, 3, 3)[..., None]))
    _paint_bands(canvas, plan, rng, angle, colour)
    _paint_hills(canvas, rng, plan)
    _paint_jetty(canvas, rng)
    dark = pigments("#141c28", "#1f2c38", "#2c2420", "#10202c")
    _paint_figure(canvas, rng, 0.108, 0.580, 0.130, dark, "#8a5a3a")
    _paint_figure(canvas, rng, 0.066, 0.555, 0.112, dark, "#6a4632")
    _paint_tree(canvas, rng)
    light = relief(easel, canvas.height + 0.00025 * grain, 1.2)
    picture = lit(canvas.colour, light, depth=0.42, gloss=0.06)
    # Thin paint lets the grain of the board through.
    worn = smoothstep(0.25, 0.9, grain + 0.6 * fractal(easel.x, easel.y, 16, 2, 14))
    return easel.finish(mix(picture, BOARD, 0.30 * worn))
