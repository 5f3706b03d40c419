"""A colour woodcut: a breaking wave with claws of foam, lesser swells, a boat, a far mountain.

Texture on offer: flat Prussian blues and cream inside dark swelling outlines, curved parallel
stripes, hatching engraved along the water, wood grain in every flat, small hooked foam.
"""

from __future__ import annotations

import numpy as np

from .drawing import Plate, between, normals, spline
from .easel import Easel, fractal, mix, noise, pigments, rgb, smoothstep

PROPORTIONS = (512, 352)
SEED = 1831

SKY, FOAM, PALE, MIDDLE, DEEP, LINE, OCHRE, RED, HAZE, SLATE = range(10)
INKS = pigments("#e6d3ae", "#f3ead2", "#a9c4c6", "#5583a3", "#1f3f74", "#14203f", "#c79a52", "#c9573f", "#b9b198",
                "#6f8494")


def _claw(rng, x, y, angle, length, hand, depth=2):
    """Discs of one hooked finger of foam, and of the lesser fingers on its back."""
    steps = max(7, int(14 * min(1, length / 0.03)))
    discs = []
    turn = angle - hand * 0.5
    for k in range(steps):
        u = k / steps
        discs.append((x, y, length * (0.17 * (1 - u) ** 0.8 + 0.022)))
        if depth and k in (steps // 4, (3 * steps) // 5):
            side = turn - hand * rng.uniform(0.7, 1.2)
            discs += _claw(rng, x, y, side, length * rng.uniform(0.48, 0.62), hand, depth - 1)
        turn += hand * (0.06 + 0.30 * u * u) * rng.uniform(0.8, 1.2) * 14 / steps
        x, y = x + np.cos(turn) * length / steps, y + np.sin(turn) * length / steps
    return discs


def _stamp(plate, discs):
    """One finger: outline, white, and a pale shadow on its lower side."""
    for x, y, r in discs:
        plate.disc(x, y, r + 0.0017, LINE)
    for x, y, r in discs:
        plate.disc(x, y, r, FOAM)
    for x, y, r in discs:
        if r > 0.0024:
            plate.disc(x + 0.30 * r, y + 0.42 * r, r * 0.42, PALE)


def _foam(plate, rng, curve, reach, spacing, hand, lean):
    """Fingers along a crest, each row overlapping the one before; ``lean`` turns them forward."""
    normal = normals(curve)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    for row, size in ((0, 1.0), (1, 0.72)):
        for s in np.arange(0, along[-1], spacing * (1 if row == 0 else 0.8)):
            k = int(np.searchsorted(along, s + rng.uniform(0, 0.6) * spacing).clip(0, len(curve) - 1))
            length = reach * size * rng.uniform(0.65, 1.2) * (0.55 + 0.45 * np.sin(np.pi * k / len(curve)))
            angle = np.arctan2(normal[k, 1], normal[k, 0]) + lean + rng.normal(0, 0.3)
            base = curve[k] - normal[k] * reach * (0.15 + 0.35 * row)
            _stamp(plate, _claw(rng, *base, angle, length, hand))


def _stripes(plate, rng, first, second, count, inks, start=0.0, stop=1.0):
    """Tapered bands and engraved lines of the family between two curves."""
    s = np.linspace(0, 1, len(first))
    edges = np.linspace(0.02, 0.98, count + 1) + rng.normal(0, 0.12 / count, count + 1)
    for k in range(count):
        low, high = rng.uniform(0.0, 0.16) * (stop - start) + start, stop - rng.uniform(0.0, 0.2) * (stop - start)
        part = np.clip((s - low) / (high - low), 0, 1)
        swell = np.sin(np.pi * part) ** 0.45 * ((s >= low) & (s <= high))
        sway = 0.10 / count * np.sin(s * rng.uniform(6, 14) + rng.uniform(0, 6))
        middle, half = (edges[k] + edges[k + 1]) / 2 + sway, 0.5 * (edges[k + 1] - edges[k]) * rng.uniform(0.75, 1.15)
        keep = swell > 0
        if keep.sum() < 4:
            continue
        lower, upper = between(first, second, middle - half * swell)[keep], between(first, second,
            middle + half * swell)[keep]
        ink = inks[k % len(inks)]
        plate.fill(np.vstack([lower, upper[::-1]]), ink)
        plate.line(lower, 0.0016, LINE)
        plate.line(upper, 0.0022, LINE)
        hatch = LINE if ink in (MIDDLE, PALE) else MIDDLE
        for q in np.linspace(-0.6, 0.6, 4 if ink == MIDDLE else 2):
            a = rng.uniform(0, 0.3)
            inner = between(first, second, middle + q * half * swell)[keep]
            cut = slice(int(a * len(inner)), int((a + rng.uniform(0.4, 0.7)) * len(inner)))
            if len(inner[cut]) > 4:
                plate.line(inner[cut], 0.0013, hatch, ends=0.1)


def _sky(plate, rng):
    """Horizontal cuts, dense at the top and near the horizon; a sun and banks of cloud."""
    plate.disc(0.735, 0.185, 0.078, RED)
    for y in np.arange(0.006, 0.50, 0.0067):
        dark = max(0.0, 1 - y / 0.16) + max(0.0, (y - 0.24) / 0.26)
        x = -0.02
        while x < 1.02:
            run = rng.uniform(0.10, 0.32)
            xs = np.linspace(x, x + run, 24)
            curve = np.stack([xs, y + 0.0022 * np.sin(xs * 17 + y * 31) + 0.0012 * np.sin(xs * 53 + y * 90)], -1)
            width = 0.0007 + 0.0044 * dark * rng.uniform(0.75, 1.1)
            plate.line(curve, width, SLATE if dark > 0.42 else HAZE, ends=0.2)
            x += run * rng.uniform(0.92, 1.15)
    for cx, cy, length in ((0.66, 0.285, 0.30), (0.90, 0.335, 0.26), (0.60, 0.105, 0.16), (0.93, 0.115, 0.20),
                           (0.10, 0.10, 0.20)):
        _cloud(plate, rng, cx, cy, length)


def _cloud(plate, rng, cx, cy, length):
    """A flat bank of cloud with rounded lobes, outlined."""
    lobes = [(cx + length * f, cy + rng.uniform(-0.006, 0.006), 0.0105 * (1.25 - abs(f) * 1.9) + 0.003)
             for f in np.linspace(-0.5, 0.5, 17) + rng.normal(0, 0.02, 17)]
    bar = spline([(cx - length * 0.56, cy + 0.006), (cx, cy + 0.003), (cx + length * 0.56, cy + 0.006)], 30)
    for grow, ink in ((0.0017, SLATE), (0.0, FOAM)):
        for x, y, r in lobes:
            plate.disc(x, y, r + grow, ink)
        plate.line(bar, 0.013 + 2 * grow, ink, ends=0.1)
    for shift in (0.002, 0.006):
        plate.line(bar + np.array([rng.uniform(-0.01, 0.01), shift]), 0.0016, HAZE, ends=0.1)


def _mountain(plate, rng):
    """A far cone with snow running down in tongues."""
    left = spline([(0.555, 0.485), (0.625, 0.445), (0.672, 0.385), (0.690, 0.362)], 40)
    right = spline([(0.712, 0.362), (0.732, 0.388), (0.785, 0.447), (0.875, 0.490)], 40)
    body = np.vstack([left, right])
    plate.fill(body, SLATE)
    tips = np.linspace(0.648, 0.755, 12)
    tongue = [(x, 0.408 + (0.020 if k % 2 else -0.004) + 0.22 * abs(x - 0.70)) for k, x in enumerate(tips)]
    plate.fill(np.vstack([left[left[:, 1] < 0.420], right[right[:, 1] < 0.420], np.array(tongue)[::-1]]), FOAM)
    for k in range(15):
        x0 = 0.702 + (k - 7) * 0.002
        x1 = 0.702 + (k - 7) * 0.021 + rng.normal(0, 0.004)
        start = rng.uniform(0.25, 0.6)
        way = np.linspace(start, 1, 14)
        plate.line(np.stack([x0 + (x1 - x0) * way**1.25, 0.366 + 0.118 * way], -1), 0.0018, DEEP if k % 2 else LINE,
                   ends=0.05)
    plate.line(left, 0.0026, LINE, ends=0.5)
    plate.line(right, 0.0026, LINE, ends=0.5)


def _great_wave(plate, rng):
    """The breaking wave: striped hollow, cap of foam, claws on edge and lip, spray."""
    back = spline([(-0.04, 0.60), (0.02, 0.43), (0.10, 0.25), (0.21, 0.125), (0.335, 0.085), (0.45, 0.120),
                   (0.535, 0.225)], 160)
    face = spline([(0.56, 0.70), (0.42, 0.60), (0.352, 0.48), (0.345, 0.365), (0.385, 0.280), (0.455, 0.232),
                   (0.535, 0.225)], 160)
    plate.fill(np.vstack([back, face[::-1]]), DEEP)
    _stripes(plate, rng, face, back, 17, (MIDDLE, PALE, DEEP, MIDDLE, FOAM, DEEP), stop=0.97)
    plate.line(face, 0.0045, LINE, ends=0.5)
    edge = between(back, face, 0.07 + 0.42 * np.linspace(0, 1, 160) ** 1.1)
    cap = slice(26, 160)
    plate.fill(np.vstack([back[cap], edge[cap][::-1]]), FOAM)
    for t in (0.25, 0.5, 0.75):
        plate.line(between(back[cap], edge[cap], t)[int(rng.uniform(0, 30)):], 0.0022, PALE, ends=0.05)
    plate.line(back, 0.0040, LINE, ends=0.5)
    _foam(plate, rng, between(back, edge, 0.55)[30:120], 0.055, 0.042, 1, 0.25)
    _foam(plate, rng, edge[26:], 0.070, 0.030, 1, 0.25)
    lip = spline([(0.40, 0.103), (0.475, 0.140), (0.530, 0.205), (0.548, 0.262)], 60)
    _foam(plate, rng, lip[::-1], 0.075, 0.026, 1, np.pi + 0.3)
    _foam(plate, rng, lip, 0.066, 0.026, 1, -0.3)
    for _ in range(170):
        r, turn = 0.05 + abs(rng.normal(0, 0.085)), rng.uniform(-0.5, 1.9)
        size = rng.uniform(0.0012, 0.0040)
        x, y = 0.535 + r * np.cos(turn), 0.225 + r * np.sin(turn)
        plate.disc(x, y, size + 0.0011, LINE if size > 0.0026 else SLATE)
        plate.disc(x, y, size, FOAM)


def _swell(plate, rng, crest, foot, count, inks, foam, spacing, parts=((0, 1),), hand=1):
    """A body of water below a crest, striped along it, with foam on parts of the crest."""
    crest, foot = spline(crest, 200), spline(foot, 200)
    plate.fill(np.vstack([crest, foot[::-1]]), DEEP)
    _stripes(plate, rng, crest, foot, count, inks)
    plate.line(crest, 0.0040, LINE, ends=0.6)
    for low, high in parts:
        part = crest[int(low * 199) : int(high * 199) + 1]
        under = part + np.stack([np.zeros(len(part)), foam * (0.5 + 0.25 * np.sin(np.linspace(0, 19, len(part))))], -1)
        plate.fill(np.vstack([part, under[::-1]]), FOAM)
        plate.line(part, 0.0036, LINE, ends=0.6)
        _foam(plate, rng, under, foam, spacing, hand, 0.1)
        _foam(plate, rng, part[::-1], foam * 0.55, spacing * 1.3, -hand, 0.0)


def _boat(plate, rng):
    """A long skiff lying in the trough, its crew bent low."""
    deck = spline([(0.585, 0.575), (0.68, 0.560), (0.80, 0.530), (0.915, 0.462)], 80)
    keel = spline([(0.585, 0.575), (0.69, 0.602), (0.82, 0.572), (0.915, 0.462)], 80)
    plate.fill(np.vstack([deck, keel[::-1]]), OCHRE)
    for t in (0.3, 0.6, 0.85):
        plate.line(between(deck, keel, t), 0.0018, LINE)
    for x, y in deck[14:60:6]:
        plate.disc(x, y - 0.004, 0.0102, LINE)
        plate.disc(x, y - 0.004, 0.0085, MIDDLE if rng.random() < 0.6 else DEEP)
        plate.disc(x - 0.006, y - 0.012, 0.0052, LINE)
        plate.disc(x - 0.006, y - 0.012, 0.0039, SKY)
    plate.line(deck, 0.0036, LINE, ends=0.5)
    plate.line(keel, 0.0042, LINE, ends=0.5)


def _sea(plate, rng):
    """All water, from the horizon to the lower edge."""
    for k, y in enumerate((0.468, 0.490, 0.512)):
        xs = np.linspace(-0.02, 1.02, 60)
        crest = np.stack([xs, y + 0.006 * np.sin(xs * (34 - 6 * k) + 2 * k)], -1)
        _swell(plate, rng, crest[::6], crest[::6] + np.array([0, 0.20]), 9, (MIDDLE, PALE, DEEP), 0, 1, ())
    _great_wave(plate, rng)
    _boat(plate, rng)
    _swell(plate, rng, [(0.43, 0.62), (0.58, 0.615), (0.72, 0.600), (0.84, 0.545), (0.93, 0.455), (1.03, 0.345)],
           [(0.43, 0.70), (0.60, 0.75), (0.75, 0.77), (0.90, 0.75), (1.02, 0.70), (1.12, 0.62)], 10,
           (MIDDLE, DEEP, PALE, DEEP, FOAM), 0.038, 0.026, ((0.05, 0.45), (0.62, 1)))
    _swell(plate, rng, [(-0.03, 0.61), (0.09, 0.575), (0.19, 0.515), (0.262, 0.452), (0.315, 0.520), (0.40, 0.590),
                        (0.55, 0.640), (0.75, 0.655)],
           [(-0.03, 0.72), (0.10, 0.74), (0.20, 0.76), (0.28, 0.78), (0.36, 0.79), (0.45, 0.78), (0.60, 0.76),
            (0.75, 0.74)], 9,
           (DEEP, PALE, MIDDLE, FOAM, DEEP), 0.042, 0.026, ((0.10, 0.95),))
    _swell(plate, rng, [(-0.03, 0.655), (0.15, 0.640), (0.35, 0.668), (0.55, 0.640), (0.75, 0.655), (0.90, 0.625),
                        (1.03, 0.640)],
           [(-0.03, 0.75), (0.15, 0.74), (0.35, 0.76), (0.55, 0.74), (0.75, 0.75), (0.90, 0.73), (1.03, 0.74)], 5,
           (PALE, DEEP, MIDDLE), 0.032, 0.026, ((0.0, 0.3), (0.45, 0.7), (0.8, 1)))


def _printed(easel, inks):
    """Ink on paper: grain of the block, mottling of the rubbing pad, fibres and a little fading."""
    x, y = easel.x, easel.y
    rings = y * 46 + 2.6 * noise(x * 2.2, y * 5, 11) + 0.5 * noise(x * 11, y * 30, 12)
    grain = np.sin(rings * 2 * np.pi) * 0.5 + 0.6 * noise(x * 14, y * 260, 13)
    mottle = fractal(x, y, 28, 4, 17, gain=0.65)
    fibre = noise(x * 240, y * 60, 19) + noise(x * 60, y * 240, 23)
    picture = INKS[inks]
    # Deep flats show the paper through the grain, light ones only a stain.
    show = np.array([0.10, 0.05, 0.16, 0.17, 0.15, 0.07, 0.18, 0.20, 0.18, 0.20], np.float32)[inks]
    picture = mix(picture, rgb("#e9dcc0"), np.clip(show * (0.55 + 0.8 * grain + 1.3 * mottle), 0, 0.6))
    dusk = smoothstep(0.10, 0.50, y) * (inks == SKY) * 0.22
    picture = mix(picture, rgb("#a79c86"), dusk)
    warm = 1 + 0.045 * fractal(x, y, 5, 3, 29)
    picture = picture * warm[..., None] * np.array([1.0, 0.995, 0.98], np.float32)
    return picture * (1 + 0.035 * fibre[..., None] + 0.03 * mottle[..., None])


def paint(size: int) -> np.ndarray:
    """The finished print as bytes."""
    rng = np.random.default_rng(SEED)
    easel = Easel(PROPORTIONS, size, oversample=3)
    plate = Plate(easel, SKY)
    _sky(plate, rng)
    _mountain(plate, rng)
    _sea(plate, rng)
    return easel.finish(_printed(easel, plate.array(tremble=0.0010, seed=37)))
