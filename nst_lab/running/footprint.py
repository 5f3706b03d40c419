"""How much memory a run will take at its peak, and whether this machine has it."""

import os
from itertools import pairwise
from pathlib import Path

import torch

from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.errors import ConfigError, ImageError
from nst_lab.losses.objective import layers_of_styles, needed_taps
from nst_lab.network.architecture import LAYERS, Layer, layers_up_to
from nst_lab.optimisation.synthesis import resolve_device
from nst_lab.running.inputs import check_sizes, sizes_from_headers

PROCESS_BYTES = 730 * 2**20  # Python, torch, TensorBoard, and what an allocator keeps; measured on Linux
FLOAT_BYTES = 4
# Pictures that an optimiser holds beside the pairs of L-BFGS: the variable, its gradient, what was accepted, …
PICTURES = 12


def memory_bytes(config: Config, height: int, width: int) -> int:
    """Peak memory of a whole process at this size; on CUDA that of the device, without Python and torch.

    The peak is where the gradients of all taps are there, with the widest layer itself, and a byte for every value that
    a ReLU gave; and what the statistic needs beside.
    """

    def values(layer: Layer) -> int:
        return layer.channels * (height // layer.stride) * (width // layer.stride)

    taps = needed_taps(config)
    layers = layers_up_to(taps)
    convolutions = [layer for layer in layers if layer.kind == "conv"]
    tapped = sum(values(LAYERS[tap]) for tap in taps)
    masks = sum(values(layer) for layer in layers if layer.kind == "relu")
    if config.model.pooling == "max":
        masks += sum(8 * values(layer) for layer in layers if layer.kind == "pool")  # where the greatest were
    widest = max((values(layer) for layer in convolutions), default=0)
    beside = STATISTICS[config.loss.statistic].workspace * max(
        (values(LAYERS[name]) for own in layers_of_styles(config) for name in own), default=0
    )
    channels = [3, *(layer.channels for layer in convolutions)]
    filters = sum(9 * before * after for before, after in pairwise(channels))
    pictures = PICTURES
    if config.optimizer.name.startswith("lbfgs"):
        # With bounds the pairs once more, in the space of the free pixels.
        pictures += 2 * config.optimizer.history * (2 if config.optimizer.bounds == "project" else 1)
    floats = tapped + widest + beside + 2 * filters + pictures * 3 * height * width
    process = 0 if resolve_device(config.device).type == "cuda" else PROCESS_BYTES
    return round(process + masks + FLOAT_BYTES * floats)


def check_fits(config: Config) -> None:
    """Refuse before any work what this machine cannot run; pictures that cannot be read will fail and say so.

    Raises:
        ConfigError: the device is not there, a picture is too small (as `check_sizes`), or the peak is more than the
            machine, or the device, has in all.
    """
    device = resolve_device(config.device)
    check_sizes(config)
    try:
        height, width = sizes_from_headers(config)[0]
    except ImageError:
        return
    needed, there = memory_bytes(config, height, width), total_memory(device)
    if there is not None and needed > there:
        raise ConfigError(
            f"size={config.size}: {width}x{height} pixels need about {needed / 2**30:.1f} GiB of memory, and there are "
            f"{there / 2**30:.1f} GiB; choose a smaller size or optimizer.history"
        )


def total_memory(device: torch.device) -> int | None:
    """Bytes that a process can have at most: of the device, or of the machine and its control group; None: unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    return min(limits)
