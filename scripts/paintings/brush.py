"""The brush: curved strokes with bristles, laid wet on an oversampled canvas.

A stroke is a ribbon along a path.  It is sampled densely (along the path and across the hair of
the brush) and every sample is set down on its pixel, later strokes covering earlier ones.  The
bristles carry two pigments, leave ridges in a height map, and run dry towards the end.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .easel import Easel

_ALONG, _ACROSS, _KINDS = 96, 40, 48  # the bank of bristle patterns


def _bristle_bank() -> np.ndarray:
    """Patterns of hairs: fine across the stroke, long along it; -1 to 1."""
    rng = np.random.default_rng(20260101)
    fine = ndimage.gaussian_filter(rng.standard_normal((_KINDS, _ALONG, _ACROSS)), (0, 14, 0.7), mode="wrap")
    broad = ndimage.gaussian_filter(rng.standard_normal((_KINDS, _ALONG, _ACROSS)), (0, 9, 3.5), mode="wrap")
    grain = ndimage.gaussian_filter(rng.standard_normal((_KINDS, _ALONG, _ACROSS)), (0, 2, 0.6), mode="wrap")
    bank = fine / fine.std() + 0.8 * broad / broad.std() + 0.3 * grain / grain.std()
    return np.clip(bank / (2.2 * bank.std()), -1, 1).astype(np.float32)


_BANK = _bristle_bank()


class Canvas:
    """Colour and thickness of the paint at every oversampled pixel."""

    def __init__(self, easel: Easel, ground: np.ndarray):
        self.easel = easel
        self.colour = np.empty((easel.rows, easel.columns, 3), np.float32)
        self.colour[:] = ground
        self.height = np.zeros((easel.rows, easel.columns), np.float32)


def scatter(rng, width: float, height: float, spacing: float, margin: float = 0.02) -> np.ndarray:
    """Evenly spread points in random order: a jittered hexagonal grid, shuffled."""
    ys = np.arange(-margin, height + margin, spacing * 0.866)
    xs = np.arange(-margin, width + margin, spacing)
    gx, gy = np.meshgrid(xs, ys)
    gx = gx + (np.arange(len(ys)) % 2)[:, None] * spacing / 2
    points = np.stack([gx.ravel(), gy.ravel()], -1)
    points = points + rng.uniform(-0.5, 0.5, points.shape) * spacing
    return points[rng.permutation(len(points))]


def look_up(plan: Easel, field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of a planned field (rows x columns, perhaps x channels) under some points."""
    column = np.clip((points[..., 0] * plan.scale).astype(int), 0, plan.columns - 1)
    row = np.clip((points[..., 1] * plan.scale).astype(int), 0, plan.rows - 1)
    return field[row, column]


def follow(plan: Easel, angle: np.ndarray, start: np.ndarray, length, knots: int = 12) -> np.ndarray:
    """Paths through ``start`` along an orientation field, half of each to either side.

    ``angle`` is in radians on the plan's grid; opposite directions count as the same, so a path
    never turns back where the field flips sign.  Returns points x knots x 2.
    """
    half = knots // 2
    step = (np.broadcast_to(np.asarray(length, float), (len(start),)) / (2 * half))[:, None]
    sides = []
    for sign in (-1.0, 1.0):
        here, before, trail = start.copy(), None, []
        for _ in range(half):
            a = look_up(plan, angle, here)
            direction = np.stack([np.cos(a), np.sin(a)], -1)
            if before is None:
                direction = direction * sign
            else:
                agree = (direction * before).sum(-1, keepdims=True)
                direction = np.where(agree < 0, -direction, direction)
                direction = 0.65 * direction + 0.35 * before
                direction /= np.sqrt((direction**2).sum(-1, keepdims=True)) + 1e-9
            here = here + direction * step
            trail.append(here)
            before = direction
        sides.append(trail)
    return np.stack(sides[0][::-1] + [start] + sides[1], axis=1)


def straight(start: np.ndarray, angle: np.ndarray, length, bend=0.0, knots: int = 9) -> np.ndarray:
    """Straight or evenly bent paths centred on ``start``; ``bend`` is the turn in radians."""
    length = np.broadcast_to(np.asarray(length, float), (len(start),))
    bend = np.broadcast_to(np.asarray(bend, float), (len(start),))
    t = np.linspace(-0.5, 0.5, knots)
    a = angle[:, None] + bend[:, None] * t
    step = (length / (knots - 1))[:, None]
    path = np.stack([np.cumsum(np.cos(a) * step, 1), np.cumsum(np.sin(a) * step, 1)], -1)
    return path - path[:, knots // 2 : knots // 2 + 1] + start[:, None]


def variety(rng, colours, spread=0.05):
    """Every load of the brush differs a little in value and in warmth."""
    count = len(colours)
    value = rng.normal(0, spread, (count, 1))
    warmth = rng.normal(0, spread * 0.55, (count, 1)) * np.array([1.0, 0.1, -1.0])
    return np.clip(colours * (1 + value * 1.4) + value * 0.35 + warmth, 0, 1).astype(np.float32)


def _ribbon(canvas: Canvas, paths, half, taper: float):
    """Positions of all samples of some strokes, with their coordinates along and across."""
    scale = canvas.easel.scale
    segments = np.diff(paths, axis=1)
    steps = np.sqrt((segments**2).sum(-1))
    lengths = steps.sum(1)
    # Knots may be spaced unevenly; the widest gap decides, or the stroke would show holes.
    count_u = max(4, int(steps.max() * (paths.shape[1] - 1) * scale * 1.2) + 2)
    count_v = max(3, int(half.max() * 2 * scale * 1.4) + 2)
    u = np.linspace(0, 1, count_u, dtype=np.float32)
    v = np.linspace(-1, 1, count_v, dtype=np.float32)
    knot = u * (paths.shape[1] - 1)
    k = np.minimum(knot.astype(int), paths.shape[1] - 2)
    f = (knot - k)[None, :, None]
    tangent = np.gradient(paths, axis=1)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], -1)
    normal /= np.sqrt((normal**2).sum(-1, keepdims=True)) + 1e-12
    centre = (paths[:, k] * (1 - f) + paths[:, k + 1] * f).astype(np.float32)
    normal = (normal[:, k] * (1 - f) + normal[:, k + 1] * f).astype(np.float32)
    profile = 1 - taper * np.abs(2 * u - 1) ** 3
    spread = (half[:, None] * profile).astype(np.float32)[:, :, None] * v
    return centre[:, :, None] + normal[:, :, None] * spread[..., None], u, v, lengths


def lay(canvas: Canvas, rng, paths, widths, colours, seconds=None, *, tint=0.06, streak=0.6,
        dry=0.25, body=1.0, taper=0.3, territory=None) -> None:
    """Paint strokes in order.

    ``colours`` and ``seconds`` are the two pigments on the brush, ``streak`` how separate they
    stay, ``tint`` how much the bristles vary the value, ``dry`` how soon the paint runs out,
    ``body`` the thickness of the paint, ``taper`` how much the ends narrow.  ``territory``,
    a map of numbers and one number per stroke, keeps every stroke within its own region.
    """
    count = len(paths)
    if not count:
        return
    widths = np.broadcast_to(np.asarray(widths, float), (count,))
    colours = np.broadcast_to(colours, (count, 3)).astype(np.float32)
    seconds = colours if seconds is None else np.broadcast_to(seconds, (count, 3)).astype(np.float32)
    kind = rng.integers(0, _KINDS, (count, 2))
    shift = rng.integers(0, _ALONG, count)
    # Few strokes at a time bound the memory; the order of painting stays the given one.
    lengths = np.sqrt((np.diff(paths, axis=1) ** 2).sum(-1)).sum(1)
    area = float(lengths.max() * widths.max()) * canvas.easel.scale**2 * 2 + 50
    batch = int(np.clip(3e6 / area, 1, 300))
    for first in range(0, count, batch):
        part = slice(first, first + batch)
        _lay_batch(canvas, paths[part], widths[part] / 2, colours[part], seconds[part], kind[part],
                   shift[part], (tint, streak, dry, body, taper),
                   None if territory is None else (territory[0], territory[1][part]))


def _lay_batch(canvas, paths, half, colours, seconds, kind, shift, manner, territory) -> None:
    """Paint a few strokes: find what stays visible of them, then colour only that."""
    tint, streak, dry, body, taper = manner
    position, u, v, lengths = _ribbon(canvas, paths, half, taper)
    across = np.rint((v + 1) / 2 * (_ACROSS - 1)).astype(int)
    # The pattern keeps its scale along the stroke: one period is about twelve widths.
    periods = np.minimum(lengths / (half * 24), 1.0)
    along = (shift[:, None] + u * periods[:, None] * _ALONG).astype(int) % _ALONG
    target, (i, j, k) = _visible(canvas, position, territory)
    hair = _BANK[kind[i, 0], along[i, j], across[k]]
    load = _BANK[kind[i, 1], along[i, j], across[k]]
    wide = (lengths / (2 * half)).astype(np.float32)[i]
    u, v = u[j], np.abs(v[k])
    from_start, from_end = u * wide, (1 - u) * wide
    round_end = 0.5 * (1 - np.sqrt(1 - np.minimum(v, 0.999) ** 2))
    keep = (from_start > round_end + 0.12 * load) & (from_end > round_end + 0.45 * (hair + 0.4) * (dry > 0))
    keep &= hair > -1.0 + dry * 1.3 * u * u - 0.3 * (1 - dry)
    edge = np.exp(-(((v - 0.78) / 0.16) ** 2))
    thick = half[i] * body * (0.55 + 0.32 * hair + 0.28 * edge + 0.2 * np.exp(-from_end * 2.5))
    blend = np.clip(0.5 + streak * (load * 0.9 + 0.35 * (u - 0.5)), 0, 1) * (streak > 0)
    colour = colours[i] + (seconds - colours)[i] * blend[:, None]
    colour = colour * (1 + tint * 2 * hair)[:, None] + (tint * 0.35 * hair)[:, None]
    target = target[keep]
    canvas.colour.reshape(-1, 3)[target] = colour[keep]
    under = canvas.height.reshape(-1)
    under[target] = 0.35 * under[target] + thick[keep]


def _visible(canvas, position, territory):
    """The pixels some samples fall on, and for each the indices of the sample lying on top.

    Choosing the sample before the bristles are known lets a dry bristle of the upper stroke show
    the older paint, not the stroke just below; that is not visible, and much faster.
    """
    easel = canvas.easel
    place = np.floor(position * np.float32(easel.scale)).astype(np.int32)
    column, row = place[..., 0], place[..., 1]
    flat = row * np.int32(easel.columns) + column
    inside = (column >= 0) & (column < easel.columns) & (row >= 0) & (row < easel.rows)
    if territory is not None:
        regions, owners = territory
        inside &= regions.reshape(-1)[np.where(inside, flat, 0)] == owners[:, None, None]
    number = np.flatnonzero(inside).astype(np.int32)
    pixel = flat.reshape(-1)[number]
    first = int(pixel.min()) if len(pixel) else 0
    # A repeated index in an assignment has no promised winner, so the last one is picked here.
    top = np.full((int(pixel.max()) - first + 1) if len(pixel) else 0, -1, np.int32)
    np.maximum.at(top, pixel - first, number)
    target = np.flatnonzero(top >= 0)
    return target + first, np.unravel_index(top[target], flat.shape)
