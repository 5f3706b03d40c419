"""Setting small pieces: seeds in rows along contours, and the stones that grow around them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from .brush import look_up, scatter
from .easel import Easel


def rows_of_seeds(rng, plan: Easel, distance: np.ndarray, spacing: float):
    """Seeds on the contours of a distance field, half a spacing, one and a half, ... from its zero.

    Returns positions and the direction of the row at each of them.  Where rows meet, seeds too
    close to an earlier one are left out; remaining holes get a stray piece.
    """
    gy, gx = np.gradient(distance)
    direction = np.arctan2(gx, -gy)
    candidates = []
    for level in np.arange(0.5, distance.max() / spacing + 0.5):
        for curve in find_contours(distance, level * spacing):
            points = (curve[:, ::-1] + 0.5) / plan.scale
            along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
            at = np.arange(rng.uniform(0, spacing), along[-1], spacing * 1.02)
            if len(at):
                candidates.append(np.stack([np.interp(at, along, points[:, c]) for c in range(2)], -1))
    candidates.append(scatter(rng, plan.width, plan.height, spacing * 0.6))
    seeds = _spaced(np.vstack(candidates), spacing * 0.74)
    return seeds, look_up(plan, direction, seeds)


def _spaced(points: np.ndarray, least: float) -> np.ndarray:
    """The points that keep their distance from all points kept before them."""
    keep = np.ones(len(points), bool)
    neighbours = cKDTree(points).query_pairs(least, output_type="ndarray")
    neighbours = np.sort(neighbours, axis=1)
    for first, second in neighbours[np.lexsort((neighbours[:, 0], neighbours[:, 1]))]:
        if keep[first]:
            keep[second] = False
    return points[keep]


def stones(easel: Easel, seeds, direction, spacing: float, stretch, around: int = 5):
    """For every pixel the number of its stone and how deep inside it lies.

    The depth is 0 on the border between two stones and about 0.5 at the middle; stones are
    rounded squares turned along their row, ``stretch`` their proportions.
    """
    pixels = np.stack([easel.x.ravel(), easel.y.ravel()], -1)
    best = np.full(len(pixels), 9.0, np.float32)
    second = np.full(len(pixels), 9.0, np.float32)
    owner = np.zeros(len(pixels), np.int32)
    _, nearest = cKDTree(seeds).query(pixels, k=around)
    cos, sin = np.cos(direction).astype(np.float32), np.sin(direction).astype(np.float32)
    for k in range(around):
        n = nearest[:, k]
        dx, dy = ((pixels - seeds[n]) / spacing).astype(np.float32).T
        a, b = (dx * cos[n] + dy * sin[n]) / stretch[n], (dy * cos[n] - dx * sin[n]) * stretch[n]
        size = np.sqrt(np.sqrt(a * a * a * a + b * b * b * b))
        nearer = size < best
        second = np.where(nearer, best, np.minimum(second, size))
        owner = np.where(nearer, n, owner)
        best = np.minimum(best, size)
    shape = easel.x.shape
    depth = np.minimum((second - best) * 0.5, 0.66 - best)
    return owner.reshape(shape), depth.reshape(shape)
