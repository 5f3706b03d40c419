"""What an evaluation, its logging and its memory cost on this machine.

    python scripts/benchmark.py                       # 256 and 512 px on the CPU, about 7 minutes on 2 cores
    python scripts/benchmark.py --sizes 512 --device cuda --out benchmark

Prints two Markdown tables, the second of the style statistics at the smallest size, and with --out writes them to
OUT.md and the figures to OUT.json. What is compared takes turns in one process, and medians count: machines are noisy.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

import nst_lab
from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.network.vgg import VGG19, build_network
from nst_lab.network.weights import prepare_weights
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Optimisation
from nst_lab.optimisation.scales import at_scale
from nst_lab.optimisation.synthesis import Synthesis, resolve_device
from nst_lab.running.recorder import Recorder
from nst_lab.running.runner import load_inputs


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="pixels of a square picture")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="timed evaluations of each contender")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.json")
    options = parser.parse_args()
    device = resolve_device(options.device)
    rows = [measure(size, options.device, device, options.rounds) for size in options.sizes]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    report = {"device": name, "machine": platform.machine(), "torch": torch.__version__, "rows": rows}
    report["statistics"] = measure_statistics(min(options.sizes), options.device, device, options.rounds)
    table = markdown(report)
    print(table)
    if options.out:
        options.out.with_suffix(".md").write_text(table + "\n")
        options.out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")


def prepare(size: int, device_name: str, device: torch.device) -> tuple[Config, Inputs, VGG19]:
    """The shipped pair at one size, and the network."""
    config = nst_lab.compose([f"size={size}", "size_rule=exact", f"device={device_name}", "optimizer.evaluations=999"])
    weights = prepare_weights(config.model.weights, config.model.seed, config.model.normalized, config.model.means)
    network = build_network(config.model, weights, needed_taps(config)).to(device).requires_grad_(False)
    return config, load_inputs(config), network


def measure(size: int, device_name: str, device: torch.device, rounds: int) -> dict:
    """All figures of one size."""
    config, inputs, network = prepare(size, device_name, device)
    bare, evaluation = time_evaluation(network, inputs, config, device, rounds)
    return {
        "size": size,
        "bare_network_seconds": bare,
        "evaluation_seconds": evaluation,
        "evaluation_over_bare": evaluation / bare,
        "logging_share": logging_share(network, inputs, config, rounds),
        "peak_memory_mib": peak_memory_mib(size, device_name),
    }


def time_evaluation(
    network: VGG19, inputs: Inputs, config: Config, device: torch.device, rounds: int
) -> tuple[float, float]:
    """Median seconds of the network's forward and backward to the picture, and of a whole optimiser step."""
    content, styles, _ = at_scale(inputs, config, 1.0)
    objective = build_objective(network, content, styles, config, device)
    optimisation = Optimisation(objective, content.to(device), config.optimizer, config.optimizer.evaluations)
    picture = content.to(device).clone().requires_grad_()

    def bare() -> None:
        picture.grad = None
        sum(tap.sum() for tap in network(picture).values()).backward()

    seconds = take_turns({"bare": bare, "step": optimisation.step}, device, rounds)
    return seconds["bare"], seconds["step"]


def build_objective(
    network: VGG19, content: torch.Tensor, styles: dict[str, torch.Tensor], config: Config, device: torch.device
) -> Objective:
    """The objective of pictures that are brought to the device."""
    return Objective(network, content.to(device), {name: s.to(device) for name, s in styles.items()}, config)


def take_turns(
    contenders: dict[str, Callable[[], object]], device: torch.device, rounds: int, warm_up: int = 2
) -> dict[str, float]:
    """Median seconds of each contender over the rounds, of which the first ones do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds + warm_up):
        for name, contender in contenders.items():
            synchronize(device)
            started = time.perf_counter()
            contender()
            synchronize(device)
            if index >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def measure_statistics(size: int, device_name: str, device: torch.device, rounds: int) -> list[dict]:
    """What an evaluation costs by each style statistic, network included, and how many times that by Gram matrices."""
    config, inputs, network = prepare(size, device_name, device)
    content, styles, _ = at_scale(inputs, config, 1.0)
    picture = content.to(device).clone().requires_grad_()

    def evaluation(name: str) -> Callable[[], object]:
        with_statistic = replace(config, loss=replace(config.loss, statistic=name))
        objective = build_objective(network, content, styles, with_statistic, device)
        return lambda: torch.autograd.grad(objective(picture).total, picture)

    seconds = take_turns({name: evaluation(name) for name in STATISTICS}, device, min(rounds, 5), warm_up=1)
    return [
        {"size": size, "statistic": name, "evaluation_seconds": each, "over_gram": each / seconds["gram"]}
        for name, each in seconds.items()
    ]


def logging_share(network: VGG19, inputs: Inputs, config: Config, evaluations: int) -> float:
    """Share of a run's time that recording takes, with the shipped logging schedule."""
    config.optimizer.evaluations = max(evaluations, 10)
    logging, started = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with Recorder(Path(folder), config, inputs) as recorder:
            for step in Synthesis(inputs, config, network):
                before = time.perf_counter()
                recorder.record(step)
                logging += time.perf_counter() - before
            closing = time.perf_counter()
        logging += time.perf_counter() - closing
    return logging / (time.perf_counter() - started)


def peak_memory_mib(size: int, device_name: str) -> float:
    """Peak memory of a whole run in a process of its own, long enough to fill the L-BFGS history."""
    evaluations = nst_lab.compose().optimizer.history + 2
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"size={size}", "size_rule=exact", f"device={device_name}", f"optimizer.evaluations={evaluations}"]
        command = [sys.executable, "-m", "nst_lab", *overrides, f'out_dir="{folder}"']
        subprocess.run(command, check=True, capture_output=True)
        [manifest] = Path(folder).glob("*/*/manifest.json")
        return json.loads(manifest.read_text())["peak_memory_bytes"] / 2**20


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next is right."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def markdown(report: dict) -> str:
    """The figures as tables."""
    lines = [
        f"{report['device']}, {report['machine']}, torch {report['torch']}",
        "",
        "| size | bare network | evaluation | ratio | logging | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        lines.append(
            f"| {row['size']} px | {row['bare_network_seconds']:.3f} s | {row['evaluation_seconds']:.3f} s "
            f"| {row['evaluation_over_bare']:.2f} | {row['logging_share']:.1%} | {row['peak_memory_mib']:.0f} MiB |"
        )
    lines += ["", f"| statistic, {report['statistics'][0]['size']} px | evaluation | over gram |", "|---|---|---|"]
    for row in report["statistics"]:
        lines.append(f"| {row['statistic']} | {row['evaluation_seconds']:.3f} s | {row['over_gram']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
