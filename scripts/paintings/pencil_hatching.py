"""A mill among trees drawn in coloured pencil: graphite, sanguine, indigo and ochre on buff paper.

Texture on offer: thousands of thin strokes in a few crossing directions, denser where it is dark,
broken by the tooth of the paper; loose contour lines; very little solid colour.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from .brush import Canvas, lay, look_up, scatter, straight
from .drawing import Plate, spline
from .easel import Easel, fractal, mix, noise, pigments, rgb, smoothstep, study

PROPORTIONS = (512, 384)
SEED = 1640

GRAPHITE, SANGUINE, INDIGO, OCHRE, SEPIA, CHALK = pigments("#2b2b30", "#a8452c", "#2c3f6e", "#b5852f", "#4a3222",
                                                           "#fbf5e6")
SKY, CLOUD, HILL, FIELD, LAWN, TREES, OAK, TRUNK, WALL, DARKWALL, ROOF, SAILS, WATER, BANK, DOOR, FENCE = range(16)

# Tone of every region, from 0 (paper) to 1, and the share of each pencil in it:
# graphite, sanguine, indigo, ochre, sepia
MATTER = {
    SKY: (0.16, (1, 0, 7, 0, 0)), CLOUD: (0.02, (2, 1, 2, 0, 0)), HILL: (0.34, (2, 0, 6, 0, 1)),
    FIELD: (0.20, (0, 2, 0, 7, 1)), LAWN: (0.30, (2, 1, 1, 5, 2)),
    TREES: (0.62, (3, 0, 5, 1, 2)), OAK: (0.58, (4, 1, 2, 2, 5)), TRUNK: (0.80, (2, 2, 0, 0, 5)),
    WALL: (0.10, (0, 3, 0, 4, 1)), DARKWALL: (0.62, (1, 5, 1, 1, 3)),
    ROOF: (0.70, (1, 7, 0, 0, 2)), SAILS: (0.30, (1, 2, 0, 2, 4)), WATER: (0.30, (2, 0, 6, 0, 1)),
    BANK: (0.62, (2, 2, 0, 2, 4)), DOOR: (0.95, (4, 1, 1, 0, 3)), FENCE: (0.75, (2, 1, 0, 0, 4)),
}


def _scene(plan: Easel):
    """Flat regions and the contours to be drawn around them."""
    plate = Plate(plan, SKY)
    for x, y, r in ((0.16, 0.13, 0.075), (0.25, 0.115, 0.09), (0.34, 0.14, 0.065), (0.10, 0.155, 0.05),
                    (0.86, 0.20, 0.06), (0.93, 0.185, 0.075), (0.80, 0.215, 0.04)):
        plate.disc(x, y, r, CLOUD)
    lines = []

    def shape(points, ink, closed=True, count=90):
        outline = spline(list(points) + ([points[0]] if closed == "smooth" else []), count) if closed in ("smooth",
            "open") else np.array(points)
        plate.fill(outline, ink)
        lines.append((ink, outline if closed != "open" else spline(points[:-2], count)))

    shape([(-0.02, 0.400), (0.14, 0.345), (0.30, 0.375), (0.48, 0.330), (0.70, 0.365), (0.88, 0.335), (1.02, 0.360),
           (1.02, 0.6), (-0.02, 0.6)], HILL, "open")
    shape([(-0.02, 0.445), (0.25, 0.425), (0.55, 0.440), (0.80, 0.420), (1.02, 0.435), (1.02, 0.8), (-0.02, 0.8)],
          FIELD, "open")
    for x, y, r in ((0.03, 0.395, 0.050), (0.10, 0.405, 0.040), (0.165, 0.415, 0.030), (0.93, 0.375, 0.050),
                    (0.99, 0.36, 0.06), (0.86, 0.405, 0.034), (0.33, 0.418, 0.020), (0.37, 0.422, 0.016)):
        plate.disc(x, y, r, TREES)
    shape([(-0.02, 0.520), (0.20, 0.500), (0.45, 0.515), (0.72, 0.480), (1.02, 0.500), (1.02, 0.8), (-0.02, 0.8)], LAWN,
          "open")
    shape([(0.02, 0.780), (0.22, 0.660), (0.42, 0.605), (0.66, 0.590), (1.03, 0.610), (1.03, 0.690), (0.74, 0.680),
           (0.56, 0.720), (0.50, 0.790)], BANK, "smooth")
    shape([(0.06, 0.785), (0.25, 0.675), (0.44, 0.622), (0.67, 0.606), (1.03, 0.626), (1.03, 0.676), (0.74, 0.664),
           (0.53, 0.705), (0.46, 0.790)], WATER, "smooth")
    _mill(shape)
    for x, y, r in ((0.165, 0.230, 0.085), (0.090, 0.275, 0.078), (0.235, 0.290, 0.070), (0.150, 0.330, 0.080),
                    (0.065, 0.350, 0.050), (0.235, 0.365, 0.045), (0.290, 0.325, 0.035)):
        plate.disc(x, y, r, OAK)
    shape([(0.118, 0.625), (0.150, 0.560), (0.152, 0.460), (0.120, 0.370), (0.142, 0.365), (0.166, 0.420),
           (0.196, 0.350), (0.214, 0.355), (0.186, 0.450), (0.188, 0.560), (0.230, 0.622), (0.180, 0.605),
           (0.160, 0.632)], TRUNK)
    for x in np.arange(0.72, 1.02, 0.042):
        shape([(x, 0.595), (x, 0.535), (x + 0.007, 0.532), (x + 0.007, 0.595)], FENCE)
    for y in (0.548, 0.572):
        shape([(0.70, y), (1.02, y - 0.008), (1.02, y - 0.001), (0.70, y + 0.007)], FENCE)
    return np.asarray(plate.image), lines


def _mill(shape):
    """A tower mill with its cap, four lattice sails, and a low house beside it."""
    shape([(0.395, 0.555), (0.395, 0.450), (0.520, 0.445), (0.520, 0.560)], WALL)
    shape([(0.380, 0.455), (0.410, 0.385), (0.505, 0.380), (0.530, 0.450)], ROOF)
    shape([(0.425, 0.555), (0.425, 0.490), (0.452, 0.490), (0.452, 0.556)], DOOR)
    shape([(0.475, 0.515), (0.475, 0.485), (0.498, 0.485), (0.498, 0.515)], DOOR)
    shape([(0.535, 0.570), (0.562, 0.250), (0.605, 0.250), (0.600, 0.572)], WALL)
    shape([(0.598, 0.572), (0.603, 0.250), (0.650, 0.250), (0.682, 0.565)], DARKWALL)
    shape([(0.550, 0.255), (0.565, 0.205), (0.605, 0.180), (0.645, 0.205), (0.662, 0.255)], ROOF)
    shape([(0.585, 0.570), (0.585, 0.505), (0.600, 0.490), (0.617, 0.505), (0.617, 0.570)], DOOR)
    for y in (0.320, 0.400):
        shape([(0.590, y + 0.028), (0.590, y), (0.610, y), (0.610, y + 0.028)], DOOR)
    hub = np.array([0.600, 0.222])
    for turn in np.arange(4) * np.pi / 2 + 0.52:
        u, v = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        shape([hub + 0.03 * u, hub + 0.200 * u, hub + 0.200 * u + 0.040 * v, hub + 0.05 * u + 0.040 * v], SAILS)


def _tone(plan: Easel, region):
    """How dark the drawing should be everywhere: matter, light from the left, clumps of leaves."""
    x, y = plan.x, plan.y
    tone = np.zeros(x.shape, np.float32)
    for number, (depth, _) in MATTER.items():
        tone = np.where(region == number, depth, tone)
    leaf = fractal(x, y, 17, 3, 4)
    clump = noise(x * 17, y * 19, 6) - noise(x * 17 - 0.30, y * 19 - 0.38, 6)
    foliage = np.isin(region, (OAK, TREES))
    tone = np.where(foliage, tone + 0.25 * leaf - 0.62 * clump + 1.1 * (x - 0.16) * (x < 0.33), tone + 0.16 * leaf)
    tone = np.where(region == SKY, tone + 0.20 * smoothstep(0.22, 0.0, y) + 0.42 * fractal(x, y * 2.2, 4, 2, 9), tone)
    tone = np.where(region == WATER, tone + 0.55 * noise(x * 4, y * 48, 11), tone)
    tone = np.where(region == LAWN, tone + 0.30 * noise(x * 5, y * 22, 13) + 0.30 * smoothstep(0.66, 0.76, y), tone)
    # Shadows cast by the mill and by the oak.
    cast = np.exp(-(((y - 0.580 - 0.10 * (x - 0.6)) / 0.018) ** 2))
    cast = cast * smoothstep(0.58, 0.64, x) * smoothstep(0.90, 0.74, x)
    oak = np.exp(-(((y - 0.622) / 0.020) ** 2)) * smoothstep(0.06, 0.14, x) * smoothstep(0.42, 0.28, x)
    return np.clip(tone + 0.5 * cast + 0.5 * oak, 0.03, 1)


def _hatch(canvas, rng, plan, region, tone):
    """Layers of parallel strokes; each further direction enters only in darker places."""
    shares = np.zeros((16, 5))
    for number, (_, share) in MATTER.items():
        shares[number] = np.cumsum(share) / np.sum(share)
    pencils = np.stack([GRAPHITE, SANGUINE, INDIGO, OCHRE, SEPIA])
    # direction, threshold of tone, spacing, length
    layers = ((-0.85, 0.06, 0.0128, 0.046), (-0.66, 0.26, 0.0115, 0.038), (0.72, 0.40, 0.0105, 0.032),
              (0.05, 0.54, 0.0095, 0.024), (1.45, 0.64, 0.0085, 0.020), (-0.80, 0.70, 0.0078, 0.018),
              (0.60, 0.78, 0.0072, 0.016))
    for direction, least, spacing, length in layers:
        points = scatter(rng, 1, plan.height, spacing)
        dark = look_up(plan, tone, points)
        points = points[rng.random(len(points)) < smoothstep(least - 0.08, least + 0.22, dark)]
        mine = look_up(plan, region, points)
        pick = (rng.random((len(points), 1)) > shares[mine]).sum(1).clip(0, 4)
        # Water is hatched level, walls upright, foliage in restless tufts.
        angle = direction + 0.25 * look_up(plan, noise(plan.x * 4, plan.y * 4, 21), points)
        angle = np.where(mine == WATER, 0.03 + 0.06 * direction, angle)
        tuft = look_up(plan, noise(plan.x * 13, plan.y * 13, 23), points)
        angle = np.where(np.isin(mine, (OAK, TREES)), angle + 1.5 * tuft, angle)
        angle = np.where(mine == LAWN, 0.55 * direction - 0.9 * (direction > 0.5), angle)
        angle = angle + rng.normal(0, 0.06, len(points))
        small = np.isin(mine, (OAK, TREES, TRUNK, SAILS, DOOR, FENCE, ROOF))
        reach = length * rng.uniform(0.6, 1.25, len(points)) * np.where(small, 0.55, 1)
        reach = np.where(mine == SKY, reach * 1.6, reach)
        press = rng.uniform(0.0, 0.25, (len(points), 1)) + 0.22 * (1 - look_up(plan, tone, points))[:, None]
        colour = pencils[pick] + (rgb("#dcc9a0") - pencils[pick]) * press
        lay(canvas, rng, straight(points, angle, reach, rng.normal(0, 0.16, len(points)), knots=5),
            rng.uniform(0.0019, 0.0030, len(points)),
            colour, tint=0.06, dry=0.5, body=0.2, taper=0.5)


def _visible_runs(plan, near, path):
    """The parts of a path that run along a visible piece of their own region."""
    seen = look_up(plan, near, path)
    cuts = np.flatnonzero(np.diff(seen.astype(int))) + 1
    first = seen[np.concatenate([[0], cuts])]
    return [run for run, shown in zip(np.split(path, cuts), first, strict=True) if shown and len(run) > 3]


def _contours(canvas, rng, plan, region, lines):
    """Every outline drawn two or three times, never quite on the same place."""
    for ink, outline in lines:
        near = ndimage.maximum_filter((region == ink).astype(np.uint8), 7) > 0
        polygon = len(outline) < 20
        closed = np.vstack([outline, outline[:1]]) if polygon else outline
        sides = list(pairwise(closed)) if polygon else [None] * 3
        for side in sides * (2 if polygon else 1):
            if side is None:
                low = rng.integers(0, max(1, len(closed) // 3))
                path = closed[low : rng.integers(2 * len(closed) // 3, len(closed))]
            else:
                stretch = (side[1] - side[0]) * rng.uniform(0.0, 0.07)
                path = np.linspace(side[0] - stretch, side[1] + stretch, 14)
            shaken = rng.normal(0, 0.0011, 2) + 0.0007 * np.sin(np.linspace(0, 7, len(path)) + rng.uniform(0, 6))[:,
                None]
            tone = (SEPIA, GRAPHITE, SANGUINE)[rng.choice(3, p=(0.5, 0.35, 0.15))] * rng.uniform(0.8, 1.2)
            for run in _visible_runs(plan, near, path):
                lay(canvas, rng, (run + shaken[-1])[None], rng.uniform(0.0018, 0.0031), tone[None], tint=0.05, dry=0.6,
                    body=0.2, taper=0.6)


def _scribbles(canvas, rng, plan, region):
    """Loops for leaves, tufts of grass, lattice of the sails, rows of tiles, birds."""
    points = scatter(rng, 1, plan.height, 0.0140)
    leaves = points[np.isin(look_up(plan, region, points), (OAK, TREES))]
    lay(canvas, rng, straight(leaves, rng.uniform(0, 6.3, len(leaves)), rng.uniform(0.010, 0.020, len(leaves)),
                              rng.choice([-3.6, 3.6], len(leaves)), knots=13),
        0.0024, np.stack([SEPIA, GRAPHITE, INDIGO])[rng.integers(0, 3, len(leaves))], tint=0.06, dry=0.4, body=0.2,
        taper=0.4)
    tufts = points[(look_up(plan, region, points) == LAWN) & (rng.random(len(points)) < 0.55)]
    for lean in (-0.5, -0.15, 0.2, 0.55):
        roots = tufts + rng.normal(0, 0.003, tufts.shape)
        lay(canvas, rng, straight(roots, -np.pi / 2 + lean + rng.normal(0, 0.12, len(roots)),
                                  rng.uniform(0.008, 0.024, len(roots)), lean),
            0.0023, np.stack([SEPIA, OCHRE, GRAPHITE, SANGUINE])[rng.integers(0, 4, len(roots))], tint=0.06, dry=0.5,
            body=0.2, taper=0.8)
    hub = np.array([0.600, 0.222])
    for turn in np.arange(4) * np.pi / 2 + 0.52:
        u, v = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        bars = [(hub + t * u, hub + t * u + 0.042 * v) for t in np.arange(0.05, 0.2, 0.0125)]
        bars += [(hub + 0.04 * u + w * v, hub + 0.2 * u + w * v) for w in (0.0, 0.014, 0.028)]
        for a, b in bars:
            lay(canvas, rng, np.linspace(a, b, 5)[None] + rng.normal(0, 0.0006, 2), 0.0026, SEPIA[None], tint=0.06,
                dry=0.5, body=0.2, taper=0.3)


def paint(size: int) -> np.ndarray:
    """The finished drawing as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=3)
    x, y = easel.x, easel.y
    region, lines = _scene(plan)
    fibre = noise(x * 210, y * 34, 61) + noise(x * 34, y * 210, 62)
    paper = rgb("#e6d5ad") * (1 + 0.035 * fibre + 0.045 * fractal(x, y, 6, 4, 63))[..., None]
    canvas = Canvas(easel, paper)
    _hatch(canvas, rng, plan, region, _tone(plan, region))
    _scribbles(canvas, rng, plan, region)
    _contours(canvas, rng, plan, region, lines)
    # White chalk on the lit edges of clouds and walls.
    points = scatter(rng, 1, plan.height, 0.0075)
    lit_parts = points[np.isin(look_up(plan, region, points), (CLOUD, WALL)) & (rng.random(len(points)) < 0.34)]
    lay(canvas, rng, straight(lit_parts, np.full(len(lit_parts), -0.75), 0.016, 0.2), 0.0026, CHALK, tint=0.03, dry=0.9,
        body=0.2, taper=0.5)
    # The pencil only catches the ridges of the paper.
    tooth = fractal(x, y, 150, 2, 71, gain=0.8)
    catch = np.clip(0.86 + 0.55 * tooth, 0.2, 1.0)
    return easel.finish(mix(paper * (1 + 0.05 * tooth[..., None]), canvas.colour, catch), step=8)
