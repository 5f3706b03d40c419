"""How much memory a run will take at its peak, and whether this machine has it."""

import os
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path

import torch

from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.errors import ConfigError, ImageError
from nst_lab.losses.objective import content_taps, layers_of_styles, needed_taps
from nst_lab.network.architecture import LAYERS, Layer, layers_up_to
from nst_lab.network.convolutions import has_winograd, most_workspace, workspace_bytes
from nst_lab.network.strips import STRIP_VALUES, STRIPED
from nst_lab.optimisation.scales import in_strips
from nst_lab.optimisation.synthesis import resolve_device
from nst_lab.running import allocator
from nst_lab.running.inputs import check_sizes, sizes_from_headers

PROCESS_BYTES = 630 * 2**20  # Python, torch, TensorBoard; measured on Linux
# What the allocator keeps: a little always, and where it gives nothing back so many times the widest layer.
LEAST_KEPT = 100 * 2**20
KEPT_LAYERS = 8
FLOAT_BYTES = 4
# Pictures that an optimiser holds beside the pairs of L-BFGS: the variable, its gradient, what was accepted, …
PICTURES = 13
STRIP_FLOATS = 5  # for each value of the widest activation of a strip


def memory_bytes(config: Config, height: int, width: int, batch: int = 1) -> int:
    """Peak memory of a whole process at this size; on CUDA that of the device, without Python and torch.

    The peak is where the gradients of all taps are there, with the widest layer itself, and a byte for every value that
    a ReLU gave; and what the statistic needs beside. `batch` runs at once have their pictures and activations each.
    """
    layers = layers_up_to(needed_taps(config))
    channels = [3, *(layer.channels for layer in layers if layer.kind == "conv")]
    filters = 2 * 9 * sum(before * after for before, after in pairwise(channels))
    pictures = PICTURES
    if config.optimizer.name.startswith("lbfgs"):
        # With bounds the pairs once more, in the space of the free pixels, and half of them preconditioned.
        pictures += config.optimizer.history * (5 if config.optimizer.bounds == "project" else 2)
    each = _activation_bytes(config, layers, height, width) + FLOAT_BYTES * pictures * 3 * height * width
    on_cuda = resolve_device(config.device).type == "cuda"
    process = 0
    if not on_cuda:
        process = PROCESS_BYTES + _kept_bytes(config, layers, height, width, batch)
        process += _workspace_bytes(config, layers, height, width)
    return round(process + FLOAT_BYTES * filters + batch * each)


def _kept_bytes(config: Config, layers: Sequence[Layer], height: int, width: int, batch: int) -> int:
    """Of memory that is free, but not given back."""
    if allocator.gives_back(height * width):
        return LEAST_KEPT
    widest = max((_values(layer, height, width) for layer in layers), default=0)
    value_bytes = 2 if config.precision == "bf16" else FLOAT_BYTES
    return max(LEAST_KEPT, KEPT_LAYERS * value_bytes * widest * batch)


def _workspace_bytes(config: Config, layers: Sequence[Layer], height: int, width: int) -> int:
    """Of the convolutions by Winograd's algorithm."""
    if not (config.runner.winograd and config.precision != "bf16" and has_winograd()):
        return 0
    convolutions = [layer for layer in layers if layer.kind == "conv"]
    inputs = [3, *(layer.channels for layer in convolutions[:-1])]
    each = (
        workspace_bytes(before + layer.channels, height // layer.stride, width // layer.stride)
        for before, layer in zip(inputs, convolutions, strict=False)
    )
    return min(max(each, default=0), most_workspace(height * width))


def _values(layer: Layer, height: int, width: int) -> int:
    """Of an activation, for a picture of that size."""
    return layer.channels * (height // layer.stride) * (width // layer.stride)


def _activation_bytes(config: Config, layers: Sequence[Layer], height: int, width: int) -> float:
    """Of one evaluation."""
    values = partial(_values, height=height, width=width)
    contents, taps = content_taps(config), needed_taps(config)
    beside = STATISTICS[config.loss.statistic].workspace * max(
        (values(LAYERS[name]) for own in layers_of_styles(config) for name in own), default=0
    )
    striped: list[Layer] = []
    if in_strips(config, (height, width)):
        striped = [layer for layer in layers if layer.block in STRIPED]
        if STATISTICS[config.loss.statistic].blendable:  # measured strip by strip: only contents are kept whole
            taps = [tap for tap in taps if tap in contents or LAYERS[tap] not in striped]
    whole = [layer for layer in layers if layer not in striped]
    pooled = [layer for layer in striped if layer.kind == "pool"]
    masks = sum(values(layer) for layer in whole if layer.kind == "relu")
    if config.model.pooling == "max":
        masks += sum(8 * values(layer) for layer in whole if layer.kind == "pool")  # where the greatest were
    widest = max((values(layer) for layer in (*whole, *pooled) if layer.kind != "relu"), default=0)
    strips = STRIP_FLOATS * STRIP_VALUES if striped else 0
    floats = sum(values(LAYERS[tap]) for tap in taps) + sum(map(values, pooled)) + widest + strips + beside
    return masks + FLOAT_BYTES * floats


def check_fits(config: Config, batch: int = 1) -> None:
    """Refuse before any work what this machine cannot run; pictures that cannot be read will fail and say so.

    Args:
        config: of a run.
        batch: how many like it are at work at once.

    Raises:
        ConfigError: the device is not there, a picture is too small (as `check_sizes`), or the peak is more than the
            machine, or the device, has in all.
    """
    device = resolve_device(config.device)
    check_sizes(config)
    try:
        (height, width), styles = sizes_from_headers(config)
    except ImageError:
        return
    needed, there = memory_bytes(config, height, width, batch), total_memory(device)
    if there is None:
        return
    if needed > there:
        what = f"{batch} runs at once, runner.batch={config.runner.batch}, of " if batch > 1 else ""
        smaller = "runner.batch, size or optimizer.history" if batch > 1 else "size or optimizer.history"
        raise ConfigError(
            f"size={config.size}: {what}{width}x{height} pixels need about {needed / 2**30:.1f} GiB of memory, and "
            f"there are {there / 2**30:.1f} GiB; choose a smaller {smaller}"
        )
    for name, size in styles.items():
        if (picture := 3 * FLOAT_BYTES * prod(size)) > there:
            raise ConfigError(
                f"style.size: {name} becomes {size[1]}x{size[0]} pixels, {picture / 2**30:.0f} GiB for the picture "
                f"alone, and there are {there / 2**30:.1f} GiB; choose a smaller style.size or size"
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
