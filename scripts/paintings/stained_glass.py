"""A church window: a tree before the rising sun, hills, a stream with lilies, a patterned border.

Texture on offer: saturated glowing panes between black lead lines, streaks and bubbles in every
glass, rays and leaves cut to many angular and rounded sizes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .brush import scatter
from .drawing import Plate, spline
from .easel import Easel, fractal, mix, noise, pigments, relief, rgb, smoothstep

PROPORTIONS = (384, 512)
SEED = 1220

(
    SKY, SUN, CORONA, FAR, MIDDLE, MEADOW, STREAM, TRUNK, LEAF,
    FRUIT, FRAME, CORNER, LILY, HEART, BEAD, PAD, PETAL,
) = range(17)
GLASS = {
    SKY: ("#1c3fa8", "#2f66c8", "#5a4fc0", "#3a86d0", "#7a3fa8", "#c04a90", "#e0703a", "#f0a030"),
    SUN: ("#fff0a0", "#ffe060", "#ffd23a", "#ffe88a"), CORONA: ("#ff9a1c", "#f7741c", "#ffb52e"),
    FAR: ("#5a3f9a", "#7a4fb0", "#46479a"),
    MIDDLE: ("#1f7a8a", "#2a94a0", "#1a5f86"), MEADOW: ("#3f9a3a", "#6ab83a", "#2a7f4a", "#a4c83a", "#1f6a3a"),
    STREAM: ("#2a9ac8", "#5ac0dc", "#1f74b8", "#8ad6e0"), TRUNK: ("#6a341c", "#8a4a22", "#4f2618", "#a0602c"),
    LEAF: ("#2f8a34", "#5aaf2e", "#9ac82e", "#1f6f3a", "#d0b82a", "#c87a24"), FRUIT: ("#d81c2a", "#f03a2a"),
    FRAME: ("#9a1424", "#b8202a", "#7a1030"), CORNER: ("#1a2f8a", "#2444a8"), LILY: ("#fbeff0", "#f4c8dc", "#fff8ea"),
    HEART: ("#ffc82a",),
    BEAD: ("#f4c030", "#e8d48a"), PAD: ("#1f7a4a", "#3f9a5a"),
    PETAL: ("#f7b8d2", "#fbd8e2", "#f0a0c4"),
}
SUN_AT = (0.47, 0.375)


def _landscape(plate):
    """Two ranges of hills, a meadow, and a stream winding to the front."""
    plate.fill(spline([(0.0, 0.560), (0.12, 0.515), (0.25, 0.545), (0.40, 0.490), (0.55, 0.530), (0.76, 0.495),
                       (0.76, 0.7), (0.0, 0.7)], 120), FAR)
    plate.fill(spline([(0.0, 0.600), (0.18, 0.585), (0.36, 0.625), (0.55, 0.580), (0.76, 0.610), (0.76, 0.8),
                       (0.0, 0.8)], 120), MIDDLE)
    plate.fill(spline([(0.0, 0.675), (0.15, 0.650), (0.32, 0.680), (0.52, 0.650), (0.76, 0.680), (0.76, 1.0),
                       (0.0, 1.0)], 120), MEADOW)
    plate.fill(spline([(0.44, 0.655), (0.475, 0.655), (0.56, 0.720), (0.48, 0.785), (0.60, 0.850), (0.69, 0.96),
                       (0.34, 0.96), (0.41, 0.86), (0.36, 0.79), (0.46, 0.715)], 120), STREAM)


def _tree(plate):
    """Trunk with roots, forking twice, and a crown of round leaf masses with fruit."""
    trunk = [(0.150, 0.865), (0.205, 0.780), (0.215, 0.640), (0.200, 0.520), (0.225, 0.520), (0.262, 0.600),
             (0.305, 0.505), (0.328, 0.515), (0.278, 0.660), (0.272, 0.780), (0.330, 0.870), (0.262, 0.838),
             (0.232, 0.880), (0.205, 0.835)]
    crown = ((0.115, 0.335, 0.088), (0.205, 0.235, 0.105), (0.320, 0.270, 0.090), (0.375, 0.385, 0.062),
             (0.110, 0.450, 0.070), (0.225, 0.390, 0.105), (0.315, 0.455, 0.060), (0.185, 0.490, 0.050))
    for x, y, r in crown:
        plate.disc(x, y, r, LEAF)
    plate.fill(trunk, TRUNK)
    for points in ([(0.212, 0.545), (0.180, 0.470), (0.120, 0.430)], [(0.214, 0.530), (0.220, 0.420), (0.195, 0.300)],
                   [(0.312, 0.520), (0.320, 0.430), (0.300, 0.320)], [(0.316, 0.510), (0.350, 0.450), (0.385, 0.420)]):
        plate.line(spline(points, 30), 0.020, TRUNK, ends=0.5)
    for x, y in ((0.090, 0.300), (0.160, 0.205), (0.245, 0.200), (0.330, 0.225), (0.370, 0.350), (0.265, 0.310),
                 (0.135, 0.380), (0.250, 0.420), (0.085, 0.450), (0.330, 0.405), (0.170, 0.290)):
        plate.disc(x, y, 0.0165, FRUIT)


def _lilies(plate):
    """Water lilies: a pad, five petals of two glasses, a golden heart."""
    for x, y, size in ((0.435, 0.865, 1.0), (0.545, 0.905, 1.15), (0.470, 0.752, 0.70), (0.625, 0.800, 1.0),
                       (0.120, 0.900, 1.1), (0.640, 0.715, 0.75), (0.330, 0.925, 0.8)):
        plate.fill(spline([(x - 0.058 * size, y + 0.020 * size), (x, y + 0.008 * size),
                           (x + 0.058 * size, y + 0.020 * size), (x, y + 0.036 * size),
                           (x - 0.058 * size, y + 0.020 * size)], 40), PAD)
        for turn, ink in ((-2.65, PETAL), (-0.49, PETAL), (-2.1, LILY), (-1.04, LILY), (-1.57, PETAL)):
            tip = np.array([x + 0.066 * size * np.cos(turn), y + 0.068 * size * np.sin(turn)])
            base, side = np.array([x, y + 0.010 * size]), 0.0265 * size * np.array([-np.sin(turn), np.cos(turn)])
            middle = base * 0.45 + tip * 0.55
            plate.fill(spline([base, middle + side, tip, middle - side, base], 30), ink)
        plate.disc(x, y + 0.006 * size, 0.013 * size, HEART)


def _frame(plate):
    """A pointed arch, red border with golden beads, blue spandrels."""
    width = 0.75
    t = np.linspace(0, 1, 60)
    for inset, ink in ((0.0, FRAME), (0.050, SKY)):
        left = np.stack([inset + (width / 2 - inset) * (1 - np.cos(t * 1.2)) / (1 - np.cos(1.2)),
                         0.30 - (0.285 - inset) * np.sin(t * 1.2) / np.sin(1.2)], -1)
        right = left[::-1] * (-1, 1) + (width, 0)
        arch = np.vstack([[(inset, 1 - inset)], left, right, [(width - inset, 1 - inset)]])
        yield ink, arch


def _inside(easel, polygon):
    """Which pixels of an easel lie within a polygon."""
    mask = Plate(easel, 0)
    mask.fill(polygon, 1)
    return np.asarray(mask.image) == 1


def _regions(easel: Easel):
    """Kind of glass at every pixel: the scene within the arch, border and spandrels around it."""
    scene = Plate(easel, SKY)
    scene.disc(*SUN_AT, 0.120, CORONA)
    scene.disc(*SUN_AT, 0.086, SUN)
    _landscape(scene)
    _tree(scene)
    _lilies(scene)
    (_, outer), (_, inner) = _frame(scene)
    kind = np.where(_inside(easel, inner), np.asarray(scene.image), FRAME)
    border = Plate(easel, 0)
    rim = np.vstack([outer, outer[:1]])
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(rim, axis=0).T))])
    for s in np.arange(0.03, along[-1], 0.0685):
        x, y = np.interp(s, along, rim[:, 0]), np.interp(s, along, rim[:, 1])
        k = min(int(np.searchsorted(along, s)), len(rim) - 1)
        dx, dy = rim[k] - rim[k - 1]
        n = np.hypot(dx, dy) + 1e-9
        border.disc(x - dy / n * 0.025, y + dx / n * 0.025, 0.0130, 1)
    kind = np.where((kind == FRAME) & (np.asarray(border.image) == 1), BEAD, kind)
    return np.where(_inside(easel, outer), kind, CORNER).astype(np.int32)


def _cut(easel, rng, kind):
    """Cut the regions into panes: rays around the sun, bands in the hills, leaves and shards."""
    x, y = easel.x, easel.y
    dx, dy = x - SUN_AT[0], y - SUN_AT[1]
    r, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    ring = np.searchsorted([0.195, 0.275, 0.365, 0.47], r)
    rays = np.floor((turn / (2 * np.pi) + 0.5 + 0.012 * ring) * np.array([18, 18, 24, 24, 30])[ring])
    panes = np.where(kind == SKY, ring * 40 + rays, 0)
    corona = np.floor((turn / (2 * np.pi) + 0.5) * 16)
    panes = np.where(kind == CORONA, corona, panes)
    sizes = ((LEAF, 0.036, 1.0), (MEADOW, 0.074, 1.8), (FAR, 0.080, 0.9), (MIDDLE, 0.085, 1.5), (STREAM, 0.060, 2.2),
             (TRUNK, 0.085, 0.45), (FRAME, 0.060, 1.0), (CORNER, 0.065, 1.0), (SUN, 0.052, 1.0))
    for number, spacing, squash in sizes:
        seeds = scatter(rng, 0.75, 1.0 * squash, spacing, margin=0.1)
        bend = 0.012 * noise(x * 9, y * 9, 70 + number)
        mine = kind == number
        _, cell = cKDTree(seeds).query(np.stack([(x + bend)[mine], ((y + bend) * squash)[mine]], -1))
        panes[mine] = cell
    return kind.astype(np.int64) * 100000 + panes.astype(np.int64)


def _glaze(easel, rng, panes, kind):
    """Colour of the glass: one sheet per pane, streaked, seeded with bubbles, glowing by the sun."""
    x, y = easel.x, easel.y
    numbers, pane = np.unique(panes, return_inverse=True)
    pane = pane.reshape(panes.shape)
    first, second = np.zeros((len(numbers), 3), np.float32), np.zeros((len(numbers), 3), np.float32)
    for k, number in enumerate(numbers):
        sheet = pigments(*GLASS[int(number // 100000)])
        if number // 100000 == SKY:  # warm near the sun, blue and violet far away
            ring = int(number % 100000) // 40
            pick = np.array([[6, 7], [5, 6], [4, 2], [1, 3], [0, 1]])[ring][rng.integers(0, 2, 2)]
        else:
            pick = rng.integers(0, len(sheet), 2)
        first[k], second[k] = sheet[pick[0]], 0.55 * sheet[pick[0]] + 0.45 * sheet[pick[1]]
    tone = np.clip(1 + rng.normal(0, 0.15, len(numbers)), 0.6, 1.35).astype(np.float32)
    lean = rng.uniform(0, np.pi, len(numbers)).astype(np.float32)[pane]
    along, across = x * np.cos(lean) + y * np.sin(lean), y * np.cos(lean) - x * np.sin(lean)
    streak = noise(along * 9 + 0.7 * noise(x * 25, y * 25, 5), across * 62, 7) + 0.6 * noise(along * 26, across * 170,
        8)
    colour = mix(first[pane], second[pane], np.clip(0.5 + 0.75 * streak, 0, 1)) * tone[pane][..., None]
    glow = 1.30 - 0.42 * smoothstep(0.12, 0.62, np.hypot(x - SUN_AT[0], y - SUN_AT[1]))
    colour = colour * (glow * (1 + 0.26 * streak + 0.16 * fractal(x, y, 60, 3, 11)))[..., None]
    bubble = smoothstep(0.62, 0.80, noise(x * 170, y * 170, 13))
    return colour + (bubble * 0.16)[..., None] * (0.4 + colour)


def paint(size: int) -> np.ndarray:
    """The finished window as bytes."""
    rng = np.random.default_rng(SEED)
    easel = Easel(PROPORTIONS, size, oversample=2)
    kind = _regions(easel)
    panes = _cut(easel, rng, kind)
    border = ndimage.maximum_filter(panes, 3) != ndimage.minimum_filter(panes, 3)
    distance = ndimage.distance_transform_edt(~border).astype(np.float32) / easel.scale
    colour = _glaze(easel, rng, panes, kind)
    # Grime gathers along the leads, and light spills a little over them.
    grime = np.where(np.isin(kind, (LILY, PETAL)), 0.15, 0.50)
    colour = colour * (1 - grime * np.exp(-distance / 0.0075))[..., None]
    width = 0.0042 + 0.0008 * noise(easel.x * 30, easel.y * 30, 17)
    lead = smoothstep(width + 0.0009, width - 0.0009, distance)
    came = np.sqrt(np.maximum(0, 1 - (distance / width) ** 2)) * 0.0032
    metal = mix(rgb("#15151c"), rgb("#3c3c46"), (0.4 + 0.6 * fractal(easel.x, easel.y, 60, 3, 19)).clip(0, 1))
    halo = ndimage.gaussian_filter(colour, (0.006 * easel.scale, 0.006 * easel.scale, 0))
    metal = metal + 0.16 * halo
    waves = 0.0006 * fractal(easel.x, easel.y, 34, 3, 23) + 0.00012 * noise(easel.x * 120, easel.y * 120, 24)
    light = relief(easel, came + waves * (1 - lead), 1.0, blur=0.0007)
    picture = mix(colour * (1 + 0.30 * light[..., None]),
                  metal * (1 + 0.8 * light[..., None]) + 0.12 * (np.maximum(light, 0) ** 2)[..., None], lead)
    return easel.finish(picture)
