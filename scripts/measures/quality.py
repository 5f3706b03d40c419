"""Time to quality: how long the defaults need to reach what the plain recipe reaches, and what both then look like."""

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median, median_low

import torch
from torch import Tensor

import nst_lab
from measures.evaluation import synchronize
from nst_lab.optimisation.synthesis import Synthesis, own_network
from nst_lab.running.allocator import keep_or_give_back
from nst_lab.running.runner import load_inputs

PAIRS = (("chelsea", "starry_strokes"), ("coffee", "woodcut_waves"), ("astronaut", "composition_shapes"))
# What PyTorch's users write: L-BFGS at full size, with its default history, on pixels from 0 to 1, or to 255 where with
# those it gets stuck (on one machine, from chelsea at 512 px). From noise as weak as the convention's it always
# diverges, at the third evaluation, so both contenders start from noise of this deviation.
PLAIN = ("optimizer=lbfgs_torch", "optimizer.history=100", "scales=null", "runner.winograd=false")
PIXEL_RANGES = (1, 255)
MARGIN = {"fp32": 1.0, "tf32": 0.998, "bf16": 0.998}  # of the target: lower precision is right to a thousandth
STARTS = {"content": ("init=content",), "noise": ("init=noise", "init.noise_std=0.25")}
# Ours: the defaults, and from noise coarse to fine, as the README advises.
OURS = {"content": (), "noise": ("scales=[{factor: 0.5, share: 0.4}, {factor: 1, share: 0.6}]",)}


def measure_quality(
    size: int,
    starts: list[str],
    precisions: list[str],
    pairs: int,
    evaluations: int,
    device: torch.device,
    pictures: Path | None,
) -> list[dict]:
    """One row for each pair, start and precision of ours, which has as many evaluations as the plain recipe.

    The pictures at equal objective, plain and ours, go to a folder.
    """
    rows, keep = [], partial(keep_or_give_back, size * size)
    for content, style in PAIRS[:pairs]:
        pair = (f"size={size}", "size_rule=exact", f"content={content}", f"style={style}", f"device={device}")
        for start in starts:
            common = [*pair, *STARTS[start], "optimizer.tolerance=0", f"optimizer.evaluations={evaluations}"]
            pixel_range, plain = _plain_run(common, device)
            made = {"plain": plain}
            for precision in precisions:
                target = MARGIN[precision] * plain.best
                overrides = [*common, *OURS[start], f"precision={precision}"]
                made[precision] = ours = _run_alone(overrides, device, target, setup=keep)
                row = {"size": size, "pair": f"{content}, {style}", "start": start, "precision": precision}
                row["plain_pixel_range"] = pixel_range
                row |= {"objective": plain.best, "best": ours.best, "reached": ours.best <= plain.best}
                row |= {"plain_seconds": plain.seconds, "plain_evaluations": plain.evaluations}
                row |= {"seconds": ours.seconds, "evaluations": ours.evaluations}
                row["times_faster"] = plain.seconds / ours.seconds if row["reached"] else None
                rows.append(row)
                print(row, file=sys.stderr, flush=True)  # an hour is long, and may end early
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                for name, run in made.items():
                    nst_lab.save_image(run.picture, pictures / f"{content}-{style}-{start}-{size}-{name}.png")
    return rows


def medians(rows: list[dict]) -> list[dict]:
    """How many times faster the middle one of all pairs and starts is, by size and precision; the lower of two.

    Where the objective is not reached, that is none.
    """
    kinds = defaultdict(list)
    for row in rows:
        kinds[row["size"], row["precision"]].append(row["times_faster"] or 0.0)
    return [
        {"size": size, "precision": precision, "runs": len(times), "times_faster": median_low(times) or None}
        for (size, precision), times in kinds.items()
    ]


@dataclass(frozen=True)
class Run:
    """A run up to its target or its end: the least total of an accepted picture, in fp32, and that picture.

    Its seconds are, for each scale, those to its first evaluation and the median of the others times their number: what
    else the machine does for a while does not count.
    """

    seconds: float
    evaluations: int
    best: float
    picture: Tensor
    stuck: bool


def _plain_run(overrides: list[str], device: torch.device) -> tuple[int, Run]:
    """That of the plain recipe, and the range of its pixels."""
    for pixel_range in PIXEL_RANGES:
        run = _run_alone([*overrides, *PLAIN, f"optimizer.pixel_scale={pixel_range}"], device)
        if not run.stuck:
            break
    return pixel_range, run


def _run_alone(
    overrides: list[str],
    device: torch.device,
    target: float = -math.inf,
    setup: Callable[[], None] | None = None,
) -> Run:
    """A run in a process of its own, as a user's is: what one does with memory is nothing to the next.

    Ours has a setup, memory kept or given back as in nst_lab's runs; the plain recipe leaves that to glibc, as other
    programs do.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=setup) as process:
        return process.submit(run_to, overrides, device, target).result()


def run_to(overrides: list[str], device: torch.device, target: float = -math.inf) -> Run:
    """A run that ends where its total, or its budget, is reached."""
    config = nst_lab.compose(overrides)
    network, inputs = own_network(config).to(device), load_inputs(config)
    best, picture = math.inf, inputs.content
    spent = defaultdict(list)
    synchronize(device)
    before = time.perf_counter()
    synthesis = Synthesis(inputs, config, network)
    for step in synthesis:
        synchronize(device)
        now = time.perf_counter()
        spent[step.scale].append(now - before)
        before = now
        full = step.scale == len(synthesis.scales) - 1
        if full and step.accepted and (total := step.losses.total.item()) < best:
            best, picture = total, step.picture.clone()
        if best <= target:
            break
    seconds = sum(first + len(others) * median(others or [0]) for first, *others in spent.values())
    if config.precision != "fp32":
        best = _objective(picture, overrides)
    stuck = step.stop is not None and step.stop.reason != "budget"
    return Run(seconds, step.evaluation, best, picture.clamp(0, 1).cpu(), stuck)


def _objective(picture: Tensor, overrides: list[str]) -> float:
    """The total of a picture in fp32: what a run that starts there sees first."""
    config = nst_lab.compose([*overrides, "precision=fp32", "scales=null", "init=file", f"init.image={PAIRS[0][0]}"])
    inputs = replace(load_inputs(config), init=picture)
    return next(iter(Synthesis(inputs, config))).losses.total.item()
