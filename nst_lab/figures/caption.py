"""The caption of a figure: what it shows, every setting, credits, and what differs from the paper."""

import shlex
from collections.abc import Sequence
from typing import Any

from nst_lab.config.composition import flat
from nst_lab.config.schema import file_to_start_from, named_controls
from nst_lab.config.values import show
from nst_lab.figures.plan import FigurePlan, Panel
from nst_lab.images import catalog
from nst_lab.running import runs
from nst_lab.running.runs import HOUSEKEEPING, picture_settings
from nst_lab.sweeps.sweep import decimals


def caption(plan: FigurePlan) -> str:
    """Markdown, complete for a reader who has neither the configuration nor the run folders."""
    figure = plan.request.figure
    shared, differing = _settings(plan)
    parts = [
        f"# {figure.title}",
        f"{figure.number} of: {figure.paper}." if figure.number else f"{figure.paper}.",
        _table(("panel", "shows", *differing), [_panel_row(panel, differing) for panel in plan.panels]),
        "## Differences from the publication" if figure.number else "## Notes",
        _list(differences(plan)),
        "## Images",
        _list(_credits(plan)),
        "## Settings of all runs",
        _table(("key", "value"), [(f"`{key}`", f"`{value}`") for key, value in shared.items()]),
        "## Runs",
        _table(("panel", "run", "status", "evaluations", "stopped", "seconds", "device"), _runs(plan)),
        "Made by nst_lab:",
        f"```sh\n{_command(plan)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def differences(plan: FigurePlan) -> list[str]:
    """What the figure's file says, and what follows from how it was made."""
    figure, chosen = plan.request.figure, plan.request.figure.quality["paper"]
    lines = list(figure.differences)
    configs = [item.cell.config for item in plan.planned]
    weights = dict.fromkeys(config.model.weights for config in configs)
    if "caffe" in weights:
        lines.append("The network weights are the papers' in an 8-bit palette (within 1 % of the originals).")
    if plan.quality != chosen:
        lines.append(
            f"{plan.quality.size} px and {plan.quality.evaluations} evaluations in place of {chosen.size} px and "
            f"{chosen.evaluations} evaluations."
        )
    told = [text for text in plan.extra if text.partition("=")[0].partition(".")[0] not in HOUSEKEEPING]
    if told:
        lines.append(f"Set for all runs on the command line, whatever the labels say: `{' '.join(told)}`.")
    lines += [f"`{other}` stands in for `{image}`." for image, other in plan.stand_ins.items()]
    return lines


def _settings(plan: FigurePlan) -> tuple[dict[str, str], list[str]]:
    """The settings that all runs share, by key, and the keys of those that differ."""
    every = [_flat(panel) for panel in plan.panels if panel.planned]
    keys = list(dict.fromkeys(key for settings in every for key in settings))
    differing = [key for key in keys if len({settings.get(key) for settings in every}) > 1]
    shared = {key: every[0][key] for key in keys if key not in differing}
    return shared, differing


def _flat(panel: Panel) -> dict[str, str]:
    return {key: _shown(value) for key, value in flat(picture_settings(panel.cell.config)).items()}


def _shown(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return ", ".join(" ".join(f"{key}={show(each)}" for key, each in scale.items()) for scale in value)
    return show(value)


def _panel_row(panel: Panel, differing: Sequence[str]) -> tuple[str, ...]:
    settings = _flat(panel) if panel.planned else {}
    return (panel.place, panel.shows, *(f"`{settings[key]}`" if key in settings else "" for key in differing))


def _credits(plan: FigurePlan) -> list[str]:
    images = []
    for panel in plan.panels:
        config = panel.cell.config
        if config.content.image and panel.show != "style":
            images.append(config.content.image)
        if config.loss.style_weight > 0 or panel.show == "style" or config.init.kind == "style":
            images += config.style.images
        if panel.show == "result":
            images += named_controls(config)
        if start := file_to_start_from(config):
            images.append(start)
    return [f"`{image}`: {catalog.credit(image)}" for image in dict.fromkeys(images)]


def _runs(plan: FigurePlan) -> list[tuple[str, ...]]:
    rows = []
    for panel in plan.panels:
        if panel.planned:
            manifest = runs.read_manifest(panel.planned.folder) or {}
            seconds = decimals(manifest.get("seconds"), 0)
            told = (manifest.get("evaluations", ""), manifest.get("stop_reason", manifest.get("error", "")), seconds)
            status, device = manifest.get("status", "not run"), manifest.get("device", "")
            rows.append((panel.place, f"`{panel.planned.folder.name}`", status, *map(str, told), str(device)))
    return rows


def _command(plan: FigurePlan) -> str:
    """What makes this figure again, as a shell takes it; size and evaluations are told even if they are the file's."""
    request = plan.request
    told = {"quality": request.quality, "size": plan.quality.size, "evaluations": plan.quality.evaluations}
    told |= {"images": request.images}
    words = [f"figure={plan.name}", *(f"{key}={value}" for key, value in told.items())]
    words += [text for text in plan.own if text.lstrip("+").partition("=")[0] not in told]
    folder = [] if plan.config_dir is None else ["--config-dir", str(plan.config_dir)]
    return shlex.join(["nst-figure", *folder, *words, *plan.extra])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "None known."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([" ".join(str(cell).replace("|", "\\|").split()) for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
