"""A riverside garden on a Sunday afternoon, all in dots of unmixed pigment.

Texture on offer: round dabs of even size whose hues disagree (orange beside blue, lemon beside
violet) and only blend at a distance; clear silhouettes of shade against sun.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .brush import Canvas, lay, look_up, scatter, straight, variety
from .drawing import Plate, spline
from .easel import Easel, canvas_weave, fractal, lit, mix, noise, pigments, ramp, relief, rgb, smoothstep, study

PROPORTIONS = (512, 384)
SEED = 1886

(
    SKYWARD, FARBANK, WATER, LAWN, SHADE, PATH, CANOPY, TRUNK, SAIL,
    DRESS, PARASOL, SKIN, CHILD, BED, HULL, HAT, DOG,
) = range(17)
PURE = pigments("#2f56b0", "#7a4fb0", "#ee7f2a", "#f7d32f", "#e2608c", "#2f9a7a", "#d9402c", "#8fc0e8")


def _shapes(plan: Easel) -> np.ndarray:
    """The scene as flat regions, from far to near."""
    plate = Plate(plan, SKYWARD)
    plate.fill(spline([(-0.02, 0.175), (0.12, 0.150), (0.25, 0.172), (0.40, 0.140), (0.55, 0.168), (0.72, 0.130),
                       (0.88, 0.158), (1.02, 0.120),
                       (1.02, 0.25), (0.5, 0.25), (-0.02, 0.25)], 160), FARBANK)
    plate.fill([(-0.02, 0.222), (1.02, 0.212), (1.02, 0.5), (-0.02, 0.5)], WATER)
    for x, y, size in ((0.47, 0.268, 0.085), (0.585, 0.245, 0.055), (0.865, 0.250, 0.06), (0.38, 0.237, 0.040)):
        plate.fill([(x, y - 0.006), (x + 0.004, y - size), (x + size * 0.44, y - 0.010)], SAIL)
        plate.fill([(x - 0.004, y - 0.008), (x, y - size * 0.85), (x - size * 0.22, y - 0.010)], SAIL)
        plate.fill(spline([(x - size * 0.3, y - 0.006), (x, y + 0.006), (x + size * 0.5, y - 0.006)], 20), HULL)
    plate.fill(spline([(-0.02, 0.315), (0.20, 0.330), (0.42, 0.352), (0.64, 0.345), (0.86, 0.300), (1.03, 0.275),
                       (1.03, 0.80), (-0.02, 0.80)], 160), LAWN)
    plate.fill(spline([(0.60, 0.79), (0.60, 0.66), (0.72, 0.55), (0.78, 0.455), (0.70, 0.385), (0.735, 0.350),
                       (0.80, 0.380), (0.87, 0.46), (0.84, 0.57), (0.80, 0.67), (0.90, 0.79)], 160), PATH)
    for points in ([(-0.02, 0.47), (0.12, 0.445), (0.30, 0.468), (0.44, 0.50), (0.40, 0.545), (0.20, 0.56),
                    (-0.02, 0.585)],
                   [(0.30, 0.80), (0.40, 0.70), (0.52, 0.665), (0.60, 0.70), (0.56, 0.80)],
                   [(0.86, 0.545), (1.02, 0.50), (1.02, 0.60), (0.90, 0.61)],
                   [(0.60, 0.452), (0.72, 0.437), (0.73, 0.455), (0.62, 0.468)]):
        plate.fill(spline(points, 100), SHADE)
    for points in ([(-0.02, 0.66), (0.10, 0.640), (0.24, 0.665), (0.31, 0.72), (0.28, 0.80), (-0.02, 0.80)],
                   [(0.90, 0.66), (0.97, 0.635), (1.03, 0.64), (1.03, 0.80), (0.93, 0.80)]):
        plate.fill(spline(points, 100), BED)
    _tree(plate)
    _people(plate)
    return np.asarray(plate.image)


def _tree(plate):
    """The great tree on the left, two slender ones on the right."""
    plate.fill(spline([(0.100, 0.54), (0.125, 0.44), (0.118, 0.30), (0.085, 0.16), (0.125, 0.16), (0.150, 0.22),
                       (0.19, 0.15), (0.215, 0.15),
                       (0.165, 0.30), (0.163, 0.44), (0.195, 0.545)], 160), TRUNK)
    plate.fill([(0.905, 0.46), (0.915, 0.20), (0.928, 0.20), (0.936, 0.46)], TRUNK)
    plate.fill([(0.968, 0.44), (0.975, 0.22), (0.984, 0.22), (0.990, 0.44)], TRUNK)
    for x, y, r in ((0.02, 0.05, 0.13), (0.16, 0.02, 0.14), (0.30, 0.05, 0.10), (0.07, 0.15, 0.09), (0.22, 0.12, 0.085),
                    (0.385, 0.03, 0.07),
                    (0.92, 0.15, 0.062), (0.985, 0.13, 0.075), (0.945, 0.06, 0.07), (0.87, 0.20, 0.035)):
        plate.disc(x, y, r, CANOPY)


def _people(plate):
    """A lady under a parasol with a child, a couple sitting in the shade, a dog."""
    for x, y, size in ((0.645, 0.455, 1.0), (0.335, 0.385, 0.42), (0.80, 0.365, 0.40)):
        shape = np.array([(-0.012, -0.150), (0.012, -0.150), (0.020, -0.110), (0.014, -0.085), (0.034, -0.062),
                          (0.040, 0.004), (-0.030, 0.004), (-0.018, -0.080), (-0.022, -0.112)])
        plate.fill(spline(shape * size + (x, y), 60), DRESS)
        plate.disc(x, y - 0.168 * size, 0.0155 * size, SKIN)
        plate.fill(spline(np.array([(-0.020, -0.176), (0.0, -0.196), (0.020, -0.176)]) * size + (x, y), 20), HAT)
        roof = [(-0.062, -0.176), (-0.052, -0.214), (-0.012, -0.240), (0.030, -0.232), (0.056, -0.200), (0.060, -0.170),
                (0.02, -0.182), (-0.02, -0.178)]
        plate.fill(spline(np.array(roof) * size + (x - 0.006, y), 60), PARASOL)
    plate.fill(spline([(0.690, 0.390), (0.704, 0.390), (0.716, 0.458), (0.680, 0.458)], 30), CHILD)
    plate.disc(0.697, 0.381, 0.0095, SKIN)
    plate.disc(0.697, 0.374, 0.0085, CHILD)
    for x, ink in ((0.255, DRESS), (0.315, CHILD)):
        plate.fill(spline([(x - 0.010, 0.455), (x + 0.012, 0.455), (x + 0.020, 0.485), (x + 0.055, 0.505),
                           (x + 0.050, 0.520), (x - 0.020, 0.520)], 40), ink)
        plate.disc(x, 0.442, 0.012, SKIN)
        plate.fill(spline([(x - 0.016, 0.438), (x, 0.424), (x + 0.016, 0.438)], 20), HAT)
    plate.fill(spline([(0.505, 0.575), (0.515, 0.560), (0.555, 0.562), (0.570, 0.545), (0.582, 0.556), (0.566, 0.572),
                       (0.566, 0.598), (0.558, 0.598), (0.553, 0.580), (0.522, 0.580), (0.518, 0.598), (0.510, 0.598)],
                       60), DOG)


def _colours(plan: Easel, region: np.ndarray) -> np.ndarray:
    """Local colour and light of every region."""
    x, y = plan.x, plan.y
    drift, fine = noise(x * 7, y * 14, 3), fractal(x, y, 16, 2, 5)
    colour = ramp(y / 0.2 + 0.15 * drift, pigments("#9cc3e6", "#c4d8e4", "#f3e3bd", "#f6cf9f"))
    leaf = 0.48 + 0.50 * fine - 0.45 * noise(x * 13, y * 15 + 3, 8)
    looks = {
        FARBANK: ramp(0.45 + 0.5 * fine + 2.2 * (0.19 - y), pigments("#3f6a8c", "#4f8c78", "#86b06a", "#c9c46a")),
        WATER: ramp(0.5 + 0.7 * noise(x * 3, y * 42, 11) + 0.9 * (y - 0.28),
                    pigments("#3f7fb8", "#6fa6d0", "#a9cfe0", "#e6e2c8", "#5f9ac0")),
        LAWN: ramp(0.52 + 0.34 * fine + 0.42 * drift, pigments("#5f9a3a", "#95ba3c", "#cfd448", "#f1e46a")),
        SHADE: ramp(0.42 + 0.62 * fine, pigments("#2a3f7a", "#2f6660", "#4a8a48", "#9ab848", "#5a62a8")),
        PATH: ramp(0.5 + 0.4 * fine, pigments("#d9a27a", "#efc894", "#f8e2b4", "#e9b7a0")),
        CANOPY: ramp(leaf + 0.9 * (0.06 - y), pigments("#16324f", "#1f5548", "#3f8040", "#8fae3c", "#d9cc52")),
        TRUNK: ramp(0.5 + 0.4 * fine + 9 * (0.130 - x) * (x < 0.3),
                    pigments("#3a2a4c", "#5f4058", "#99623f", "#cf8f54")),
        SAIL: ramp(0.7 + 0.3 * fine, pigments("#dcd2e0", "#fbf3df")),
        HULL: ramp(0.5 + 0.4 * fine, pigments("#5a3450", "#a8523c")),
        DRESS: ramp(0.5 + 0.4 * fine, pigments("#231f56", "#43337e", "#6f4a9a")),
        PARASOL: ramp((x - 0.28) * 1.75 + 0.16 * noise(x * 60, y * 8, 19),
                      pigments("#e86a96", "#f7c6b0", "#f4d24a", "#ee5a2a", "#c9322a", "#4fa0b8")),
        SKIN: ramp(0.5 + 0.3 * fine, pigments("#e0a07a", "#f3c9a2")),
        CHILD: ramp(0.6 + 0.3 * fine, pigments("#cfc9e6", "#fdf6e6")),
        BED: ramp(0.5 + 0.75 * noise(x * 34, y * 34, 21),
                  pigments("#23584a", "#3f8a4a", "#d94a6a", "#f28fae", "#f6d34a", "#8a4fb0")),
        HAT: ramp(0.5 + 0.3 * fine, pigments("#c96a2c", "#f3c24a")),
        DOG: ramp(0.5 + 0.3 * fine, pigments("#2a1f2c", "#6a4030")),
    }
    for number, look in looks.items():
        colour = np.where((region == number)[..., None], look, colour)
    # Sails, trees and people waver in the water below them.
    mirror = noise(x * 8 + 0.6 * noise(x * 6, y * 50, 23), y * 3, 24)
    return mix(colour, rgb("#f7ecd0"), 0.55 * smoothstep(0.25, 0.55, mirror) * (region == WATER))


def _divided(rng, colours, strength):
    """Split a colour the divisionist way: every dot leans to some pure pigment, the mean stays."""
    count = len(colours)
    pure = PURE[rng.integers(0, len(PURE), count)]
    grey = np.array([0.30, 0.59, 0.11], np.float32)
    lift = ((colours - pure) * grey).sum(1, keepdims=True)
    share = strength * rng.uniform(0.2, 1.0, (count, 1)) ** 1.5
    mixed = colours + (pure + 0.75 * lift - colours) * share
    return np.clip(mixed * (1 + rng.normal(0, 0.07, (count, 1))), 0, 1).astype(np.float32)


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=3)
    region = _shapes(plan)
    colour = _colours(plan, region)
    canvas = Canvas(easel, rgb("#e9d9b4"))
    # Broad dabs for the tone, dots over them, and small dots along every contour.
    near_edge = ndimage.maximum_filter(region, 9) != ndimage.minimum_filter(region, 9)
    for spacing, length, width, strength, border in ((0.0125, 0.024, 0.0125, 0.30, False),
                                                     (0.0105, 0.0112, 0.0098, 0.62, False),
                                                     (0.0108, 0.0096, 0.0086, 0.85, False),
                                                     (0.0062, 0.0070, 0.0062, 0.45, True)):
        points = scatter(rng, 1, 0.75, spacing)
        if border:
            points = points[look_up(plan, near_edge, points)]
        tilt = 2.2 * look_up(plan, noise(plan.x * 4, plan.y * 4, 6), points) + rng.normal(0, 0.4, len(points))
        dots = _divided(rng, look_up(plan, colour, points), strength)
        lay(canvas, rng, straight(points, tilt, length, knots=3), width * rng.uniform(0.8, 1.15, len(points)), dots,
            variety(rng, dots, 0.04), tint=0.03, dry=0, body=0.75, taper=0.25)
    light = relief(easel, canvas.height + 0.00012 * canvas_weave(easel), 1.1)
    return easel.finish(lit(canvas.colour, light, depth=0.36, gloss=0.08))
