"""What lower precision does to losses, results and time."""

import torch

import nst_lab
from measures.quality import STARTS, run_to
from nst_lab.metrics import distances
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import load_inputs

PAIR = ("content=chelsea", "style=starry_strokes")


def measure_precision(size: int, precisions: list[str], evaluations: int, device: torch.device) -> list[dict]:
    """A run in each: its first loss against that in fp32; of its result the objective in fp32, distances, seconds."""
    common = [*PAIR, *STARTS["content"], f"size={size}", "size_rule=exact", f"device={device}"]
    common += ["optimizer.tolerance=0", f"optimizer.evaluations={evaluations}"]
    inputs = load_inputs(nst_lab.compose(common))
    exact = _first_total(common)
    rows = []
    for precision in precisions:
        overrides = [*common, f"precision={precision}"]
        made = run_to(overrides, device)
        measured = distances(made.picture, inputs.content, inputs.styles)
        row = {"size": size, "precision": precision, "evaluations": evaluations, "seconds": made.seconds}
        row |= {"first_loss_error": abs(_first_total(overrides) / exact - 1)}
        row["objective"] = made.best
        rows.append(row | {key: measured[key] for key in ("content", "style")})
    return rows


def _first_total(overrides: list[str]) -> float:
    config = nst_lab.compose(overrides)
    return Synthesis(load_inputs(config), config).step().losses.total.item()
