"""What the HTML report shows, as plain lists and dictionaries: runs, settings, measures, sources, curves."""

import os
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nst_lab.comparison import varying
from nst_lab.comparison.compare import CAVEAT, HIGHER_IS_BETTER, LOSS, compare
from nst_lab.comparison.reading import Runs
from nst_lab.comparison.scanning import Record, read_curves
from nst_lab.errors import UserError
from nst_lab.images import catalog, fetch
from nst_lab.images.thumbnails import thumbnail, thumbnails
from nst_lab.running.runs import RESULT

# Up to so many runs: pixels of a thumbnail's longer side and points of a curve; the page stays small enough to open.
DETAIL = ((120, 320, 96), (600, 160, 64), (2000, 96, 32), (float("inf"), 64, 12))
SOURCE_SIDE = 320

# What the distances say; of others the name is all that is known.
HINTS = {
    "content": "0 is the photograph, 1 has nothing in common with it",
    "style": "0 is the style, 1 the photograph",
    "swd": "sliced Wasserstein, 0 is the style, 1 the photograph",
    "color": "0 are the style's colours, 1 the photograph's",
    "ssim": "structural similarity, 1 is the photograph",
    "psnr": "dB to the photograph; higher is nearer",
    "tv": "mean absolute difference of neighbouring pixels",
}
COSTS = {"seconds": ("seconds", 1), "evaluations": ("evaluations", 1), "peak_memory_bytes": ("memory (MiB)", 2**-20)}
CURVES = ("total", "content", "style", "tv")
# Parts of a key that say nothing without their section, or everything with it.
BARE = ("image", "images", "kind", "name")


def page_data(runs: Runs, page: Path, title: str, max_content: float | None) -> dict[str, Any]:
    """Everything that the page is made from, without a NaN, so that it is JSON.

    Args:
        page: where the report will lie; the links to full pictures are relative to it.
        max_content: the content distance up to which a run is acceptable; None for any.
    """
    comparison = compare(runs)
    side, points = next(detail[1:] for detail in DETAIL if len(runs) <= detail[0])
    sources = _Sources()
    measures = _measures(comparison.measures, runs)
    small = thumbnails([record.folder / RESULT for record in runs.records], side)
    shown = [[lead, *(index for index in group if index != lead)]
             for lead, group in zip(comparison.shown, comparison.members, strict=True)]  # fmt: skip
    axes, positions = _axes(runs)
    numbers = runs.table[[measure["key"] for measure in measures]].to_dict("records")
    return {
        "title": title,
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "notes": runs.notes[bool(runs.problems) :],
        "problems": [[str(problem.folder), problem.reason] for problem in runs.problems],
        "maxContent": max_content,
        "caveat": CAVEAT,
        "repeat": varying.REPEAT,
        "settings": axes,
        "common": [[key, varying.show(value)] for key, value in runs.common.items()],
        "measures": [{key: value for key, value in measure.items() if key != "factor"} for measure in measures],
        "runs": [
            _run(runs.records[index], page, points)
            | {
                "values": [position[index] for position in positions],
                "measures": _scaled(numbers[index], measures),
                "more": [[key, varying.show(value)] for key, value in runs.further(index)],
                "sources": sources.of(runs.records[index]),
                "thumb": small[index],
            }
            for index in range(len(runs))
        ],
        "groups": shown,
        "thumbSide": side,
        "sources": sources.shown,
    }


def _axes(runs: Runs) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """The settings that differ, each with its values in order; and for every run the positions of its values."""
    axes, positions = [], []
    for key in runs.settings:
        column = [runs.setting(index, key) for index in range(len(runs))]
        values = varying.in_order(set(column))
        short = varying.labels(values)
        place = {value: position for position, value in enumerate(values)}
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        labels = [{"label": short[value], "full": varying.show(value)} for value in values]
        axes.append({"key": key, "short": _short(key, runs.settings), "values": labels, "numbers": numbers})
        positions.append([place[value] for value in column])
    return axes, positions


def _short(key: str, keys: list[str]) -> str:
    section, _, name = key.rpartition(".")
    names = [other.rpartition(".")[2] for other in keys]
    if section and name in BARE:
        return section
    return name if section and section != "layers" and names.count(name) == 1 else key


def _measures(keys: list[str], runs: Runs) -> list[dict[str, Any]]:
    """Label, direction (-1: the lower the better, 1: the higher, 0: neither) and meaning of every measure."""
    measures = []
    for key in keys:
        kind = "loss" if key == LOSS else "cost" if key in COSTS else "distance"
        label, factor = COSTS.get(key, (key.replace("_", " "), 1.0))
        better = 0 if kind == "loss" or key == "tv" else 1 if key in HIGHER_IS_BETTER else -1
        hint = CAVEAT if kind == "loss" else HINTS.get(key, "")
        measures.append({"key": key, "label": label, "kind": kind, "better": better, "hint": hint, "factor": factor})
    return [measure for measure in measures if runs.table[measure["key"]].notna().any()]


def _scaled(values: dict[str, float], measures: list[dict[str, Any]]) -> dict[str, float]:
    """The measures that a run has, in the units of their labels."""
    scaled = {measure["key"]: _rounded(values[measure["key"]] * measure["factor"]) for measure in measures}
    return {key: value for key, value in scaled.items() if value is not None}


def _command(manifest: dict[str, Any]) -> str | None:
    """What makes a run again; None for one from Python, without overrides."""
    overrides, folder = manifest.get("overrides"), manifest.get("config_dir")
    if not isinstance(overrides, list) or not overrides:
        return None
    return shlex.join(["nst-lab", *(["--config-dir", str(folder)] if folder else []), *map(str, overrides)])


def _run(record: Record, page: Path, points: int) -> dict[str, Any]:
    """What a run says of itself: name, state, link to its picture, command, curves."""
    manifest = record.manifest
    return {
        "name": record.folder.name,
        "link": _link(record.folder / RESULT, page),
        "completed": manifest.get("status") == "completed",
        "problem": record.problem,
        "command": _command(manifest),
        "facts": [[label, _fact(manifest[key])] for key, label in FACTS.items() if manifest.get(key) is not None],
        "curves": _curves(record, points),
    }


def _link(file: Path, page: Path) -> str:
    """The address of a file from a page, whatever bytes its name is made of."""
    return quote(os.fsencode(Path(os.path.relpath(file, page.parent)).as_posix()))


FACTS = {"size": "height, width", "stop_reason": "stopped", "device": "device", "threads": "threads",
         "start": "started", "commit": "commit"}  # fmt: skip


def _fact(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _curves(record: Record, points: int) -> dict[str, list[float | None]]:
    """The weighted losses by evaluation, thinned out."""
    lines = list(read_curves(record.folder, points))
    curves = {name: [_rounded(line.get(name)) for line in lines] for name in CURVES}
    return {"evaluation": [_rounded(line.get("evaluation")) for line in lines]} | {
        name: values for name, values in curves.items() if any(values)
    }


def _rounded(value: Any) -> float | int | None:
    """Five significant digits, whole numbers without a point; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


class _Sources:
    """Content and style pictures, each once, with a thumbnail or what became of the file."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self._places: dict[tuple[str, str, str | None], int] = {}

    def of(self, record: Record) -> list[int]:
        """The positions in `shown` of the pictures that a run was made from, the content first."""
        return [self._place(*source) for source in _sources_of(record)]

    def _place(self, kind: str, image: str, sha256: str | None, credit: str) -> int:
        key = (kind, image, sha256)
        if key not in self._places:
            self._places[key] = len(self.shown)
            picture, missing = _look_up(image, sha256)
            name = image if image in catalog.entries() else Path(image).name
            self.shown.append(
                {"kind": kind, "image": image, "name": name, "credit": credit, "thumb": picture, "missing": missing}
            )
        return self._places[key]


def _sources_of(record: Record) -> Iterator[tuple[str, str, str | None, str]]:
    """Kind, image, sha256 and credit of content and styles."""
    config: dict[str, Any] = record.manifest["config"]
    hashes, credits = record.manifest.get("hashes"), record.manifest.get("credits")
    hashes = hashes if isinstance(hashes, dict) else {}
    content, styles = (section if isinstance(section := config.get(key), dict) else {} for key in ("content", "style"))
    images: list[tuple[str, Any, Any]] = [("content", content.get("image"), hashes.get("content"))]
    names, sums = (value if isinstance(value, list) else [] for value in (styles.get("images"), hashes.get("styles")))
    images += [("style", name, sums[place] if place < len(sums) else None) for place, name in enumerate(names)]
    images = [source for source in images if isinstance(source[1], str)]
    credits = credits if isinstance(credits, list) else []
    for place, (kind, image, sha256) in enumerate(images):
        known = sha256 if isinstance(sha256, str) else None
        yield kind, image, known, str(credits[place]) if place < len(credits) else ""


def _look_up(image: str, sha256: str | None) -> tuple[str | None, str | None]:
    """A thumbnail, or why there is none."""
    try:
        file = catalog.find(image)
        if file is None:
            return None, "not on this machine"
        if sha256 and fetch.sha256_of(file) != sha256:
            return None, "not the picture of the run any more"
        return thumbnail(file, SOURCE_SIDE), None
    except UserError:
        return None, "not found"
