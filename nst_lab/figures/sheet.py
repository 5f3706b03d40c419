"""A planned figure and its run folders -> the sheet that is drawn, and its three files."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import rc_context

from nst_lab.comparison.scanning import read_curves
from nst_lab.errors import UserError
from nst_lab.figures.caption import caption
from nst_lab.figures.layout import Curve, Drawn, Sheet, draw
from nst_lab.figures.plan import FigurePlan, Panel
from nst_lab.images import catalog
from nst_lab.images.decode import decode
from nst_lab.running import runs


def save_figure(plan: FigurePlan) -> tuple[dict[str, Path], list[str]]:
    """Write `<out_dir>/<name>/<figure>.png`, `.pdf` and `.md`, each complete or not at all.

    The same runs and labels give the same bytes.

    Returns:
        The files by extension, and the panels that are missing; why, where it was no run that failed and told it.
    """
    sheet = make_sheet(plan)
    folder = Path(plan.request.out_dir) / plan.request.name
    folder.mkdir(parents=True, exist_ok=True)
    files = {suffix: folder / f"{plan.name}.{suffix}" for suffix in ("png", "pdf", "md")}
    metadata = {"png": {"Title": plan.name, "Software": None}, "pdf": {"Title": plan.name, "CreationDate": None}}
    with rc_context({"pdf.fonttype": 42}):  # TrueType: text in the PDF stays text
        figure = draw(sheet)
        for suffix in ("png", "pdf"):
            temporary = _temporary(files[suffix])
            figure.savefig(temporary, metadata=metadata[suffix])
            temporary.replace(files[suffix])
    temporary = _temporary(files["md"])
    temporary.write_text(caption(plan), encoding="utf-8")
    temporary.replace(files["md"])
    drawn = [panel for row in sheet.rows for panel in row]
    lost = [(panel, shown) for panel, shown in zip(plan.panels, drawn, strict=True) if shown.missing]
    return files, [panel.place if panel.planned else f"{panel.place}: {shown.missing}" for panel, shown in lost]


def _temporary(file: Path) -> Path:
    return file.with_name(f".{file.stem}.{os.getpid()}.partial{file.suffix}")


def make_sheet(plan: FigurePlan) -> Sheet:
    """What is there, in its place: results, inputs and curves; and for what is not, the reason."""
    figure = plan.request.figure
    rows = [[_drawn(panel, plan) for panel in plan.panels if panel.row == y] for y in plan.rows]
    return Sheet(
        rows=rows,
        row_labels=[row.label for row in figure.rows] or [""],
        column_labels=[column.label for column in figure.columns],
        row_title=figure.row_title,
        column_title=figure.column_title,
        footer=" ".join(plan.notices),
    )


def _drawn(panel: Panel, plan: FigurePlan) -> Drawn:
    drawn = partial(Drawn, label=panel.label if panel.own_label else "", letter=panel.letter)
    if panel.show == "curves":
        made = [(each, each.planned.folder) for each in plan.panels if each.planned]
        curves = [curve for each, folder in made if (curve := _curve(each.label or each.place, folder))]
        return drawn(curves=curves, missing="" if curves else "no run has logged its losses")
    try:
        if panel.planned:
            manifest = runs.read_manifest(panel.planned.folder) or {}
            if manifest.get("status") != "completed":
                return drawn(missing=str(manifest.get("error") or manifest.get("status") or "not run"))
            result = decode(panel.planned.folder / runs.RESULT)
            return drawn(picture=result, result=True, inset=_input(panel, panel.inset))
        picture = _input(panel, panel.show)
        missing = "" if picture is not None else f"its settings have no {panel.show} image"
        return drawn(picture=picture, inset=_input(panel, panel.inset), missing=missing)
    except UserError as error:
        return drawn(missing=str(error))


def _input(panel: Panel, kind: str) -> np.ndarray | None:
    """The content or the first style image of a panel's settings; None where there is none."""
    config = panel.cell.config
    image = {"content": config.content.image, "style": next(iter(config.style.images), None)}.get(kind)
    return decode(catalog.locate(image)) if image else None


def _curve(label: str, folder: Path) -> Curve | None:
    """The total loss of a run by evaluation, where it was finite and no step was taken back."""
    logged = [(line.get("evaluation"), line.get("total")) for line in read_curves(folder)]
    points = [point for point in logged if all(isinstance(value, (int, float)) for value in point)]
    return (label, *zip(*points, strict=True)) if points else None
