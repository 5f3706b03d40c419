"""A free abstraction: stained patches of colour, circles, wedges, grids and whips of black line.

Texture on offer: soft watercolour stains with dark rims beside opaque brushed shapes, many hues at
equal strength, thin and thick black lines, combs and chequers.
"""

from __future__ import annotations

import numpy as np

from .brush import Canvas, follow, lay, look_up, scatter, straight, variety
from .drawing import Plate, spline
from .easel import Easel, canvas_weave, fractal, lit, mix, noise, pigments, relief, rgb, smoothstep, study

PROPORTIONS = (512, 392)
SEED = 1913

STAINS = pigments("#f2c23a", "#e4572a", "#3f6fb8", "#7aa85a", "#e88aa0", "#8a5aa8", "#5ab0b8", "#c8382e", "#f3e3b4",
                  "#2f4a86", "#e99a3a", "#a8c8d8")
BRIGHT = pigments("#d8281f", "#f4bf1e", "#1f4fa8", "#2f8a4a", "#6f2f7a", "#f07a1c", "#f6ecd4", "#1d1b22", "#4fb0c8",
                  "#e8789a")


def _stains(easel: Easel, rng) -> np.ndarray:
    """Wet patches flowing into each other: every one a warped blob with a rim and a pale heart."""
    x, y = easel.x, easel.y
    wx = x + 0.055 * fractal(x, y, 4, 4, 11) + 0.006 * noise(x * 40, y * 40, 13)
    wy = y + 0.055 * fractal(x, y, 4, 4, 17) + 0.006 * noise(x * 40, y * 40, 19)
    picture = np.empty((*x.shape, 3), np.float32)
    picture[:] = rgb("#f0e4c6")
    pool = fractal(x, y, 13, 4, 23, gain=0.65)
    places = scatter(rng, 1, easel.height, 0.135, margin=0.06)
    for k, (cx, cy) in enumerate(places):
        turn, long, wide = rng.uniform(0, np.pi), rng.uniform(0.08, 0.19), rng.uniform(0.045, 0.10)
        stain, body = STAINS[(k * 5 + rng.integers(0, 3)) % len(STAINS)], rng.uniform(0.45, 0.9)
        # Only the neighbourhood that the warped blob can reach is worked on.
        rows, columns = (slice(max(0, int((c - long - 0.09) * easel.scale)),
                               max(1, int((c + long + 0.09) * easel.scale)))
                         for c in (cy, cx))
        here = rows, columns
        dx, dy = wx[here] - cx, wy[here] - cy
        a, b = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        r = np.sqrt((a / long) ** 2 + (b / wide) ** 2)
        inside = smoothstep(1.03, 0.95, r)
        rim = np.exp(-(((1 - r) / 0.07) ** 2)) * (r < 1.03)
        strength = inside * np.clip(0.50 + 0.30 * pool[here] + 0.22 * (r - 0.5), 0, 1) + 0.30 * rim * inside
        # Thin stains multiply with what lies below, thick ones cover it.
        glaze = picture[here] * mix(np.ones(3, np.float32), stain, np.minimum(1.25 * strength, 1))
        cover = mix(picture[here], stain, 0.95 * strength)
        picture[here] = glaze * (1 - body) + cover * body
    return picture


def _brushed(canvas, rng, plan, colour):
    """Dabs that pick the stains up again, so that the ground is oil as well as water."""
    angle = 3.0 * fractal(plan.x, plan.y, 2.6, 2, 29)
    for spacing, length, width, share in ((0.020, 0.050, 0.0145, 0.55), (0.015, 0.034, 0.0085, 0.50)):
        points = scatter(rng, 1, plan.height, spacing)
        urge = look_up(plan, noise(plan.x * 5, plan.y * 5, 31), points) + rng.normal(0, 0.25, len(points))
        points = points[urge > 0.5 - share]
        first = variety(rng, look_up(plan, colour, points), 0.055)
        second = variety(rng, look_up(plan, colour, points + rng.normal(0, 0.02, points.shape)), 0.08)
        lay(canvas, rng, follow(plan, angle, points, length * rng.uniform(0.5, 1.2, len(points))),
            width * rng.uniform(0.6, 1.2, len(points)),
            first, second, tint=0.05, dry=0.9, body=0.6, taper=0.4, streak=0.8)


def _fill(canvas, rng, outline, first, second, angle=0.0, spacing=0.0085, seen=None):
    """Brush one opaque shape: strokes along one direction, clipped to its outline, two pigments."""
    easel = canvas.easel
    plate = Plate(easel, 0)
    plate.fill(outline, 1)
    inside = np.asarray(plate.image)
    outline = np.asarray(outline)
    low, high = outline.min(0), outline.max(0)
    canvas.colour[inside == 1] = mix(first, second, 0.4)
    points = scatter(rng, *(high - low), spacing) + low
    along = ((points - low) @ np.array([np.cos(angle + 1.2), np.sin(angle + 1.2)])) / (np.hypot(*(high - low)) + 1e-6)
    blend = np.clip(along * 1.5 - 0.15 + rng.normal(0, 0.14, len(points)), 0, 1)
    colour = mix(first, second, blend)
    turn = angle + rng.normal(0, 0.18, len(points))
    lay(canvas, rng, straight(points, turn, rng.uniform(0.018, 0.040, len(points))),
        rng.uniform(0.6, 1.2, len(points)) * spacing * 1.15,
        variety(rng, colour, 0.04), variety(rng, colour, 0.08), tint=0.05, dry=0.5, body=0.8, taper=0.2,
        territory=(inside, np.ones(len(points), np.uint8)))


def _ring(x, y, radius, count=48, squash=1.0, turn=0.0):
    """The outline of an ellipse."""
    t = np.linspace(0, 2 * np.pi, count)
    a, b = radius * np.cos(t), radius * squash * np.sin(t)
    return np.stack([x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)], -1)


def _line(canvas, rng, points, width, colour="#16141a", dry=0.35, taper=0.75):
    """One brushed line through some points."""
    curve = spline(points, max(12, 9 * len(points)))
    lay(canvas, rng, curve[None], width, rgb(colour)[None], variety(rng, rgb(colour)[None], 0.10), tint=0.05, dry=dry,
        body=0.9, taper=taper)


def _targets(canvas, rng):
    """Circles within circles, each with its own halo."""
    discs = ((0.215, 0.205, 0.092, (9, 4, 2, 1, 7)), (0.735, 0.150, 0.060, (3, 1, 0, 6)),
             (0.560, 0.415, 0.050, (2, 6, 0, 7)), (0.865, 0.455, 0.070, (5, 8, 4, 1, 0)),
             (0.120, 0.560, 0.055, (0, 5, 1, 2)), (0.385, 0.650, 0.046, (8, 2, 6, 7)), (0.640, 0.655, 0.034, (4, 1, 0)),
             (0.455, 0.120, 0.030, (7, 0, 1)), (0.930, 0.230, 0.026, (2, 1)),
             (0.315, 0.430, 0.024, (1, 0)), (0.750, 0.320, 0.020, (6, 7)), (0.520, 0.560, 0.016, (0,)),
             (0.060, 0.370, 0.022, (8, 7)))
    for x, y, radius, tones in discs:
        for k, tone in enumerate(tones):
            r = radius * (1 - k / (len(tones) + 0.35))
            shift = 0.10 * radius * rng.normal(0, 1, 2) * (k > 0)
            _fill(canvas, rng, _ring(x + shift[0], y + shift[1], r, squash=rng.uniform(0.92, 1.05)), BRIGHT[tone],
                  mix(BRIGHT[tone], STAINS[rng.integers(0, 12)], 0.45),
                  rng.uniform(0, 3.1), spacing=max(0.0045, min(0.0085, r * 0.30)))
        if radius > 0.03:
            arc = _ring(x, y, radius * 1.06)[rng.integers(0, 12) : rng.integers(30, 46)]
            _line(canvas, rng, arc[::4], 0.0040)


def _wedges(canvas, rng):
    """Long triangles and sickles that cut through the picture."""
    wedges = (([(0.02, 0.735), (0.335, 0.300), (0.085, 0.755)], 1, 5, -0.95),
              ([(0.98, 0.02), (0.600, 0.335), (0.985, 0.105)], 2, 8, 2.4),
              ([(0.410, 0.02), (0.520, 0.330), (0.475, 0.02)], 0, 5, 1.3),
              ([(0.680, 0.745), (0.800, 0.480), (0.770, 0.750)], 3, 1, -1.2),
              ([(0.03, 0.06), (0.150, 0.330), (0.085, 0.045)], 4, 9, 1.1),
              ([(0.985, 0.600), (0.700, 0.560), (0.985, 0.660)], 0, 5, 0.05),
              ([(0.255, 0.745), (0.300, 0.560), (0.330, 0.752)], 8, 2, 1.5),
              ([(0.565, 0.215), (0.690, 0.250), (0.640, 0.290)], 7, 4, 0.3),
              ([(0.430, 0.470), (0.500, 0.745), (0.540, 0.730)], 6, 1, 1.3))
    for outline, a, b, angle in wedges:
        _fill(canvas, rng, outline, BRIGHT[a], BRIGHT[b], angle)
        p = np.array(outline)
        _line(canvas, rng, [p[0], (p[0] + p[1]) / 2, p[1]], 0.0036)
    for (x, y), size, turn, tones in (((0.335, 0.270), 0.115, 0.6, (2, 8)), ((0.800, 0.605), 0.105, 3.6, (4, 9)),
                                      ((0.155, 0.420), 0.080, 5.0, (5, 1)), ((0.640, 0.520), 0.085, 1.9, (3, 1))):
        t = np.linspace(-1.25, 1.25, 24)
        outer = np.stack([np.cos(t + turn), np.sin(t + turn)], -1) * size
        inner = np.stack([np.cos(t + turn), np.sin(t + turn)], -1) * size * (1 - 0.34 * np.cos(t * 1.25) ** 1.0)[:,
            None]
        _fill(canvas, rng, np.vstack([outer, inner[::-1]]) + np.array([x, y]), BRIGHT[tones[0]], BRIGHT[tones[1]],
              turn + 1.57)
        _line(canvas, rng, (outer + np.array([x, y]))[::4], 0.0046)


def _grids(canvas, rng):
    """Chequered fields and combs of parallel lines, leaning."""
    for (x, y), turn, cell, (nx, ny), tones in (((0.560, 0.060), 0.25, 0.0190, (6, 4), (7, 6, 0)),
                                                ((0.045, 0.640), -0.45, 0.0170, (5, 4), (6, 2, 1)),
                                                ((0.880, 0.325), 0.9, 0.0165, (4, 5), (7, 6, 5)),
                                                ((0.405, 0.335), -0.25, 0.0150, (5, 3), (4, 1, 6))):
        u, v = np.array([np.cos(turn), np.sin(turn)]) * cell, np.array([-np.sin(turn), np.cos(turn)]) * cell
        for i in range(nx):
            for j in range(ny):
                corner = np.array([x, y]) + i * u + j * v
                tone = BRIGHT[tones[(i + j) % 2]] if rng.random() < 0.85 else BRIGHT[tones[2]]
                _fill(canvas, rng, [corner, corner + u, corner + u + v, corner + v], tone,
                      mix(tone, STAINS[rng.integers(0, 12)], 0.3), turn, spacing=0.0065)
    for (x, y), turn, count, gap, length in (((0.300, 0.090), 0.5, 7, 0.0095, 0.085),
                                             ((0.690, 0.440), -0.7, 9, 0.0085, 0.075),
                                             ((0.160, 0.690), 0.15, 8, 0.0090, 0.080),
                                             ((0.930, 0.560), 1.9, 7, 0.0085, 0.070),
                                             ((0.480, 0.250), 1.1, 6, 0.0090, 0.065),
                                             ((0.590, 0.600), 0.3, 6, 0.0080, 0.055)):
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        for k in range(count):
            start = np.array([x, y]) + across * gap * k + along * rng.normal(0, 0.004)
            reach = length * (0.65 + 0.35 * np.sin(np.pi * (k + 0.5) / count))
            _line(canvas, rng, [start, start + along * reach * 0.5 + across * 0.003, start + along * reach], 0.0034,
                  ("#16141a", "#16141a", "#8a1f1c", "#1f3a7a")[k % 4])


def _whips(canvas, rng):
    """Long black lines that carry the rhythm, and rainbow arcs riding on two of them."""
    whips = (([(0.02, 0.480), (0.200, 0.390), (0.420, 0.420), (0.640, 0.300), (0.985, 0.180)], 0.0085),
             ([(0.120, 0.030), (0.260, 0.330), (0.480, 0.520), (0.830, 0.745)], 0.0065),
             ([(0.030, 0.270), (0.130, 0.225), (0.205, 0.275), (0.275, 0.190), (0.365, 0.245), (0.435, 0.155),
               (0.520, 0.200)], 0.0052),
               ([(0.600, 0.750), (0.700, 0.610), (0.690, 0.500), (0.800, 0.400), (0.790, 0.250), (0.890, 0.110)],
                0.0056),
             ([(0.340, 0.745), (0.450, 0.590), (0.600, 0.560), (0.720, 0.610), (0.850, 0.540), (0.980, 0.560)], 0.0046),
             ([(0.020, 0.170), (0.350, 0.030)], 0.0040), ([(0.075, 0.610), (0.330, 0.485)], 0.0044),
             ([(0.660, 0.040), (0.985, 0.330)], 0.0042),
             ([(0.500, 0.755), (0.560, 0.020)], 0.0032),
             ([(0.220, 0.640), (0.250, 0.600), (0.240, 0.560), (0.290, 0.540), (0.280, 0.500), (0.340, 0.500)], 0.0046))
    for k, centre in enumerate(((0.300, 0.560), (0.660, 0.215))):
        for j, tone in enumerate((0, 5, 1, 3, 8, 2)):
            t = np.linspace(np.pi * 1.05, np.pi * 1.85, 20) + k * 0.5
            r = 0.115 - 0.0085 * j
            arc = np.stack([centre[0] + r * np.cos(t), centre[1] + r * np.sin(t)], -1)
            lay(canvas, rng, arc[None], 0.0088, BRIGHT[tone][None], STAINS[rng.integers(0, 12, 1)], tint=0.06, dry=0.6,
                body=0.9, taper=0.5, streak=0.4)
    for points, width in whips:
        _line(canvas, rng, points, width)
    for _ in range(46):
        start, turn = rng.uniform((0.03, 0.03), (0.97, 0.73)), rng.uniform(0, 2 * np.pi)
        bend, reach = rng.normal(0, 1.1), rng.uniform(0.012, 0.050)
        path = straight(start[None], np.array([turn]), reach, bend)
        tone = ("#16141a", "#16141a", "#f6ecd4", "#c8281f", "#1f3f8a")[rng.integers(0, 5)]
        lay(canvas, rng, path, rng.uniform(0.0030, 0.0065), rgb(tone)[None], tint=0.06, dry=0.4, body=0.9, taper=0.8)


def paint(size: int) -> np.ndarray:
    """The finished picture as bytes."""
    rng = np.random.default_rng(SEED)
    plan, easel = study(PROPORTIONS), Easel(PROPORTIONS, size, oversample=2)
    ground = _stains(easel, np.random.default_rng(SEED + 1))
    colour = _stains(plan, np.random.default_rng(SEED + 1))
    canvas = Canvas(easel, ground)
    _brushed(canvas, rng, plan, colour)
    _wedges(canvas, rng)
    _targets(canvas, rng)
    _grids(canvas, rng)
    _whips(canvas, rng)
    weave = canvas_weave(easel)
    light = relief(easel, canvas.height + 0.00022 * weave, 1.2)
    tooth = 1 + 0.05 * fractal(easel.x, easel.y, 90, 3, 41)
    return easel.finish(lit(canvas.colour * tooth[..., None], light, depth=0.42, gloss=0.08))
