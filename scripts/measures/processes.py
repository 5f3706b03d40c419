"""What a whole process costs: from the command to the first evaluation, and its peak memory."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nst_lab
from nst_lab.running.footprint import memory_bytes
from nst_lab.running.inputs import sizes_from_headers


def measure_startup(device: str, rounds: int) -> dict:
    """Median seconds from the command to the first evaluation on record, at 64 px."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            overrides = ["size=64", "optimizer.evaluations=2", "log.distances=false", f"device={device}"]
            process = subprocess.Popen(command(overrides, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not any(path.stat().st_size for path in records(folder)):
                time.sleep(0.01)
            seconds.append(time.perf_counter() - started)
            process.wait()
    return {"startup_seconds": statistics.median(seconds)}


def measure_memory(size: int, device: str) -> dict:
    """Peak memory of a run long enough to fill the history of L-BFGS, and what the dry run says of it."""
    evaluations = nst_lab.compose().optimizer.history + 3
    overrides = [f"size={size}", "size_rule=exact", f"device={device}", f"optimizer.evaluations={evaluations}"]
    config = nst_lab.compose(overrides)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command(overrides, folder), check=True, capture_output=True)
        [manifest] = Path(folder).glob("*/*/manifest.json")
        peak = json.loads(manifest.read_text())["peak_memory_bytes"]
    expected = memory_bytes(config, *sizes_from_headers(config)[0])
    return {"size": size, "peak_memory_mib": peak / 2**20, "expected_mib": expected / 2**20}


def command(overrides: list[str], folder: str) -> list[str]:
    """The application with its runs in a folder."""
    return [sys.executable, "-m", "nst_lab", *overrides, f'out_dir="{folder}"']


def records(folder: str) -> list[Path]:
    """The records of the evaluations of its runs."""
    return list(Path(folder).glob("*/*/metrics.jsonl"))
