"""Time to quality: how long the defaults need to reach what the plain recipe reaches, and what both then look like."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import nst_lab
from measures.evaluation import synchronize
from nst_lab.optimisation.synthesis import Synthesis, own_network
from nst_lab.running.runner import load_inputs

PAIRS = (("chelsea", "starry_strokes"), ("coffee", "woodcut_waves"), ("astronaut", "composition_shapes"))
# What PyTorch's users write: L-BFGS at full size, with its default history. From noise as weak as the convention's it
# diverges at the third evaluation, so both contenders start from noise of this deviation.
PLAIN = ("optimizer=lbfgs_torch", "optimizer.history=100", "scales=null")
STARTS = {"content": ("init=content",), "noise": ("init=noise", "init.noise_std=0.25")}
PATIENCE = 2  # times the evaluations of the plain recipe, after which the other one has not reached it


def measure_quality(
    size: int, starts: list[str], pairs: int, evaluations: int, device: torch.device, pictures: Path | None
) -> list[dict]:
    """One row for each pair and start; the pictures at equal objective, plain and ours, go to a folder."""
    rows = []
    for content, style in PAIRS[:pairs]:
        for start in starts:
            pair = (f"size={size}", "size_rule=exact", f"content={content}", f"style={style}", f"device={device}")
            common = (*pair, *STARTS[start], "optimizer.tolerance=0")
            plain = _run([*common, *PLAIN, f"optimizer.evaluations={evaluations}"], device)
            ours = _run([*common, f"optimizer.evaluations={PATIENCE * evaluations}"], device, target=plain.best)
            reached = ours.best <= plain.best
            row = {"size": size, "pair": f"{content}, {style}", "start": start, "objective": plain.best}
            row |= {"plain_seconds": plain.seconds, "plain_evaluations": plain.evaluations}
            row |= {"seconds": ours.seconds, "evaluations": ours.evaluations, "reached": reached, "best": ours.best}
            rows.append(row | {"times_faster": plain.seconds / ours.seconds if reached else None})
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                for name, run in (("plain", plain), ("ours", ours)):
                    nst_lab.save_image(run.picture, pictures / f"{content}-{style}-{start}-{size}-{name}.png")
    return rows


@dataclass(frozen=True)
class Run:
    """A run up to its target or its end: the best total at full size, and the picture there."""

    seconds: float
    evaluations: int
    best: float
    picture: Tensor


def _run(overrides: list[str], device: torch.device, target: float = -math.inf) -> Run:
    config = nst_lab.compose(overrides)
    network, inputs = own_network(config).to(device), load_inputs(config)
    synchronize(device)
    started, best = time.perf_counter(), math.inf
    synthesis = Synthesis(inputs, config, network)
    for step in synthesis:
        if step.scale == len(synthesis.scales) - 1 and step.accepted:
            best = min(best, step.losses.total.item())
        if best <= target:
            break
    synchronize(device)
    return Run(time.perf_counter() - started, step.evaluation, best, step.picture.clamp(0, 1).cpu())
