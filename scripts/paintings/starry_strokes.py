"""A night sky of swirling impasto over hills, a village and a cypress.

Texture on offer: long curved strokes of thick paint in neighbouring blues, each with bristles and
a lit edge, rings of yellow dashes around the stars, flame-like dark strokes in the cypress.
"""

from __future__ import annotations

import numpy as np

from .brush import Canvas, follow, lay, look_up, scatter, straight, variety
from .easel import Easel, canvas_weave, fractal, lit, mix, noise, pigments, ramp, relief, rgb, smoothstep, study

PROPORTIONS = (512, 408)
SEED = 1889

NIGHT = pigments("#0c1334", "#14246a", "#1f3f96", "#3567b4", "#6897c6", "#a3c4cc", "#dfe2b4")
# Three kinds of star light, from the core outwards.
GLOWS = (pigments("#f0962a", "#fbdc58", "#f6e98c", "#dfe6a4", "#b5d3bd", "#6c9fc8"),
         pigments("#fffbe6", "#fdf0a8", "#f0f0c8", "#d8e8d4", "#b3d3d8", "#6a9cd0"),
         pigments("#f7b32c", "#ffe98a", "#e9d760", "#c8d188", "#96bfb0", "#4f86bd"))
GLOW_STOPS = (0, 0.2, 0.42, 0.65, 0.9, 1.2)
HILLS = pigments("#0f1c42", "#1f4280", "#35699a", "#5795a0", "#9cbf92")

# centre x, centre y, radius, sense of rotation
WHIRLS = ((0.415, 0.262, 0.150, 1), (0.615, 0.375, 0.085, -1), (0.12, 0.42, 0.07, 1))
# centre x, centre y, radius of the halo
STARS = ((0.055, 0.245, 0.045), (0.275, 0.085, 0.047), (0.50, 0.072, 0.036), (0.655, 0.165, 0.060),
         (0.245, 0.335, 0.034), (0.965, 0.085, 0.043), (0.965, 0.33, 0.055), (0.50, 0.445, 0.036),
         (0.74, 0.045, 0.028), (0.715, 0.465, 0.034), (0.335, 0.455, 0.028))
MOON = (0.125, 0.115, 0.105)


def _ridges(x):
    """Heights of three ranges of hills, from far to near, at the positions ``x``."""
    far = 0.565 + 0.045 * np.sin(x * 5.2 + 0.3) + 0.018 * np.sin(x * 13 + 1) - 0.05 * x
    middle = 0.615 + 0.030 * np.sin(x * 7.1 + 2.4) + 0.012 * np.sin(x * 19)
    near = 0.690 + 0.028 * np.sin(x * 6.3 + 4.4)
    return far, middle, near


def _sky_flow(plan: Easel):
    """Direction of the brush in the sky, and the phase that makes light and dark streams."""
    x, y = plan.x, plan.y
    lean = 0.42 * np.sin(x * 6.6 + 0.4) + 0.25 * noise(x * 3, y * 3, 3)
    vx, vy = np.cos(lean), np.sin(lean)
    phase = (y + 0.06 * np.cos(x * 6.6 + 0.4)) * 62 + 2.2 * noise(x * 4, y * 6, 8)
    for cx, cy, radius, spin in WHIRLS:
        dx, dy = x - cx, y - cy
        r, theta = np.hypot(dx, dy) + 1e-5, np.arctan2(dy, dx)
        weight = 4.5 * np.exp(-((r / radius) ** 2.4))
        vx = vx + weight * (-dy * spin - 0.30 * dx) / r
        vy = vy + weight * (dx * spin - 0.30 * dy) / r
        share = smoothstep(1.25, 0.85, r / radius)
        spiral = 2 * spin * theta + 9.0 * np.log(r / radius + 0.12)
        phase = phase * (1 - share) + spiral * share
    for cx, cy, radius in (*STARS, MOON):
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) + 1e-5
        weight = 12 * np.exp(-((r / (radius * 1.15)) ** 4))
        vx, vy = vx - weight * dy / r, vy + weight * dx / r
    return np.arctan2(vy, vx), phase


def _sky_colour(plan: Easel, phase):
    """What the brush picks up for the sky: streams of blues, haloes of yellow."""
    x, y = plan.x, plan.y
    stream = 0.5 + 0.5 * np.sin(phase)
    light = 0.12 + 0.40 * stream + 0.14 * fractal(x, y, 4, 3, 21) + 0.14 * smoothstep(0.1, 0.55, y)
    for cx, cy, radius, _ in WHIRLS:
        r = np.hypot(x - cx, y - cy) / radius
        light = light + 0.26 * np.exp(-((r - 0.45) ** 2) / 0.16) * (0.3 + stream)
    colour = ramp(light, NIGHT)
    # Turquoise and violet wander through the blues.
    colour = mix(colour, rgb("#2c7f8e"), 0.45 * smoothstep(0.15, 0.6, noise(x * 5, y * 7, 31)))
    colour = mix(colour, rgb("#3b3590"), 0.40 * smoothstep(0.15, 0.6, noise(x * 5, y * 7, 47)))
    dawn = np.exp(-(((y - _ridges(x)[0] + 0.05 + 0.05 * x) / 0.045) ** 2)) * (0.55 + 0.45 * np.sin(phase + 1))
    colour = mix(colour, ramp(0.5 + noise(x * 6, y * 18, 77), pigments("#8fb4bf", "#d5dcb0", "#e9dd9a")), 0.85 * dawn)
    for number, (cx, cy, radius) in enumerate((*STARS, MOON)):
        r = np.hypot(x - cx, y - cy) / radius + 0.07 * noise(x * 30, y * 30, 5)
        colour = mix(colour, ramp(r / 1.2, GLOWS[number % 3], GLOW_STOPS), smoothstep(1.25, 0.7, r))
    return colour


def _land(plan: Easel, angle, colour):
    """Hills below the ridges, with their own slopes for the brush."""
    x, y = plan.x, plan.y
    base = (0.50, 0.38, 0.28)
    for number, ridge in enumerate(_ridges(x)):
        inside = y > ridge
        slope = np.arctan(np.gradient(ridge, axis=1) * plan.scale)
        depth = y - ridge
        sway = 0.55 * np.sin(x * (23 - 5 * number) + depth * 26 + number)
        angle = np.where(inside, slope + sway, angle)
        shade = base[number] + 0.30 * np.sin(depth * 95 + 3 * np.sin(x * 9) + number) * np.exp(-depth * 5)
        shade = shade + 0.30 * fractal(x, y, 11, 3, 60 + number)
        body = ramp(shade + 0.22 * smoothstep(0.03, 0, depth), HILLS)
        body = mix(body, rgb("#7d8a3c"), 0.55 * (number == 2) * smoothstep(0.0, 0.5, noise(x * 13, y * 20, 71)))
        colour = np.where(inside[..., None], body, colour)
    return angle, colour


def _cypress(plan: Easel):
    """Where the cypress stands: two flames of uneven outline."""
    x, y = plan.x, plan.y
    inside = np.zeros(x.shape, bool)
    for root, tip, spread in ((0.862, 0.085, 0.066), (0.795, 0.37, 0.040), (0.925, 0.43, 0.040)):
        t = np.clip((y - tip) / (0.83 - tip), 0, 1)
        axis = root + 0.016 * np.sin(y * 14 + tip * 9)
        half = spread * (t**0.62) * (1.06 - 0.42 * t**3) * (1 + 0.24 * np.sin(y * 34 + root * 40))
        half = half + 0.007 * noise(x * 22, y * 34, 81)
        inside |= (np.abs(x - axis) < half) & (y > tip)
    return inside


def _paint_sky(canvas, plan, rng, angle, colour):
    """Broad strokes first, then dashes, then a few small accents, all along the flow."""
    below = _ridges(plan.x)[0] + 0.012
    layers = ((0.0165, 0.075, 0.0150, 0.05), (0.0118, 0.050, 0.0098, 0.08), (0.0170, 0.040, 0.0075, 0.15))
    for spacing, length, width, spread in layers:
        points = scatter(rng, 1, 0.62, spacing)
        points = points[look_up(plan, plan.y < below, points)]
        near = np.full(len(points), 9.0)
        for cx, cy, radius in (*STARS, MOON):
            near = np.minimum(near, np.hypot(points[:, 0] - cx, points[:, 1] - cy) / radius)
        # Close to a star the strokes shorten to dashes that can turn around it.
        lengths = length * np.clip(near * 0.55, 0.30, 1) * rng.uniform(0.65, 1.25, len(points))
        # A load of paint comes from anywhere nearby, so that dark and light dashes interleave.
        reach = rng.normal(0, 0.007, points.shape)
        first = variety(rng, look_up(plan, colour, points + reach), spread)
        second = variety(rng, look_up(plan, colour, points + 2 * reach), spread + 0.03)
        widths = width * rng.uniform(0.7, 1.2, len(points)) * np.where(near < 1, 0.8, 1)
        paths = follow(plan, angle, points, lengths)
        lay(canvas, rng, paths, widths, first, second, tint=0.05, dry=0.35, body=1.15, streak=0.5)


def _paint_stars(canvas, rng):
    """Broken rings of thick dashes, the sky showing between them, around a core of one blob."""
    for number, (cx, cy, radius) in enumerate((*STARS, MOON)):
        moon = radius == MOON[2]
        for ring in (0.62, 0.78, 0.94, 1.10, 1.24) if moon else (0.34, 0.58, 0.84, 1.10, 1.34):
            count = max(4, int(2 * np.pi * ring * radius / (0.0185 + 0.006 * ring)))
            turn = rng.uniform(0, 6.28) + np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.10, count)
            reach = radius * (ring + rng.normal(0, 0.035, count))
            at = np.stack([cx + reach * np.cos(turn), cy + reach * np.sin(turn)], -1)
            pick = np.clip(ring + rng.normal(0, 0.16, count), 0.1, 1.1)
            shade = ramp(pick / 1.2, GLOWS[number % 3], GLOW_STOPS)
            paths = straight(at, turn + np.pi / 2, rng.uniform(0.014, 0.026, count), min(0.018 / (ring * radius), 1.5))
            lay(canvas, rng, paths, rng.uniform(0.0048, 0.0075, count), variety(rng, shade, 0.06),
                variety(rng, shade, 0.10), tint=0.05, dry=0.3, body=1.9, taper=0.6)
        if not moon:
            core = np.array([[cx, cy]])
            lay(canvas, rng, straight(core, rng.uniform(0, 3, 1), radius * 0.42), radius * 0.40, GLOWS[number % 3][0],
                GLOWS[number % 3][1], tint=0.04, dry=0, body=1.2, taper=0.5)
    _paint_crescent(canvas, rng)


def _paint_crescent(canvas, rng):
    """A disc of lemon strokes with a crescent of orange laid over its left edge."""
    mx, my, mr = MOON
    for half in (False, True):
        points = scatter(rng, 1, 0.3, 0.0062)
        inside = np.hypot(points[:, 0] - mx, points[:, 1] - my) < mr * 0.50
        if half:
            inside &= np.hypot(points[:, 0] - mx - 0.027, points[:, 1] - my + 0.012) > mr * 0.43
        points = points[inside]
        around = np.arctan2(points[:, 1] - my, points[:, 0] - mx) + np.pi / 2
        tones = ("#f9b21c", "#f39a1b", "#ffc83a", "#e8871e") if half else ("#f7e88a", "#efe9ac", "#e6d766", "#fbf3bf")
        shade = pigments(*tones)[rng.integers(0, 4, len(points))]
        lay(canvas, rng, straight(points, around, 0.022, 0.5), 0.0072, shade, variety(rng, shade, 0.08), body=1.5)


def _paint_land(canvas, plan, rng, angle, colour):
    """The ranges from far to near; the village stands on the middle one."""
    for number, ridge in enumerate(_ridges(plan.x)):
        inside = plan.y > ridge + 0.004
        for spacing, length, width in ((0.014, 0.055, 0.012), (0.0105, 0.040, 0.0078)):
            points = scatter(rng, 1, 0.8, spacing)
            points = points[look_up(plan, inside, points)]
            points = points[np.argsort(points[:, 1] + rng.normal(0, 0.03, len(points)), kind="stable")]
            first = variety(rng, look_up(plan, colour, points), 0.055)
            second = variety(rng, look_up(plan, colour, points + rng.normal(0, 0.015, points.shape)), 0.09)
            lengths = length * rng.uniform(0.7, 1.2, len(points))
            lay(canvas, rng, follow(plan, angle, points, lengths), width, first, second, tint=0.07, dry=0.3)
        _outline(canvas, rng, number)
        if number == 1:
            _paint_village(canvas, rng)


def _outline(canvas, rng, number):
    """A dark contour along a ridge, in several overlapping strokes."""
    starts = np.arange(-0.02, 1.0, 0.075)
    x = starts[:, None] + np.linspace(0, 0.1, 14)
    paths = np.stack([x, _ridges(x)[number] + rng.normal(0, 0.0012, (len(starts), 1))], -1)
    lay(canvas, rng, paths, 0.0055, rgb("#0b1232"), rgb("#1f3470"), tint=0.05, dry=0.5, taper=0.6)


def _paint_village(canvas, rng):
    """Houses as a few slabs of paint (wall, roof, lit window), bushes as curls, one steeple."""
    _paint_bushes(canvas, rng, rng.uniform(0.0, 0.78, 34), 0.655)
    walls = pigments("#4b6a94", "#7d99a4", "#2c4778", "#93a89a", "#5f7fa0")
    roofs = pigments("#6e4a48", "#1c2a58", "#8a6a52", "#2f4a7a", "#3f3a50")
    for row, (shift, grow) in enumerate(((0.0, 0.9), (0.024, 1.25))):
        xs = np.concatenate([np.arange(0.045, 0.34, 0.052), np.arange(0.435, 0.75, 0.054)])
        for x in xs + rng.normal(0, 0.009, len(xs)) + 0.02 * row:
            foot = 0.668 + 0.024 * np.sin(x * 6.3 + 4.4) + shift + rng.uniform(-0.006, 0.006)
            size = rng.uniform(0.027, 0.036) * grow
            _slab(canvas, rng, x, foot, size, size * 0.55, walls[rng.integers(0, 5)])
            _gable(canvas, rng, x, foot - size * 0.55, size, roofs[rng.integers(0, 5)])
            if rng.random() < 0.7:
                _slab(canvas, rng, x + rng.uniform(-0.2, 0.2) * size, foot - size * 0.2, 0.0080, 0.0085, rgb("#ffd23f"))
        _paint_bushes(canvas, rng, rng.uniform(0.0, 0.78, 16), 0.690 + 0.025 * row)
    _paint_steeple(canvas, rng, 0.392)


def _paint_steeple(canvas, rng, x):
    """A church tower with a slender spire."""
    _slab(canvas, rng, x, 0.676, 0.032, 0.062, rgb("#46648f"))
    _slab(canvas, rng, x - 0.008, 0.676, 0.012, 0.060, rgb("#7f9db0"))
    lean = np.array([-0.013, 0.013, -0.008, 0.008, -0.004, 0.003])
    paths = np.stack([np.stack([np.linspace(x + s, x, 9), np.linspace(0.622, 0.500 + 0.5 * abs(s), 9)],
                               -1) for s in lean])
    shade = pigments("#101a44", "#101a44", "#2b447c", "#16265a", "#8fb0c4", "#3f5f92")
    lay(canvas, rng, paths, 0.0062, shade, shade * 1.2, tint=0.06, dry=0.2, taper=0.2)
    _slab(canvas, rng, x, 0.650, 0.0075, 0.012, rgb("#ffe27a"))


def _paint_bushes(canvas, rng, xs, foot):
    """Round shrubs, each a few short curls."""
    greens = pigments("#173a44", "#2c5a58", "#547c6a", "#86a388", "#122a4a", "#6d8a4a")
    for x in xs:
        y = foot + 0.022 * np.sin(x * 6.3 + 4.4) + rng.uniform(-0.008, 0.012)
        turn = np.sort(rng.uniform(np.pi, 2 * np.pi, 9))
        out = rng.uniform(0.35, 1.0, 9) * rng.uniform(0.013, 0.022)
        at = np.stack([x + out * np.cos(turn), y + 0.8 * out * np.sin(turn)], -1)
        shade = greens[rng.integers(0, 6, 9)]
        lay(canvas, rng, straight(at, turn + np.pi / 2, 0.020, 1.3), 0.0068, shade, greens[rng.integers(0, 6, 9)],
            dry=0.3)


def _slab(canvas, rng, x, y, across, down, colour):
    """A rectangle of a few level strokes, standing on ``y``."""
    count = max(1, round(down / 0.007))
    points = np.stack([np.full(count, x), y - np.linspace(0, down, count + 1)[:-1]], -1)
    shade = variety(rng, np.broadcast_to(colour, (count, 3)), 0.05)
    lay(canvas, rng, straight(points, np.zeros(count), across), 0.0085 if count > 1 else down, shade,
        variety(rng, shade, 0.08), dry=0, taper=0.05, body=1.2)


def _gable(canvas, rng, x, y, size, colour):
    """A roof: one broad stroke up each slope."""
    ends = np.array([[-0.60, 0.0], [0.60, 0.0]]) * size
    paths = np.stack([np.stack([np.linspace(x + e[0], x, 7), np.linspace(y, y - size * 0.42, 7)], -1) for e in ends])
    lay(canvas, rng, paths, size * 0.34, colour, colour * 1.25, dry=0, taper=0.1)


def _paint_cypress(canvas, plan, rng):
    """Upward strokes that lick outwards like flames; dark greens over brown and blue-black."""
    inside = _cypress(plan)
    x, y = plan.x, plan.y
    angle = -np.pi / 2 + 0.5 * np.sin(y * 21 + 4 * x) * np.sin((x - 0.86) * 34) + 0.6 * noise(x * 15, y * 8, 91)
    greens = pigments("#0b1420", "#12261f", "#1e3a2a", "#35522f", "#4a2c1c", "#6f7a3a", "#1a3058")
    chance = np.array([0.26, 0.24, 0.20, 0.10, 0.10, 0.05, 0.05])
    for spacing, length, width in ((0.0105, 0.085, 0.012), (0.0105, 0.055, 0.0078)):
        points = scatter(rng, 1, 0.82, spacing)
        points = points[look_up(plan, inside, points)]
        shade = greens[rng.choice(len(greens), len(points), p=chance)]
        second = greens[rng.choice(len(greens), len(points), p=chance)]
        lengths = length * rng.uniform(0.6, 1.15, len(points))
        lay(canvas, rng, follow(plan, angle, points, lengths), width * rng.uniform(0.7, 1.2, len(points)),
            shade, second, tint=0.06, dry=0.4, taper=0.85, body=1.3)


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=3)
    angle, phase = _sky_flow(plan)
    colour = _sky_colour(plan, phase)
    angle, colour = _land(plan, angle, colour)
    canvas = Canvas(easel, mix(rgb("#1a2148"), rgb("#4a4630"), 0.4 + 0.3 * fractal(easel.x, easel.y, 12, 3, 2)))
    _paint_sky(canvas, plan, rng, angle, colour)
    _paint_stars(canvas, rng)
    _paint_land(canvas, plan, rng, angle, colour)
    _paint_cypress(canvas, plan, rng)
    thickness = canvas.height + 0.00012 * canvas_weave(easel)
    picture = lit(canvas.colour, relief(easel, thickness, 1.6), depth=0.55, gloss=0.16)
    return easel.finish(picture)
