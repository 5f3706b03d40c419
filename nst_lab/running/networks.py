"""The networks that the runs of one process share, each with the targets measured on it; bounded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from nst_lab.config.schema import Config, Model
from nst_lab.losses.objective import needed_taps
from nst_lab.memory import Memory
from nst_lab.network.vgg import VGG19, build_network
from nst_lab.network.weights import Weights, prepare_weights

TARGET_BYTES = 128 * 2**20  # of each network; the targets of one picture at 512 px take about 12 MiB


def shared_network(config: Config, hashes: dict[str, Any]) -> tuple[VGG19, Memory, int]:
    """The network of a configuration, the memory of its targets, and its number of unscaled filters.

    The same object for all runs of a process that use it. The `hashes` of its files are part of what it is known by: a
    file that is replaced is read again.
    """
    files, model = (hashes["weights"], hashes.get("means")), json.dumps(asdict(config.model))
    computing = config.precision, config.runner.winograd, config.device
    return _network(files, model, tuple(needed_taps(config)), *computing)


@lru_cache(maxsize=4)
def _network(
    files: tuple[str | None, ...], settings: str, taps: Sequence[str], precision: str, winograd: bool, _device: str
) -> tuple[VGG19, Memory, int]:
    model = Model(**json.loads(settings))
    weights = _weights(files, model.weights, model.seed, model.normalized, model.means)
    network = build_network(model, weights, taps, precision, winograd=winograd)
    return network, Memory(TARGET_BYTES), weights.unscaled_filters


@lru_cache(maxsize=2)
def _weights(_files: tuple[str | None, ...], *source: Any) -> Weights:
    return prepare_weights(*source)
