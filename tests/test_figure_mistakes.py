"""Mistakes in the file of a figure or on its command line are one line each; odd names and labels are none."""

import json
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import TINY
from matplotlib.text import Text
from PIL import Image
from small_figure import SMALL, make

from nst_lab.config.composition import Composer
from nst_lab.figures.command import command
from nst_lab.figures.layout import Drawn, Sheet, draw
from nst_lab.figures.plan import plan_figure
from nst_lab.figures.schema import load_request


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("number: Figure 7", "nummer: 7", "nummer: no such key; valid: paper, number"),
        ("label: two", "lable: two", "lable: no such key; valid: label"),
        ("label: two", "show: reslut", "columns[1].show=reslut: expected one of result, content, style, curves; did"),
        ("{seed: 2}", "{sede: 2}", "row 1, panel 2: sede=2: no such key"),
        ("{seed: 2}", "{seed: two}", "row 1, panel 2: seed=two: expected a whole number"),
        ("{seed: 2}", "{seed: '1,2'}", "seed=1,2: expected a whole number"),
        ("columns:", "columns: []\nrows:\n - panels: []\nignored:", "figure=small"),
        (
            "differences:",
            "rows: [{label: all}, {panels: []}]\ndifferences:",
            "rows[1].panels=[]: no panels; null shows",
        ),
        ("differences:", "rows: [{panels: []}]\ndifferences:", "rows[0].panels=[]: no panels"),
        ("label: two", "size_factor: .inf", "columns[1].size_factor=inf: expected a number above 0"),
        ("label: two", "size_factor: .nan", "columns[1].size_factor=nan: expected a number above 0"),
        ("label: two", "evaluations_factor: 0", "columns[1].evaluations_factor=0: expected a number above 0"),
        ("title:", "quality: {paper: {evaluations: -3}}\ntitle:", "quality.paper.evaluations=-3: expected a whole"),
        (
            "title:",
            "quality: {draft: {size: 0}}\ntitle:",
            "quality.draft.size=0: expected a whole number of at least 1",
        ),
        (
            "title:",
            "quality: {darft: {size: 1, evaluations: 1}}\ntitle:",
            "quality=darft: expected one of paper, draft",
        ),
        ("title: Three", "title: [Three", "figure=small"),
    ],
)
def test_a_mistake_in_a_figures_file_is_one_line(own_figure, old, new, told, capsys):
    assert old in SMALL
    own_figure(SMALL.replace(old, new))
    assert make() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("nst-figure: figure=small: ")
    assert told in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["figure=gatys2015_fig2x"], "no such figure; valid: ablation_blend"),
        (["figure=gatys2015_fig2", "quality=best"], "quality=best: expected one of paper, draft"),
        (["figure=gatys2015_fig2", "images=mine"], "images=mine: expected one of papers, built_in"),
        (["figure=gatys2015_fig2", "size=0"], "size=0: expected a whole number of at least 1"),
        (["figure=gatys2015_fig2", "size=big"], "size"),
        (["figure=gatys2015_fig2", "seed=1,2"], "seed=1,2: a cell of a figure takes one value"),
        (["figure=gatys2015_fig2", "sede=1"], "sede=1: no such key"),
        (["gatys2015_fig2"], "expected one figure=<name>; nst-figure list shows them"),
        (["figure=gatys2015_fig2", "figure=gatys2015_fig3"], "expected one figure=<name>"),
        (["--what"], "nst-figure --help says more"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(here, words, told, capsys):
    assert command(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("nst-figure: ")
    assert error.count("\n") == 1
    assert told in error
    assert not list(here.iterdir())


def test_a_row_without_panels_needs_the_columns_of_the_figure(own_figure, capsys):
    changed = yaml.safe_load(SMALL)
    changed["rows"] = [{"panels": changed.pop("columns")}, {"label": "nothing"}]
    own_figure(yaml.safe_dump(changed))
    assert make() == 2
    assert "figure=small: rows[1]: no panels, and the figure has no columns" in capsys.readouterr().err


def test_a_picture_too_small_is_told_in_the_size_of_the_figure(here, capsys):
    assert command(["figure=gatys2017_fig5", "size=32", "images=built_in"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nst-figure: figure=gatys2017_fig5: size=32: size_factor 0.5 of ")
    assert error.count("\n") == 1
    assert not list(here.iterdir())


ODD = ("$\\alpha_$", "US$ 5 and $ 6", "cost$_$x", "a_b^c $", r"\$ $$", "日本 \udce9")


def odd_sheet(text: str) -> Sheet:
    shown = Drawn(picture=np.zeros((24, 32, 3), np.float32), result=True, label=text, letter=text[:2])
    curves = Drawn(curves=[(text, [1, 2, 3], [3.0, 2.0, 1.0])], label=text)
    return Sheet([[shown, Drawn(missing=text)], [curves]], [text, text], (), text, text, text)


@pytest.mark.parametrize("text", ODD)
def test_labels_are_drawn_as_they_are_without_a_warning(text, here):
    figure = draw(odd_sheet(text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(here / "page.png")
        figure.savefig(here / "page.pdf")
    drawn = [found.get_text() for found in figure.findobj(Text) if "$\\mathdefault" not in found.get_text()]
    preprocessed = [Text(text=each)._preprocess_math(each) for each in drawn]
    assert not any(is_math for _, is_math in preprocessed)
    expected = "".join("□" if each in "日本\udce9" else each for each in text)
    assert sum(shown == expected for shown, _ in preprocessed) >= 5


@pytest.mark.parametrize("words", [40, 400])
def test_long_titles_are_wrapped_and_stay_on_the_page(words):
    panel = Drawn(picture=np.zeros((24, 32, 3), np.float32), result=True)
    title = "word " * words
    figure = draw(Sheet([[panel] * 3] * 2, ["one", "two"], ["a", "b", "c"], title, title))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    assert len(boxes) == 7
    for n, box in enumerate(boxes):
        assert min(box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1) >= -1
        assert not any(box.overlaps(other) for other in boxes[:n])


def test_a_figure_with_an_undecodable_picture_of_an_odd_name_is_made(own_figure, here, capsys):
    (here / "bad$_$.png").write_bytes(b"no picture")
    changed = yaml.safe_load(SMALL)
    changed["columns"][1] |= {"label": "$\\alpha_$", "settings": {"content.image": "bad$_$.png"}}
    own_figure(yaml.safe_dump(changed))
    assert make() == 1
    assert "bad$_$.png" in capsys.readouterr().err
    assert all(Path(f"outputs/figures/small.{suffix}").is_file() for suffix in ("png", "pdf", "md"))


def test_a_path_with_a_backslash_is_that_path(own_figure, here):
    Image.new("RGB", (40, 30)).save(here / r"it\s a.png")
    own_figure(SMALL.replace("content: neckarfront", r"content.image: 'it\s a.png'"))
    composer = Composer("mine")
    panels = plan_figure(composer, "small", load_request(composer, "small"), TINY).panels
    assert {panel.cell.config.content.image for panel in panels} == {r"it\s a.png"}


def test_the_caption_states_values_exactly_and_the_command_that_makes_the_figure_again(own_figure, monkeypatch):
    own_figure(SMALL.replace("init: noise", "init: noise\n  loss.content_weight: 147528426.22"))
    own = ("figure.title=Once more", "name=mine again", "loss.tv_weight=0.000012345678")
    assert make(*own) == 0
    folder = Path("outputs/mine again")
    caption = (folder / "small.md").read_text()
    assert "| `loss.content_weight` | `147528426.22` |" in caption
    assert "| `loss.tv_weight` | `1.2345678e-05` |" in caption
    contents = {path.name: path.read_bytes() for path in folder.glob("small.*")}
    assert len(contents) == 3
    for path in folder.glob("small.*"):
        path.unlink()
    line = caption.partition("```sh\n")[2].partition("\n")[0]
    program, *words = shlex.split(line)
    assert program == "nst-figure"
    assert command(words) == 0
    again = {path.name: path.read_bytes() for path in folder.glob("small.*")}
    assert again == contents
    assert {len(json.loads(path.read_text())["attempts"]) for path in folder.glob("*/manifest.json")} == {1}


def test_the_runs_of_a_figure_have_a_summary_for_tensorboard(own_figure):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    assert make() == 0
    summary = EventAccumulator("outputs/figures/summary").Reload()
    content = summary.SummaryMetadata("_hparams_/experiment").plugin_data.content
    assert [each.name for each in HParamsPluginData.FromString(content).experiment.hparam_infos] == ["seed"]
    assert "custom_scalars__config__" in summary.Tags()["tensors"]
