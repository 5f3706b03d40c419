"""A still life with guitar, bottle and newspaper, broken into facets.

Texture on offer: straight edges at few angles, every facet brushed from dark to light along its
own direction with short flat strokes, dark broken contours; ochre, umber, grey-green, slate.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .brush import Canvas, lay, look_up, scatter, straight, variety
from .drawing import Plate, spline
from .easel import Easel, canvas_weave, fractal, lit, mix, pigments, relief, rgb, study

PROPORTIONS = (400, 512)
SEED = 1911

GROUND, TABLE, CLOTH, WOOD, SIDE, HOLE, NECK, BOTTLE, LABEL, PAPER, GLASS, FRUIT, STRING, DARK = range(14)
TONES = {
    GROUND: ("#6f6a58", "#8d8468", "#4d524c", "#a39a7c", "#59604f"),
    TABLE: ("#7a5130", "#94683c", "#5c3b26", "#b08050"),
    CLOTH: ("#cfc6aa", "#b3ac94", "#e4dbc0", "#8f9488"), WOOD: ("#c98f3f", "#ddac58", "#a86d2c", "#ecc888"),
    SIDE: ("#7d4420", "#5e321c", "#98592c"), HOLE: ("#241a16", "#33261f"), NECK: ("#4a2e1e", "#6b4328", "#2f211b"),
    BOTTLE: ("#2f4f45", "#47705c", "#203630", "#7f9c80"), LABEL: ("#d9cba4", "#b8a276"),
    PAPER: ("#ddd6c2", "#c2bba8", "#efe8d4"),
    GLASS: ("#8fa3a3", "#b6c2ba", "#6a7f84"), FRUIT: ("#b5532c", "#d0803a", "#8a3a26"), STRING: ("#efe3c0",),
    DARK: ("#2a2622", "#3a342c"),
}


def _still_life(plan: Easel) -> np.ndarray:
    """The objects on their table, still whole."""
    plate = Plate(plan, GROUND)
    plate.fill([(0.0, 0.68), (0.25, 0.615), (0.78, 0.66), (0.78, 1.0), (0.0, 1.0)], TABLE)
    plate.fill([(0.06, 0.72), (0.42, 0.66), (0.74, 0.76), (0.60, 0.98), (0.18, 0.95)], CLOTH)
    plate.fill([(0.44, 0.63), (0.76, 0.60), (0.77, 0.86), (0.50, 0.90)], PAPER)
    for y in np.arange(0.650, 0.87, 0.017):
        plate.line([(0.47, y + 0.008), (0.74, y - 0.016)], 0.0062, DARK, ends=1)
    plate.fill([(0.10, 0.10), (0.155, 0.10), (0.155, 0.25), (0.205, 0.32), (0.205, 0.70), (0.05, 0.70), (0.05, 0.32),
                (0.10, 0.25)], BOTTLE)
    plate.fill([(0.055, 0.44), (0.20, 0.44), (0.20, 0.57), (0.055, 0.57)], LABEL)
    body = [(0.355, 0.335), (0.290, 0.365), (0.275, 0.440), (0.315, 0.500), (0.245, 0.570), (0.225, 0.680),
            (0.300, 0.775), (0.430, 0.800), (0.555, 0.745), (0.585, 0.635), (0.530, 0.540), (0.475, 0.490),
            (0.520, 0.420), (0.500, 0.345), (0.430, 0.325)]
    plate.fill(spline(np.array([*body, body[0]]) + np.array([0.018, 0.012]), 160), SIDE)
    plate.fill(spline(body + body[:1], 160), WOOD)
    plate.disc(0.405, 0.560, 0.060, SIDE)
    plate.disc(0.405, 0.560, 0.050, HOLE)
    plate.fill([(0.392, 0.545), (0.440, 0.550), (0.515, 0.070), (0.478, 0.062)], NECK)
    plate.fill([(0.465, 0.080), (0.530, 0.090), (0.548, 0.000), (0.490, -0.01)], DARK)
    for k in range(5):
        plate.line([(0.398 + 0.009 * k, 0.700), (0.480 + 0.0075 * k, 0.060)], 0.0030, STRING, ends=1)
    plate.fill([(0.340, 0.690), (0.480, 0.712), (0.476, 0.735), (0.336, 0.712)], NECK)
    plate.fill([(0.610, 0.430), (0.740, 0.430), (0.705, 0.560), (0.690, 0.640), (0.735, 0.665), (0.615, 0.665),
                (0.660, 0.640), (0.645, 0.560)], GLASS)
    for x, y, r in ((0.130, 0.815, 0.050), (0.205, 0.845, 0.044), (0.165, 0.775, 0.038)):
        plate.disc(x, y, r, FRUIT)
    return np.asarray(plate.image)


def _split(rng, polygon, depth):
    """Cut a convex polygon by lines of a few favoured directions until the pieces are small."""
    extent = polygon.max(0) - polygon.min(0)
    x, y = polygon[:, 0], polygon[:, 1]
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    centre = polygon.mean(0)
    # Facets are smallest in the middle of the picture and widen towards its edges.
    wanted = 0.0040 + 0.022 * np.hypot(*(centre - (0.40, 0.50))) ** 1.4
    if depth == 0 or area < wanted * rng.uniform(0.7, 1.8):
        return [polygon]
    across = 0.0 if extent[1] > extent[0] else np.pi / 2
    angle = across + rng.choice([-0.62, -0.30, 0.22, 0.55, 0.80, -0.12]) + rng.normal(0, 0.05)
    normal = np.array([-np.sin(angle), np.cos(angle)])
    side = (polygon - centre - rng.normal(0, 0.12, 2) * extent) @ normal
    if side.min() >= 0 or side.max() <= 0:
        return [polygon]
    halves = [], []
    for k in range(len(polygon)):
        a, b, sa, sb = polygon[k], polygon[(k + 1) % len(polygon)], side[k], side[(k + 1) % len(polygon)]
        halves[int(sa > 0)].append(a)
        if sa * sb < 0:
            cut = a + (b - a) * (sa / (sa - sb))
            halves[0].append(cut)
            halves[1].append(cut)
    return [piece for half in halves for piece in _split(rng, np.array(half), depth - 1)]


def _brush_facets(canvas, rng, plan, scene, facets, owner, pixel_owner):
    """Short flat strokes in every facet: the scene, shifted and turned, shaded to one side."""
    tones = [pigments(*TONES[number]) for number in range(len(TONES))]
    mood = rng.random(len(facets))
    centres = np.array([f.mean(0) for f in facets])
    sizes = np.array([np.hypot(*(f.max(0) - f.min(0))) for f in facets])
    light = rng.uniform(0, 2 * np.pi, len(facets))
    light = np.where(rng.random(len(facets)) < 0.6, rng.choice([-2.2, 0.9, -0.7, 2.5], len(facets)), light)
    shift, turn = rng.normal(0, 0.020, (len(facets), 2)), rng.normal(0, 0.18, len(facets))
    contrast = rng.uniform(0.45, 1.0, len(facets))
    for spacing, length, width in ((0.013, 0.036, 0.0160), (0.0105, 0.026, 0.0105), (0.0170, 0.022, 0.0070)):
        points = scatter(rng, plan.width, plan.height, spacing, margin=0.01)
        mine = look_up(plan, owner, points)
        offset = points - centres[mine]
        c, s = np.cos(turn[mine]), np.sin(turn[mine])
        seen = centres[mine] + shift[mine] + np.stack([offset[:, 0] * c - offset[:, 1] * s,
                                                       offset[:, 0] * s + offset[:, 1] * c], -1)
        thing = look_up(plan, scene, seen)
        # A facet sees one tone of a thing; single strokes stray to another.
        pick = np.clip(mood[mine] + rng.normal(0, 0.09, len(points)), 0, 0.999)
        colour = np.stack([tones[t][int(p * len(tones[t]))] for t, p in zip(thing, pick, strict=True)])
        slope = (offset[:, 0] * np.cos(light[mine]) + offset[:, 1] * np.sin(light[mine])) / sizes[mine]
        amount = np.clip(slope * 3.4 * contrast[mine] + rng.normal(0, 0.05, len(points)), -0.72, 0.68)
        colour = mix(colour, rgb("#f3e6c6"), np.maximum(amount, 0))
        colour = mix(colour, rgb("#1e1c1c"), np.maximum(-amount, 0) * 1.05)
        angle = light[mine] + np.pi / 2 + rng.normal(0, 0.16, len(points))
        lay(canvas, rng, straight(points, angle, length * rng.uniform(0.6, 1.2, len(points))),
            width * rng.uniform(0.7, 1.15, len(points)),
            variety(rng, colour, 0.028), variety(rng, colour, 0.05), tint=0.05, dry=0.45, body=0.9, taper=0.08,
            territory=(pixel_owner, mine))


def _facet_map(easel: Easel, facets) -> np.ndarray:
    """Number of the facet at every pixel of an easel."""
    image = Image.new("I", (easel.columns, easel.rows), 0)
    pen = ImageDraw.Draw(image)
    for number, facet in enumerate(facets):
        pen.polygon([tuple(p) for p in (facet * easel.scale).tolist()], fill=number)
    return np.asarray(image)


def _contours(canvas, rng, facets):
    """Dark edges, broken and uneven, on some sides of the facets, with a light edge beside them."""
    for facet in facets:
        for a, b in zip(facet, np.roll(facet, -1, 0), strict=True):
            if rng.random() > 0.40 or np.hypot(*(b - a)) < 0.03:
                continue
            low, high = rng.uniform(-0.04, 0.25), rng.uniform(0.7, 1.04)
            path = a + (b - a) * np.linspace(low, high, 8)[:, None]
            normal = np.array([-(b - a)[1], (b - a)[0]]) / np.hypot(*(b - a))
            tone = pigments("#1d1917", "#3a2a20", "#2a302e")[rng.integers(0, 3, 1)]
            if rng.random() < 0.5:
                lay(canvas, rng, (path + normal * 0.0042)[None], 0.0046, rgb("#efe3c4")[None], rgb("#c9b48a")[None],
                    tint=0.05, dry=0.8, body=0.9, taper=0.6)
            lay(canvas, rng, path[None], rng.uniform(0.0028, 0.0060), tone, rgb("#4f3c2c")[None], tint=0.06, dry=0.75,
                body=0.9, taper=0.5)


def _drawn_over(canvas, rng):
    """Fragments of the objects' outlines, so that the eye puts them together again."""
    arcs = [spline(p, 40) for p in (
        [(0.350, 0.330), (0.288, 0.365), (0.272, 0.440), (0.318, 0.502), (0.243, 0.570), (0.222, 0.680)],
        [(0.240, 0.700), (0.300, 0.778), (0.430, 0.803), (0.555, 0.747), (0.588, 0.640)],
        [(0.545, 0.560), (0.478, 0.490), (0.523, 0.420), (0.503, 0.345), (0.450, 0.325)],
        [(0.610, 0.430), (0.645, 0.560), (0.660, 0.640), (0.615, 0.668)],
        [(0.740, 0.430), (0.705, 0.560), (0.690, 0.640), (0.735, 0.668)],
        [(0.610, 0.432), (0.675, 0.445), (0.740, 0.432), (0.675, 0.420), (0.612, 0.430)],
        [(0.100, 0.10), (0.100, 0.25), (0.050, 0.33), (0.048, 0.52)],
        [(0.158, 0.10), (0.156, 0.25), (0.207, 0.32), (0.208, 0.66)])]
    turn = np.linspace(0.3, 5.4, 40)
    arcs += [np.stack([0.405 + r * np.cos(turn + k), 0.560 + r * np.sin(turn + k)], -1) for k,
             r in enumerate((0.050, 0.060, 0.068))]
    for arc in arcs:
        lay(canvas, rng, arc[None], 0.0058, rgb("#1a1614")[None], rgb("#4a3424")[None], tint=0.06, dry=0.5, body=1.1,
            taper=0.6)
    for k in range(5):
        string = np.array([[0.398 + 0.009 * k, 0.700], [0.480 + 0.0075 * k, 0.060]])
        for low, high in ((0.0, 0.33), (0.36, 0.62), (0.66, 1.0)):
            slip = rng.normal(0, 0.006, 2) * (low > 0)
            path = string[0] + (string[1] - string[0]) * np.linspace(low, high, 8)[:, None] + slip
            lay(canvas, rng, path[None], 0.0030, rgb("#f4ead0" if k % 2 else "#1d1917")[None], tint=0.05, dry=0.4,
                body=1.0, taper=0.3)
    for y in np.arange(0.655, 0.86, 0.0165):
        x = 0.505 + 0.1 * (y - 0.65)
        while x < 0.735:
            word = rng.uniform(0.012, 0.040)
            path = np.array([[x, y - 0.10 * (x - 0.5)], [x + word / 2, y - 0.10 * (x + word / 2 - 0.5)],
                             [x + word, y - 0.10 * (x + word - 0.5)]])
            if rng.random() < 0.8:
                lay(canvas, rng, path[None], 0.0052, rgb("#2b2622")[None], rgb("#6a5f50")[None], tint=0.08, dry=0.7,
                    body=0.5, taper=0.1)
            x += word + 0.008


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=3)
    scene = _still_life(plan)
    sheet = np.array([(-0.01, -0.01), (plan.width + 0.01, -0.01), (plan.width + 0.01, 1.01), (-0.01, 1.01)])
    facets = _split(rng, sheet, 9)
    canvas = Canvas(easel, mix(rgb("#6b5238"), rgb("#4a4238"), 0.5 + 0.5 * fractal(easel.x, easel.y, 12, 3, 2)))
    _brush_facets(canvas, rng, plan, scene, facets, _facet_map(plan, facets), _facet_map(easel, facets))
    _contours(canvas, rng, facets)
    _drawn_over(canvas, rng)
    light = relief(easel, canvas.height + 0.00018 * canvas_weave(easel), 1.3)
    return easel.finish(lit(canvas.colour, light, depth=0.45, gloss=0.10), step=8)
