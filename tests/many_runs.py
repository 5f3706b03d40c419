"""Run folders as runs leave them, generated: as many as a test of scale needs, and each broken in its own way."""

import json
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from nst_lab.config.composition import compose, to_settings
from nst_lab.images import catalog

STYLES = ("starry_strokes", "woodcut_waves", "mosaic", "ink_wash", "cubist_shards")
WEIGHTS = (1e5, 1e6, 1e7, 1e8, 1e9)
STARTS = ("content", "noise")


def generate(folder: Path, count: int, size: int = 32, seeds: int = 2, evaluations: int = 60) -> None:
    """`count` completed runs below `folder`: styles × content weights × starts × seeds, further sizes as need be.

    Settings are real ones; pictures are flat colours with a square, distances a trade-off with noise.
    """
    start = opening()
    cells = product(range(count), STYLES, WEIGHTS, STARTS, range(seeds))
    for number, (block, style, weight, init, seed) in zip(range(count), cells, strict=False):
        cell = {"size": size + 16 * block, "seed": seed, "style.images": [style], "loss.content_weight": weight,
                "init.kind": init}  # fmt: skip
        write_run(folder / f"chelsea-{style}-gatys-{number:012x}", start, cell, number, size, evaluations)


def opening() -> dict[str, Any]:
    """What the manifests of completed runs have in common, with the settings of a run that is filled in for real."""
    settings = to_settings(compose(["model=random"]))
    settings.pop("convention_overrides")
    return {"status": "completed", "config": settings, "convention_overrides": ["loss.content_weight", "init.kind"]}


def write_run(
    folder: Path, start: dict[str, Any], cell: dict[str, Any], number: int, size: int, evaluations: int
) -> None:
    """One run folder of the settings of `start` with those of `cell` (dotted keys) in their place."""
    chance = random.Random(number)
    manifest = json.loads(json.dumps(start))
    for key, value in cell.items():
        *sections, name = key.split(".")
        section = manifest["config"]
        for part in sections:
            section = section[part]
        section[name] = value
    trade = chance.random()
    [style] = cell["style.images"]
    distances = {"content": 0.05 + trade, "style": 1.05 - trade + 0.3 * chance.random(), "swd": 0.1, "color": 0.2,
                 "ssim": 1 - trade, "psnr": 20.0, "tv": 0.01}  # fmt: skip
    distances[f"style/{style}"] = distances["style"]
    manifest |= {
        "fingerprint": f"{number:012x}" + "0" * 52,
        "result_version": 1,
        "overrides": [f"{key}={value}" for key, value in cell.items()],
        "hashes": {
            "content": catalog.sha256("chelsea"),
            "styles": [catalog.sha256(style)],
            "init": None,
            "weights": "random",
        },
        "credits": [catalog.credit("chelsea"), catalog.credit(style)],
        "start": "2026-01-01T00:00:00+00:00",
        "evaluations": evaluations,
        "seconds": 10 + chance.random(),
        "peak_memory_bytes": 10**9,
        "stop_reason": "budget",
        "losses": {"total": 1e6 * trade, "content": 1.0, "style": 2.0, "tv": 0.0, "terms": {}, "evaluation": 60},
        "metrics_version": 1,
        "distances": distances,
    }
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in _curve(evaluations, trade)))
    picture = Image.new("RGB", (size, size), (int(255 * trade), 90, number % 256))
    ImageDraw.Draw(picture).rectangle((size // 4, size // 4, size // 2, size // 2), (number * 7 % 256, 200, 120))
    picture.save(folder / "result.png")


def _curve(evaluations: int, trade: float) -> Iterator[dict[str, Any]]:
    for evaluation in range(1, evaluations + 1):
        content, style = 1e5 * trade, 1e7 / evaluation
        yield {"evaluation": evaluation, "seconds": 0.1 * evaluation, "total": content + style, "content": content,
               "style": style, "tv": 0.0, "terms": {}, "accepted": True}  # fmt: skip
