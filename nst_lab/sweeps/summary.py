"""The `summary` run of an experiment's TensorBoard page: which settings vary, how curves overlay, the labelled grid."""

import os
import re
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import Discrete, HParam, Metric, hparams_config_pb
from torch.utils.tensorboard import summary

from nst_lab.comparison import varying
from nst_lab.comparison.scanning import SUMMARY, scan
from nst_lab.config.composition import flat
from nst_lab.images import catalog
from nst_lab.images.decode import decode
from nst_lab.running import events
from nst_lab.running.recorder import hyperparameter
from nst_lab.running.runs import opening
from nst_lab.sweeps.sweep import Planned

# Columns of the HParams page after the settings.
METRICS = {
    "distance/content": "content distance",
    "distance/style": "style distance",
    "distance/swd": "sliced Wasserstein distance",
    "distance/color": "colour distance",
    "distance/ssim": "SSIM",
    "cost/seconds": "seconds",
}
MOST_VALUES = 40  # of a setting, up to which they can be picked from a list


def write_summary(experiment: Path, planned: Sequence[Planned] = (), grid: Path | None = None) -> None:
    """Replace the `summary` run of an experiment's folder.

    Args:
        experiment: `<out_dir>/<name>`.
        planned: runs that may not have begun.
        grid: the labelled picture of the results, if there is one.
    """
    experiment.mkdir(parents=True, exist_ok=True)
    manifests = [record.manifest for record in scan([experiment])[0]]
    manifests += [opening(item.cell.config, item.identity) for item in planned]
    metrics = [Metric(tag, display_name=name) for tag, name in METRICS.items()]
    summaries = [hparams_config_pb(_varying(manifests), metrics), summary.custom_scalars(_layout(manifests))]
    if grid is not None:
        summaries.append(summary.image("grid", decode(grid), dataformats="HWC"))
    _replace(experiment / SUMMARY, summaries)


def announce(planned: Sequence[Planned]) -> dict[Path, list[Planned]]:
    """Write the `summary` run of every experiment that is about to be made. Returns their runs by their folders."""
    experiments: dict[Path, list[Planned]] = {}
    for item in planned:
        experiments.setdefault(item.folder.parent, []).append(item)
    for folder, together in experiments.items():
        with suppress(OSError):  # the launch will tell what is wrong with the folder
            write_summary(folder, together)
    return experiments


def _varying(manifests: Sequence[dict[str, Any]]) -> list[HParam]:
    """The settings that differ between runs, in the form in which each run has written its own."""
    rows = [varying.settings_of(manifest) for manifest in manifests]
    keys = varying.independent(varying.differing(rows), rows, varying.explicit_keys(manifests))
    settings = [flat(manifest["config"]) for manifest in manifests]
    return [_parameter(key, [hyperparameter(row.get(key)) for row in settings]) for key in keys if key in settings[0]]


def _parameter(key: str, values: Sequence[str | float | bool]) -> HParam:
    kinds = {type(value) if isinstance(value, (str, bool)) else float for value in values}
    distinct = sorted(set(values)) if len(kinds) == 1 else []
    return HParam(key, Discrete(distinct) if 0 < len(distinct) <= MOST_VALUES else None)


def _layout(manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Charts that lay the terms of a run over each other."""
    images = [manifest["config"]["style"]["images"] for manifest in manifests]
    styles = dict.fromkeys(name for each in images for name in catalog.short_names(each))
    terms = {f"style terms: {name}": ["Multiline", [f"style/{re.escape(name)}/.*"]] for name in styles}
    tv = any(manifest["config"]["loss"].get("tv_weight") for manifest in manifests)
    used = ["total", "content", "style", *(["tv"] if tv else [])]
    weighted = {name: ["Multiline", [f"loss/{name}"]] for name in used}
    together = {"content, style and TV, weighted": ["Multiline", ["loss/(content|style|tv)"]]}
    return {
        "terms by layer, unweighted": {"content terms": ["Multiline", ["content/.*"]]} | terms,
        "losses": together | weighted,
    }


def _replace(folder: Path, summaries: Sequence[Summary]) -> None:
    """One event file takes the place of those before it; a reader finds the old ones or the new one."""
    earlier = list(folder.glob(events.PATTERN)) if folder.exists() else []
    hidden = folder.parent / f".{SUMMARY}.{os.getpid()}"
    hidden.mkdir(parents=True, exist_ok=True)
    try:
        with closing(events.EventFile(hidden)) as file:
            file.add(summaries)
        folder.mkdir(exist_ok=True)
        file.path.replace(folder / file.path.name)
    finally:
        rmtree(hidden, ignore_errors=True)
    for path in earlier:
        if path.name != file.path.name:
            path.unlink(missing_ok=True)
