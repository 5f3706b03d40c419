"""What a plan will cost, before it runs: evaluations, time at a speed measured here and now, memory and disk."""

import time
from collections.abc import Sequence

import torch
from rich.table import Table

from nst_lab.config.schema import Config, mixes_scales
from nst_lab.images.catalog import short_names
from nst_lab.losses.objective import needed_taps
from nst_lab.network.architecture import IMAGENET_INPUT, layers_up_to
from nst_lab.network.vgg import VGG19
from nst_lab.network.weights import load_weights
from nst_lab.optimisation.scales import schedule, split_budget
from nst_lab.optimisation.synthesis import resolve_device
from nst_lab.running.footprint import memory_bytes
from nst_lab.running.inputs import sizes_from_headers
from nst_lab.sweeps.batching import batch_sizes
from nst_lab.sweeps.sweep import Planned, count_states, label, print_table, swept_keys

PROBE_TAP = "relu4_1"
PROBE_SIZES = 32, 256  # the speed of convolutions depends on the size; more than that takes longer than a moment


def convolution_flops(taps: Sequence[str], height: int, width: int) -> float:
    """Floating-point operations of one evaluation: forward, and backward to the picture (the weights are frozen)."""
    total, inputs = 0.0, 3
    for layer in layers_up_to(taps):
        if layer.kind == "conv":
            total += 2 * 9 * inputs * layer.channels * (height // layer.stride) * (width // layer.stride)
            inputs = layer.channels
    return 2 * total


def measured_speed(config: Config) -> float:
    """Floating-point operations per second of a small VGG-19 on this machine, now, computed as a run's is."""
    device = resolve_device(config.device)
    network = VGG19(
        load_weights("random").kernels, [PROBE_TAP], pooling="avg", padding="zeros", padding_first="zeros",
        mean=IMAGENET_INPUT.mean, std=IMAGENET_INPUT.std,
        bfloat16=config.precision == "bf16", winograd=config.runner.winograd,
    ).to(device)  # fmt: skip
    least, most = PROBE_SIZES
    side = max(least, min(most, *sizes_from_headers(config)[0]))
    picture = torch.rand(1, 3, side, side, device=device, requires_grad=True)
    seconds: list[float] = []
    while len(seconds) < 3 and sum(seconds) < 2:
        started = time.perf_counter()
        [gradient] = torch.autograd.grad(network(picture)[PROBE_TAP].sum(), picture)
        gradient.sum().item()  # waits for the device
        seconds.append(time.perf_counter() - started)
    return convolution_flops([PROBE_TAP], side, side) / min(seconds)


def seconds(config: Config, speed: float) -> float:
    """Expected duration of one run at `speed` operations per second."""
    scales = schedule(config)
    budgets = split_budget(config.optimizer.evaluations, scales)
    sizes = [sizes_from_headers(config, scale.factor)[0] for scale in scales]
    flops = (n * convolution_flops(needed_taps(config), *size) for n, size in zip(budgets, sizes, strict=True))
    return (sum(flops) + _mixing_flops(config)) / speed


def _mixing_flops(config: Config) -> float:
    """Of the styles that are mixed with a fine image before the run."""
    if not mixes_scales(config):
        return 0.0
    styles = sizes_from_headers(config)[1]
    mixed = [name for name, fine in zip(short_names(config.style.images), config.style.fine or [], strict=True) if fine]
    sizes = [styles[name] for name in mixed if name in styles]
    return config.style.fine_evaluations * sum(convolution_flops(config.style.fine_layers, *size) for size in sizes)


def print_estimate(planned: Sequence[Planned]) -> None:
    """The table of `dry_run=true`: every cell with its state, and what the new ones will take.

    The memory of a cell is that of all that are at work at once with it.
    """
    keys = swept_keys([item.cell for item in planned])
    speed = measured_speed(planned[0].cell.config)
    table = Table("run", "state", "size", "evaluations", "time", "memory", box=None, pad_edge=False)
    totals = {"evaluations": 0, "seconds": 0.0, "disk": 0}
    for item, batch in zip(planned, batch_sizes([item.cell.config for item in planned]), strict=True):
        config = item.cell.config
        height, width = sizes_from_headers(config)[0]
        duration = seconds(config, speed)
        table.add_row(
            label(item.cell.overrides, keys) or item.folder.name,
            item.state,
            f"{width}x{height}",
            str(config.optimizer.evaluations),
            f"{duration:.0f} s",
            f"{memory_bytes(config, height, width, batch) / 2**30:.2f} GiB",
        )
        if not item.completed:
            totals["evaluations"] += config.optimizer.evaluations
            totals["seconds"] += duration
            totals["disk"] += _disk_bytes(config, height, width)
    print_table(table)
    print(
        f"{count_states(planned)}; to do: {totals['evaluations']} evaluations, about "
        f"{totals['seconds'] / 60:.1f} minutes, {totals['disk'] / 2**20:.0f} MiB on disk"
    )


def _disk_bytes(config: Config, height: int, width: int) -> int:
    """PNG pictures take about two bytes per pixel; a logged evaluation about 2 kB in both streams together; a pair of
    L-BFGS that is left to other runs two pictures of two bytes a value.
    """
    pictures = 1 + config.log.images + 1 + len(config.style.images)
    evaluations = config.optimizer.evaluations
    pairs = min(config.optimizer.history, evaluations) if config.init.curvature else 0
    return (2 * pictures + 12 * pairs) * height * width + 2000 * evaluations // config.log.every
