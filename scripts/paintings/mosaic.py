"""A Byzantine floor: a peacock before a golden disc, among vines, in small stones.

Texture on offer: thousands of square tesserae in rows that follow every contour (andamento), dark
grout between them, each stone tilted to the light; gold, teal, red, white.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .brush import look_up
from .drawing import Plate, spline
from .easel import Easel, fractal, lit, mix, noise, pigments, relief, rgb, smoothstep, study
from .tesserae import rows_of_seeds, stones

PROPORTIONS = (448, 512)
SEED = 547
SPACING = 0.0128

GOLD, DISC, RIM, BODY, WING, TAIL, EYE, PUPIL, WHITE, RED, GREEN, VINE, NIGHT, BEAK, TERRA, GRAPE = range(16)
STONES = {
    GOLD: ("#c9982f", "#e0b645", "#b07f22", "#edd07a", "#d4a63a", "#9a6d20"),
    DISC: ("#f3e2a0", "#efd27a", "#f8efc8", "#e6c25a"),
    RIM: ("#a83226", "#8a2420", "#bf4a34"), BODY: ("#1f5f86", "#17506f", "#2f7fa0", "#1a3f70", "#3a93a8"),
    WING: ("#2f8a84", "#4fb09a", "#1f6f74", "#83c4aa", "#c9a24a"),
    TAIL: ("#1f6a58", "#2d8468", "#175248", "#4a9a6a", "#2a5f7a", "#7fae5a"),
    EYE: ("#d9a53a", "#c98a2c", "#e8c060"), PUPIL: ("#18285a", "#24387a", "#101c40"),
    WHITE: ("#efe8d8", "#ddd2bc", "#f7f2e6", "#c9c2b4"),
    RED: ("#9a2a22", "#b83c2c", "#7e1f1f", "#c9583c"), GREEN: ("#3f6a34", "#5a8440", "#2f5230", "#86a052"),
    VINE: ("#5a3a22", "#74502c", "#46301f"), NIGHT: ("#1a2a55", "#223668", "#142044", "#30487c"),
    BEAK: ("#e8a03a", "#f0b858"),
    TERRA: ("#b0704a", "#c98a5c", "#94583c", "#dba878"), GRAPE: ("#5a2a5c", "#74407a", "#42204a", "#8f5a94"),
}


def _border(plate, width, height):
    """Bands round the edge: night blue, white, a wave of red and terracotta."""
    for inset, ink in ((0.0, NIGHT), (0.020, WHITE), (0.036, RED), (0.082, WHITE), (0.098, GOLD)):
        right, foot = width - inset, height - inset
        plate.fill([(inset, inset), (right, inset), (right, foot), (inset, foot)], ink)
    # Golden roundels in the red band, a white stone in each.
    places = [(t, y) for t in np.linspace(0.059, width - 0.059, 12) for y in (0.059, height - 0.059)]
    places += [(x, t) for t in np.linspace(0.059, height - 0.059, 14)[1:-1] for x in (0.059, width - 0.059)]
    for x, y in places:
        plate.disc(x, y, 0.0190, DISC)
        plate.disc(x, y, 0.0072, NIGHT)


def _vines(plate, side):
    """A stem with leaves and grapes rising at one side; ``side`` mirrors it."""
    def at(points):
        return np.array([(0.4375 + side * (x - 0.4375), y) for x, y in points])

    stem = spline(at([(0.135, 0.86), (0.165, 0.74), (0.130, 0.62), (0.165, 0.50), (0.135, 0.38), (0.175, 0.26),
                      (0.240, 0.195), (0.320, 0.205)]), 120)
    plate.line(stem, 0.019, VINE, ends=0.8)
    for k, way in ((12, 1), (27, -1), (42, 1), (56, -1), (70, 1), (84, -1), (97, 1), (110, 1)):
        x, y = stem[k]
        reach = 0.046 * way * side
        leaf = [(x, y), (x + reach * 0.3, y - 0.030), (x + reach * 0.8, y - 0.036), (x + reach * 1.15, y - 0.012),
                (x + reach * 0.75, y + 0.012), (x + reach * 0.3, y + 0.014)]
        plate.fill(spline(leaf + leaf[:1], 40), GREEN)
    for k in (20, 50, 78):
        x, y = stem[k]
        for row in range(3):
            for col in range(3 - row):
                plate.disc(x + side * (0.030 + 0.016 * (col - (2 - row) / 2)), y + 0.018 + 0.017 * row, 0.0095, GRAPE)


def _peacock(plate):
    """Tail first, then body, wing and the crowned head before the disc."""
    plate.disc(0.385, 0.350, 0.175, RIM)
    plate.disc(0.385, 0.350, 0.158, WHITE)
    plate.disc(0.385, 0.350, 0.143, DISC)
    tail = [(0.400, 0.560), (0.500, 0.500), (0.590, 0.500), (0.680, 0.585), (0.735, 0.720), (0.740, 0.850),
            (0.660, 0.862), (0.585, 0.800), (0.500, 0.730), (0.405, 0.690)]
    plate.fill(spline(tail + tail[:1], 160), NIGHT)
    inner = np.array(tail) + (np.array([0.57, 0.68]) - np.array(tail)) * 0.07
    plate.fill(spline([*inner, inner[0]], 160), TAIL)
    for x, y in ((0.560, 0.565), (0.635, 0.625), (0.685, 0.715), (0.700, 0.805), (0.560, 0.660), (0.620, 0.730),
                 (0.635, 0.815), (0.505, 0.610), (0.530, 0.705)):
        plate.disc(x, y, 0.0330, NIGHT)
        plate.disc(x, y, 0.0275, EYE)
        plate.disc(x, y, 0.0150, PUPIL)
    for x in (0.360, 0.405):
        plate.line([(x, 0.70), (x - 0.004, 0.76), (x, 0.825)], 0.020, BEAK, ends=0.9)
        plate.line([(x - 0.035, 0.832), (x, 0.822), (x + 0.025, 0.832)], 0.017, BEAK, ends=0.6)
    body = [(0.365, 0.285), (0.405, 0.270), (0.428, 0.310), (0.420, 0.385), (0.450, 0.470), (0.515, 0.560),
            (0.490, 0.650), (0.420, 0.712), (0.345, 0.705), (0.285, 0.640), (0.280, 0.550), (0.325, 0.470),
            (0.352, 0.390), (0.350, 0.325)]
    plate.fill(spline(body + body[:1], 160), BODY)
    wing = [(0.375, 0.530), (0.430, 0.510), (0.500, 0.560), (0.560, 0.655), (0.470, 0.672), (0.385, 0.640),
            (0.355, 0.585)]
    plate.fill(spline(wing + wing[:1], 100), WHITE)
    inner = np.array(wing) + (np.array([0.43, 0.59]) - np.array(wing)) * 0.20
    plate.fill(spline([*inner, inner[0]], 100), WING)
    plate.line([(0.395, 0.585), (0.45, 0.590), (0.515, 0.635)], 0.017, RED, ends=0.5)
    plate.fill([(0.352, 0.302), (0.300, 0.325), (0.356, 0.330)], BEAK)
    plate.disc(0.382, 0.306, 0.0170, WHITE)
    plate.disc(0.380, 0.306, 0.0085, PUPIL)
    for turn in (-2.15, -1.75, -1.35):
        tip = (0.392 + 0.075 * np.cos(turn), 0.275 + 0.075 * np.sin(turn))
        plate.line([(0.392, 0.275), tip], 0.012, BODY, ends=0.9)
        plate.disc(*tip, 0.0135, EYE)


def _scene(plan: Easel) -> np.ndarray:
    """Everything in the picture as flat regions, from far to near."""
    plate = Plate(plan, GOLD)
    _border(plate, plan.width, plan.height)
    plate.fill(spline([(0.100, 0.850), (0.25, 0.838), (0.45, 0.852), (0.62, 0.868), (0.775, 0.855), (0.775, 0.903),
                       (0.4, 0.903), (0.100, 0.903)], 60), GREEN)
    for side in (1, -1):
        _vines(plate, side)
    _peacock(plate)
    for x in (0.165, 0.235, 0.300, 0.455, 0.520, 0.590):
        for turn in np.arange(5) * 2 * np.pi / 5:
            plate.disc(x + 0.014 * np.cos(turn), 0.868 + 0.014 * np.sin(turn), 0.0095,
                       RED if x < 0.3 or x > 0.55 else WHITE)
        plate.disc(x, 0.868, 0.0080, BEAK)
    return np.asarray(plate.image)


def _stone_colours(rng, region_of_seed, seeds):
    """Every stone cut from one of the few rocks of its region, never twice quite the same."""
    colours = np.zeros((len(seeds), 3), np.float32)
    for number, codes in STONES.items():
        mine = np.flatnonzero(region_of_seed == number)
        rocks = pigments(*codes)
        # Neighbours tend to come from one slab, so the choice drifts slowly across the floor.
        drift = 0.5 + 0.55 * noise(seeds[mine, 0] * 9, seeds[mine, 1] * 9, 60 + number) + rng.normal(0, 0.28, len(mine))
        colours[mine] = rocks[np.clip((drift * len(rocks)).astype(int), 0, len(rocks) - 1)]
    colours = colours * (1 + rng.normal(0, 0.075, (len(seeds), 1))) + rng.normal(0, 0.012, colours.shape)
    return np.clip(colours, 0, 1).astype(np.float32)


def paint(size: int) -> np.ndarray:
    """The finished floor as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS, 900), Easel(PROPORTIONS, size, oversample=2)
    region = _scene(plan)
    edge = ndimage.maximum_filter(region, 3) != ndimage.minimum_filter(region, 3)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(~edge) / plan.scale, 1.5)
    seeds, direction = rows_of_seeds(rng, plan, distance, SPACING)
    direction = direction + rng.normal(0, 0.09, len(seeds))
    wobble = 0.0009
    shaken = Easel(PROPORTIONS, size, oversample=2)
    shaken.x = easel.x + wobble * noise(easel.x * 150, easel.y * 150, 3)
    shaken.y = easel.y + wobble * noise(easel.x * 150, easel.y * 150, 4)
    owner, depth = stones(shaken, seeds, direction, SPACING, rng.normal(1.0, 0.07, len(seeds)).clip(0.8, 1.2))
    return easel.finish(_set_in_mortar(rng, easel, seeds, look_up(plan, region, seeds), owner, depth))


def _set_in_mortar(rng, easel, seeds, region_of_seed, owner, depth):
    """Colour, tilt and chip the stones; fill the joints with mortar; light from the upper left."""
    x, y = easel.x, easel.y
    colours = _stone_colours(rng, region_of_seed, seeds)
    vein = fractal(x, y, 70, 3, 31) + 0.6 * noise(x * 40 + 90 * colours[owner][..., 0], y * 160, 33)
    picture = colours[owner] * (1 + 0.13 * vein[..., None])
    tilt = rng.normal(0, 1, (len(seeds), 2)).astype(np.float32)
    slope = (x - seeds[owner, 0]) * tilt[owner, 0] + (y - seeds[owner, 1]) * tilt[owner, 1]
    shine = (tilt.sum(1) * 0.09)[owner]
    golden = np.isin(region_of_seed, (GOLD, DISC, EYE, BEAK))[owner]
    picture = picture * (1 + np.where(golden, 1.5, 0.8) * shine)[..., None]
    flash = smoothstep(0.12, 0.30, shine) * golden
    picture = mix(picture, rgb("#fff3c4"), 0.55 * flash * (0.6 + 0.4 * vein).clip(0, 1))
    stone = smoothstep(0.035, 0.095, depth + 0.02 * noise(x * 210, y * 210, 35))
    mortar = mix(rgb("#4a4038"), rgb("#7a6c5a"), (0.45 + 0.5 * fractal(x, y, 90, 3, 37)).clip(0, 1))
    height = 0.0030 * np.sqrt(np.clip(depth / 0.20, 0, 1)) * stone + 0.35 * slope * stone + 0.00035 * vein
    picture = mix(mortar, picture, stone)
    picture = lit(picture, relief(easel, height, 1.1, blur=0.0009), depth=0.55, gloss=0.12)
    return picture * (1 + 0.05 * fractal(x, y, 3, 3, 41)[..., None])
