"""A small ablation in one sweep against calling `pastiche` once for every cell, both to the same objective."""

import json
import sys
from pathlib import Path

from measures.peers import CONTENT, STYLE, peer_command, run, write_pictures

SIZE = 128
CONTINUATIONS = (30, 40, 52, 68, 90, 120)
CONTENT_WEIGHT = 0.01  # of pastiche, which its --content-weight multiplies


def measure_ablation(cells: int, calls: int, evaluations: int, device: str, folder: Path) -> dict:
    """Seconds of one sweep over content weights at the convention of `pastiche`, and of calling it for each of them.

    The cells of the sweep go on from one another, the first of them with the peer's budget, the others with the least
    of `CONTINUATIONS` at which every cell that the peer was called for reaches the peer's objective. As the peer, the
    sweep measures no distances.

    Args:
        cells: of the sweep.
        calls: cells for which the peer is really called, spread over the weights; the others are taken to last as long.
        evaluations: of the peer.
        device: of both.
        folder: for pictures and runs.
    """
    write_pictures(folder, SIZE)
    factors = [round(0.1 * 1.5**index, 3) for index in range(cells)][::-1]  # from the content to the style
    called = [factors[round(index * (cells - 1) / max(1, calls - 1))] for index in range(calls)]
    theirs = {factor: _peer(factor, evaluations, device, folder) for factor in called}
    row = {"cells": cells, "peer_calls": calls, "peer_evaluations": evaluations}
    row["peer_seconds"] = sum(each["seconds"] for each in theirs.values()) / calls * cells
    for continuation in CONTINUATIONS:
        seconds, totals = _sweep(factors, evaluations, continuation, device, folder / f"continuation_{continuation}")
        needed = [_first(totals[factor], theirs[factor]["objective"]) for factor in called]
        row |= {"continuation": continuation, "needed": needed}
        if None not in needed:
            return row | {"sweep_seconds": seconds, "times_faster": row["peer_seconds"] / seconds}
    return row | {"sweep_seconds": None, "times_faster": None}


def _peer(factor: float, evaluations: int, device: str, folder: Path) -> dict[str, float]:
    options = ("--content-weight", str(factor), "--info-step", str(evaluations))
    command = peer_command("pastiche", sys.executable, SIZE, device, evaluations, *options)
    seconds, printed = run(command, folder)
    step, _, objective = printed.splitlines()[-1].split()[:3]
    assert step == str(evaluations), printed
    return {"seconds": seconds, "objective": float(objective)}


def _sweep(
    factors: list[float], evaluations: int, continuation: int, device: str, out: Path
) -> tuple[float, dict[float, list[float]]]:
    """Seconds of the whole command, and the total of every evaluation by factor."""
    weights = [round(factor * CONTENT_WEIGHT, 8) for factor in factors]
    command = [
        sys.executable, "-m", "nst_lab", "-m", "convention=pastiche", "optimizer=lbfgs", f"device={device}",
        f"content.image={CONTENT}.png", f"style.images=[{STYLE}.png]", f"size={SIZE}", "size_rule=exact",
        "optimizer.tolerance=0", f"optimizer.evaluations={evaluations}", f'out_dir="{out}"',
        f"loss.content_weight={','.join(map(str, weights))}", "log.distances=false",
        f"runner.continuation={continuation}",
    ]  # fmt: skip
    seconds, _ = run(command, out.parent)
    totals = {}
    for record in out.glob("*/*/metrics.jsonl"):
        weight = json.loads(record.with_name("manifest.json").read_text())["config"]["loss"]["content_weight"]
        lines = record.read_text().splitlines()
        totals[factors[weights.index(weight)]] = [json.loads(line)["total"] for line in lines]
    return seconds, totals


def _first(totals: list[float], objective: float) -> int | None:
    """The evaluation that first reached an objective."""
    return next((index for index, total in enumerate(totals, start=1) if total <= objective), None)
