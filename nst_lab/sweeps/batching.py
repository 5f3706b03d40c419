"""Which cells of a sweep are evaluated together, where `runner.batch` asks for it."""

import json
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict

from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError, ImageError
from nst_lab.losses.objective import needed_taps
from nst_lab.optimisation.scales import in_strips
from nst_lab.running.inputs import sizes_from_headers


def alike(configs: Sequence[Config]) -> list[list[int]]:
    """The indices of cells that can be evaluated as batches, in groups; those that are on their own are groups of one.

    Alike are cells with the same network, layers, schedule of scales and size of the result, on the same device and
    with the same precision and threads. Pictures, weights, seeds, starts, statistics and optimisers may differ.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, config in enumerate(configs):
        groups[index if config.runner.batch == 1 else _key(config) or index].append(index)
    return list(groups.values())


def at_once(configs: Sequence[Config]) -> int:
    """How many of a group are at work at once."""
    return min(len(configs), min(config.runner.batch for config in configs))


def batch_sizes(configs: Sequence[Config]) -> list[int]:
    """For each cell how many are at work at once, itself among them."""
    sizes = [1] * len(configs)
    for group in alike(configs):
        size = at_once([configs[index] for index in group])
        for index in group:
            sizes[index] = size
    return sizes


def batches(configs: Sequence[Config]) -> list[list[int]]:
    """The indices of cells in batches for workers, each of which makes one: alike, and as many as at work at once."""
    made: list[list[int]] = []
    for group in alike(configs):
        size = at_once([configs[index] for index in group])
        made += (group[start : start + size] for start in range(0, len(group), size))
    return made


def _key(config: Config) -> str | None:
    """What alike cells have in common; None where a cell is large, or how large is not known beforehand."""
    try:
        size, _ = sizes_from_headers(config)
    except (ImageError, ConfigError):
        return None
    if in_strips(config, size):
        return None
    computing = config.device, config.precision, config.threads, config.runner.batch, config.runner.winograd
    scales = [asdict(scale) for scale in config.scales or []]
    return json.dumps([size, asdict(config.model), sorted(needed_taps(config)), scales, computing])
