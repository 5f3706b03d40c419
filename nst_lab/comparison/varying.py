"""What differs between runs: the settings worth a column, an axis or a filter, and how their values are written."""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from math import floor, isfinite, log10
from typing import Any

import yaml

from nst_lab.config.composition import conf_directory, flat
from nst_lab.config.values import value_at
from nst_lab.running.runs import HOUSEKEEPING, NEUTRAL

REPEAT = "seed"  # runs that are equal in all other settings are repeats

# What follows from other settings unless it is set itself, and from which; any other key of a convention from that.
FOLLOWS = {
    "layers.content_weights": ("layers.content", "layers.content_profile"),
    "layers.style_weights": ("layers.style", "layers.style_profile"),
    "style.weights": ("style.images", "style.profile"),
    "model.mean": ("model.weights",),
    "model.std": ("model.weights",),
    "optimizer.learning_rate": ("convention", "optimizer.name"),
    "loss.style_factor": ("convention", "loss.statistic"),
    "bytes of content": ("content.image",),
    "bytes of styles": ("style.images", "loss.style_weight", "style.weights"),
    "style.layer_weights": ("style.layers", "layers.style_profile"),
    "bytes of masks": ("style.masks", "loss.style_weight", "style.weights"),
    "bytes of guides": ("style.guides", "loss.style_weight", "style.weights"),
    "bytes of fine": ("style.fine", "loss.style_weight", "style.weights"),
    "bytes of content_mask": ("content.mask", "loss.content_weight"),
    "bytes of init": ("init.kind", "init.image", "init.run"),
    "init.curvature": ("init.kind",),
    "optimizer.revive": ("convention", "init.kind"),
    "bytes of weights": ("model.weights", "model.seed"),
    "bytes of means": ("model.normalized", "model.means"),
}


def settings_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """What determined the picture, by dotted key: settings, bytes of images and weights, version of the results.

    Values can be compared and hashed: lists are tuples. Keys younger than the run have the value that changes nothing.
    From which run a cell of a sweep goes on follows from the sweep, and is left out: its repeats go on from others.
    """
    config = {key: value for key, value in manifest["config"].items() if key not in HOUSEKEEPING}
    hashes = manifest.get("hashes")
    hashes = hashes if isinstance(hashes, dict) else {}
    used = {f"bytes of {name}": _shortened(value) for name, value in hashes.items()}
    settings = {key: _hashable(value) for key, value in flat(config).items()} | used
    settings["result_version"] = _inner(manifest.get("result_version"))
    if settings.get("init.kind") == "run" and value_at(manifest, "config.runner.continuation"):
        settings |= {"init.run": None, "bytes of init": "run"}
    return settings | {key: _hashable(value) for key, value in NEUTRAL.items() if key not in settings}


def _hashable(value: Any) -> Any:
    """A list as a tuple, and what is nested deeper as text."""
    return tuple(map(_inner, value)) if isinstance(value, list) else value


def _inner(value: Any) -> Any:
    if isinstance(value, list):
        return f"[{show(tuple(map(_inner, value)))}]"
    return json.dumps(value) if isinstance(value, dict) else value


def _shortened(value: Any) -> Any:
    """Hashes of 12 digits, as in the names of folders."""
    if isinstance(value, list):
        return tuple(map(_shortened, value))
    return value[:12] if isinstance(value, str) else _inner(value)


def differing(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The keys whose value is not the same in all rows, in the order of the rows; a missing key is None."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len({row.get(key) for row in rows}) > 1]


def explicit_keys(manifests: Iterable[dict[str, Any]]) -> set[str]:
    """The keys that some run has set itself, in place of its convention's value."""
    listed = [manifest.get("convention_overrides") for manifest in manifests]
    return {key for keys in listed if isinstance(keys, list) for key in keys if isinstance(key, str)}


def independent(keys: Sequence[str], rows: Sequence[dict[str, Any]], explicit: set[str]) -> list[str]:
    """Those of `keys` that do not merely follow from others.

    Layer weights follow from the list of layers, the learning rate from the optimiser, most settings from the
    convention: as long as no run sets them itself (`explicit`, the union of their `convention_overrides`) and runs that
    agree in what they follow from agree in them.
    """
    return [key for key in keys if key in explicit or not _follows(key, rows)]


def _follows(key: str, rows: Sequence[dict[str, Any]]) -> bool:
    sources = FOLLOWS.get(key) or (("convention",) if key in _of_conventions() else None)
    if sources is None:
        return False
    values: dict[tuple[Any, ...], Any] = {}
    return all(values.setdefault(tuple(map(row.get, sources)), row.get(key)) == row.get(key) for row in rows)


@cache
def _of_conventions() -> set[str]:
    """The keys that the shipped conventions have a value for."""
    texts = [file.read_text(encoding="utf-8") for file in (conf_directory() / "convention").glob("*.yaml")]
    return {key for text in texts for key in flat(yaml.safe_load(text))}


def show(value: Any) -> str:
    """A value as one writes it on the command line, lists without their brackets; 1e6 for 1000000.0."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _show_float(value)
    if isinstance(value, tuple):
        return ", ".join(map(show, value))
    return str(value)


def _show_float(value: float) -> str:
    shortest = f"{value:.10g}"
    if value == 0 or not isfinite(value) or -3 <= floor(log10(abs(value))) <= 4:
        return shortest
    mantissa, _, exponent = f"{value:.9e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def labels(values: Iterable[Any]) -> dict[Any, str]:
    """`show`, but long lists as their first and last item, as long as no two values then read the same."""
    values = list(values)
    short = {value: _abridged(value) for value in values}
    return short if len(set(short.values())) == len(short) else {value: show(value) for value in values}


def _abridged(value: Any) -> str:
    return f"{show(value[0])} … {show(value[-1])}" if isinstance(value, tuple) and len(value) > 2 else show(value)


def matches(value: Any, text: str) -> bool:
    """Whether `text` is this value, however it is written: 1e6 or 1000000, [a,b] or a, b."""
    return _plain(show(value)) == _plain(text)


def _plain(text: str) -> str:
    """A value without quotes, blanks and the brackets around a whole list; numbers in one form."""
    plain = re.sub(r"[^\[\](),]+", lambda part: _plain_number(part[0].strip(" '\"")), text)
    while _wrapped(plain):
        plain = plain[1:-1]
    return plain.lower()


def _wrapped(text: str) -> bool:
    """Whether the bracket that a text begins with is closed by its last character."""
    if text[:1] not in ("[", "("):
        return False
    depths = accumulate((character in "[(") - (character in "])") for character in text)
    return next((index for index, depth in enumerate(depths) if depth == 0), None) == len(text) - 1


def _plain_number(text: str) -> str:
    try:
        return show(float(text))
    except (ValueError, OverflowError):
        return text


def in_order(values: set[Any]) -> list[Any]:
    """Values as they run along an axis."""
    return sorted(values, key=rank)


def rank(value: Any) -> tuple[Any, ...]:
    """What a value is sorted by: nothing first, numbers by size, lists by length, the rest by alphabet."""
    if value is None:
        return (0,)
    if isinstance(value, (bool, int, float)):
        return (1, value)
    if isinstance(value, tuple):
        return (2, len(value), show(value))
    return (3, str(value))
