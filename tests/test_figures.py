"""Figures: every configuration expands and is drawn, what is missing is run and nothing else, labels are only drawn."""

import json
import re
from math import log10
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import CHECKOUT
from matplotlib.text import Text
from PIL import Image
from small_figure import BUILT_IN, QUICK, SMALL, make

from nst_lab.config.composition import Composer
from nst_lab.config.grammar import override_value
from nst_lab.figures.command import command
from nst_lab.figures.layout import LEAST_POINTS, PAGE_INCHES, Drawn, Sheet, draw
from nst_lab.figures.plan import plan_figure
from nst_lab.figures.schema import figure_names, load_request
from nst_lab.figures.sheet import make_sheet
from nst_lab.images import catalog
from nst_lab.running import runs

FIGURES = sorted(path.stem for path in (CHECKOUT / "conf/figure").glob("*.yaml"))
EXPECTED = {
    *(f"gatys2015_fig{number}" for number in (1, 2, 3)),
    *(f"gatys2016_fig{number}" for number in (1, 3, 4, 5, 6)),
    *(f"gatys2015_texture_fig{number}" for number in (2, 3)),
    *(f"gatys2017_fig{number}" for number in (3, 5)),
    *(f"seed_{notebook}" for notebook in ("reconstruction", "one_style", "two_styles")),
    *(
        f"ablation_{what}"
        for what in (
            "pooling", "normalized", "init", "optimizer", "style_layers", "content_layer", "weights", "blend", "tv",
            "conventions", "masks", "fine_and_coarse", "color",
        )
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def composer():
    return Composer()


def starts() -> dict[str, list[str]]:
    """When each run was attempted."""
    manifests = [json.loads(path.read_text()) for path in Path("outputs/figures").glob("*/manifest.json")]
    return {each["fingerprint"]: [attempt["start"] for attempt in each["attempts"]] for each in manifests}


def plan(composer, name, *own, extra=()):
    return plan_figure(composer, name, load_request(composer, name, own), extra)


def found_at(page: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns of a page at which a picture is shown pixel for pixel, by whole magnification."""
    places = []
    for times in range(1, 40):
        shown = picture.repeat(times, 0).repeat(times, 1)
        height, width = shown.shape[:2]
        if height > page.shape[0] or width > page.shape[1]:
            break
        first = np.argwhere((page[: page.shape[0] - height + 1, : page.shape[1] - width + 1] == shown[0, 0]).all(-1))
        for y, x in first:
            corner = page[y : y + height, x : x + width]
            if (corner[-1] == shown[-1]).all() and (corner == shown).all():
                places.append((int(y), int(x)))
    return places


def test_every_figure_that_is_promised_is_there(composer):
    assert set(FIGURES) == EXPECTED
    assert figure_names(composer) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_expands_and_says_what_it_is(name, composer):
    figure = plan(composer, name, "images=built_in", "size=32", "evaluations=2")
    request = figure.request.figure
    assert all((request.paper, request.title, request.expected.cpu, request.expected.gpu))
    assert (request.number == "") == name.startswith("ablation")
    assert all(panel.cell.config.size <= 32 for panel in figure.panels)
    assert len({panel.place for panel in figure.panels}) == len(figure.panels)
    for panel in figure.panels:
        images = [panel.cell.config.content.image, *panel.cell.config.style.images]
        assert all(catalog.where(image) == "built in" for image in images if image)
    header = (CHECKOUT / "conf/figure" / f"{name}.yaml").read_text().splitlines()[:4]
    assert [line.split(":")[0] for line in header[1:]] == ["# Source", "# Command", "# Expected"]
    assert header[2] == f"# Command: nst-figure figure={name}"


@pytest.mark.parametrize("name", ["gatys2015_fig3", "gatys2016_fig4"])
def test_labels_of_the_ratio_are_the_ratio(name, composer):
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    figure = plan(composer, name)
    assert all(panel.planned.cell.config.size == 512 for panel in figure.panels)
    for panel in figure.panels:
        loss = panel.cell.config.loss
        exponent = int(re.search(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)$", panel.label)[1].translate(digits))
        assert log10(loss.content_weight / loss.style_weight) == pytest.approx(exponent)


def test_the_rows_of_figure_3_are_its_layer_sets(composer):
    panels = plan(composer, "gatys2015_fig3").panels
    for row in range(5):
        layers = [f"relu{block}_1" for block in range(1, row + 2)]
        assert all(panel.cell.config.layers.style == layers for panel in panels if panel.row == row)


def test_a_cell_is_the_run_that_nst_lab_would_make(composer):
    [panel, *_] = plan(composer, "gatys2015_fig3", "size=64").panels
    settings = ["name=figures", "content=neckarfront", "style=none", "style.images=[composition_vii]", "init=noise"]
    config = composer.config([*settings, "layers=style_to_1", "loss.content_weight=1e4", "size=64",
                              "optimizer.evaluations=500"])  # fmt: skip
    assert runs.run_folder(config, runs.identify(config)) == panel.planned.folder


def test_figures_share_the_runs_of_the_cells_that_they_share(composer):
    first, second = (plan(composer, name) for name in ("gatys2015_fig3", "gatys2016_fig4"))
    shared = {item.folder for item in first.planned} & {item.folder for item in second.planned}
    assert len(shared) == 3  # α/β from 1e-4 to 1e-2 with all five layers


def test_quality_size_and_evaluations_scale_a_whole_figure(composer):
    def sizes(*own):
        configs = [item.cell.config for item in plan(composer, "gatys2017_fig5", *own).planned]
        return [(config.size, config.optimizer.evaluations) for config in configs]

    assert sizes() == [(512, 500), (1024, 700), (1024, 700)]
    assert sizes("quality=draft") == [(96, 50), (192, 70), (192, 70)]
    assert sizes("quality=draft", "size=64", "evaluations=7") == [(32, 5), (64, 7), (64, 7)]


def test_what_the_command_line_gives_wins_in_every_cell(composer):
    figure = plan(
        composer, "ablation_optimizer", extra=["optimizer=adam", "optimizer.pixel_scale=1", "content.image=camera"]
    )
    configs = [panel.cell.config for panel in figure.panels]
    assert {(config.optimizer.name, config.content.image) for config in configs} == {("adam", "camera")}
    assert len(figure.planned) == 1
    figure = plan(composer, "gatys2016_fig6", extra=["init=gray"])
    assert {panel.cell.config.init.kind for panel in figure.panels} == {"gray"}


def test_a_figure_from_nothing_to_three_files_and_again_without_a_run(own_figure, capsys):
    assert make() == 0
    printed = capsys.readouterr().out
    assert "chelsea for neckarfront" in printed
    assert "3 panels, 3 runs: 3 new" in printed
    files = [Path(f"outputs/figures/small.{suffix}") for suffix in ("png", "pdf", "md")]
    before = starts()
    assert len(before) == 3
    contents = [file.read_bytes() for file in files]
    assert b"/FontFile2" in contents[1]  # TrueType, embedded
    caption = contents[2].decode()
    for text in ("A. Nonymous", "Figure 7", "It is invented.", "`chelsea` stands in for `neckarfront`", "(CC0)",
                 "32 px and 3 evaluations in place of 512 px and 500", "| `init.kind` | `noise` |",
                 "| seed |"):  # fmt: skip
        assert text in caption
    assert make() == 0
    assert starts() == before
    assert [file.read_bytes() for file in files] == contents
    assert not list(Path("outputs/figures").glob(".*partial*"))


def test_panels_are_the_results_pixel_for_pixel_in_their_order(own_figure, composer):
    composer = Composer("mine")
    assert make() == 0

    def places() -> list[tuple[int, int]]:
        page = np.asarray(Image.open("outputs/figures/small.png").convert("RGB"))
        results = [item.folder / "result.png" for item in plan(composer, "small", *BUILT_IN, extra=QUICK).planned]
        found = [found_at(page, np.asarray(Image.open(path).convert("RGB"))) for path in results]
        assert [len(each) for each in found] == [1, 1, 1]
        return [each[0] for each in found]

    one, two, three = places()
    assert one[0] == two[0] == three[0]
    assert one[1] < two[1] < three[1]
    before = starts()
    changed = yaml.safe_load(SMALL)
    changed["columns"][0]["label"] = "the very first"
    changed["rows"] = [{"label": "down", "panels": [column]} for column in changed.pop("columns")]
    own_figure(yaml.safe_dump(changed))
    assert make() == 0
    one, two, three = places()
    assert one[0] < two[0] < three[0]
    assert one[1] == two[1] == three[1]
    assert starts() == before
    assert "the very first" in Path("outputs/figures/small.md").read_text()


def test_interrupted_half_way_only_the_missing_cells_run(own_figure, capsys, monkeypatch):
    import nst_lab.running.runner

    real, made = nst_lab.running.runner.make, []

    def interrupted(config, **options):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(config.seed)
        return (yield from real(config, **options))

    monkeypatch.setattr(nst_lab.running.runner, "make", interrupted)
    assert make() == 130
    assert "the same command goes on" in capsys.readouterr().err
    before = starts()
    monkeypatch.setattr(nst_lab.running.runner, "make", real)
    assert make() == 0
    assert "3 runs: 1 new, 2 completed" in capsys.readouterr().out
    after = starts()
    assert len(after) == 3
    assert {key: after[key] for key in before} == before


def test_a_cell_that_fails_is_a_marked_panel_and_exit_status_1(own_figure, here, capsys):
    Image.new("RGB", (40, 30)).save(here / "good.png")
    (here / "bad.png").write_bytes((here / "good.png").read_bytes()[:60])
    changed = yaml.safe_load(SMALL)
    changed["columns"][1]["settings"]["content.image"] = "bad.png"
    changed["columns"].append({"label": "input", "show": "content", "settings": {"content.image": "bad.png"}})
    own_figure(yaml.safe_dump(changed))
    assert make() == 1
    told = capsys.readouterr().err
    assert "missing: two\n" in told
    assert "bad.png" in told.partition("missing: two")[0]
    assert "missing: input: bad.png" in told
    figure = plan(Composer("mine"), "small", *BUILT_IN, extra=QUICK)
    [[one, two, three, given]] = make_sheet(figure).rows
    assert [("bad.png" in panel.missing) for panel in (one, two, three, given)] == [False, True, False, True]
    assert [panel.picture is not None for panel in (one, two, three, given)] == [True, False, True, False]
    shown = [text.get_text() for text in draw(make_sheet(figure)).findobj(Text)]
    assert sum("missing: bad.png" in text.replace("\n", " ") for text in shown) == 2
    assert "| two | `" in Path("outputs/figures/small.md").read_text()
    Image.new("RGB", (40, 30), "red").save(here / "bad.png")
    assert make() == 0


def test_an_image_that_cannot_be_had_is_told_with_the_remedy(own_figure, own_folders, monkeypatch, capsys):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setattr("nst_lab.images.fetch.RETRIES", 0)
    assert make("images=papers") == 1
    assert "NST_LAB_MIRROR" in capsys.readouterr().err
    assert Path("outputs/figures/small.png").is_file()


def test_nst_lab_names_the_command_of_figures(nst_lab_command):
    done = nst_lab_command("figure=gatys2015_fig3")
    assert done.returncode == 2
    told = "nst-lab: figure=gatys2015_fig3: figures have a command of their own: nst-figure figure=gatys2015_fig3\n"
    assert done.stderr == told


@pytest.mark.parametrize("words", [[], ["list"]])
def test_without_a_figure_the_figures_are_listed(words, capsys):
    assert command(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == FIGURES
    assert "arXiv" not in lines[1]


def test_a_dry_run_tells_the_cost_and_runs_nothing(own_figure, here, capsys):
    assert make("dry_run=true") == 0
    assert "3 new" in capsys.readouterr().out
    assert not (here / "outputs").exists()


def test_values_of_yaml_keep_their_meaning_in_overrides(composer):
    values = {"content.image": "a picture, with=signs 'and' quotes.jpg", "loss.content_weight": 1e-5, "seed": 3,
              "scales": [{"factor": 0.5, "share": 2.5}, {"factor": 1, "share": 1}], "style.images": ["a b.png"],
              "model.normalized": True, "style.size": None}  # fmt: skip
    for key, value in values.items():
        [override] = composer.parse([f"{key}={override_value(value)}"])
        assert override.value() == value


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32) / 255


def texts_of(figure):
    figure.canvas.draw()
    return [text for text in figure.texts if text.get_text()]


@pytest.mark.parametrize("columns", [1, 2, 4, 7])
def test_texts_stay_on_the_page_and_apart(columns):
    panels = [Drawn(picture=picture(24, 32, n), result=True, letter="A") for n in range(columns)]
    lost = Drawn(missing="femme_nue_assise: cannot be fetched from raw.githubusercontent.com (no connection); " * 3)
    labels = [f"conv1_1 … conv{n}_1, and more" for n in range(columns)]
    rows, footer = ["conv1_1 … conv3_1", "conv1_1 … conv5_1"], "Built-in stand-ins: chelsea for neckarfront. " * 4
    sheet = Sheet([panels, [*panels[1:], lost]], rows, labels, "style layers", "α/β", footer)
    figure = draw(sheet)
    assert figure.get_size_inches()[0] <= PAGE_INCHES[0] + 0.05
    texts = texts_of(figure)
    assert all(text.get_fontsize() >= LEAST_POINTS for text in texts)
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert min(box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1) >= -1, text
    for n, box in enumerate(boxes):
        for m, other in enumerate(boxes[:n]):
            apart = box.x0 >= other.x1 - 1 or other.x0 >= box.x1 - 1 or box.y0 >= other.y1 - 1 or other.y0 >= box.y1 - 1
            assert apart, (texts[n], texts[m])


def test_a_tall_figure_fits_on_a_page():
    panel = Drawn(picture=picture(32, 24), result=True)
    figure = draw(Sheet([[panel, panel]] * 8, [""] * 8))
    _, height = figure.get_size_inches()
    assert height <= PAGE_INCHES[1] + 0.05


def test_pictures_of_other_sizes_have_the_same_longer_side(here):
    large, small = picture(24, 32), picture(12, 16, 1)
    figure = draw(Sheet([[Drawn(picture=large, result=True), Drawn(picture=small, result=True)]], [""]))
    figure.savefig(here / "page.png")
    page = np.asarray(Image.open(here / "page.png").convert("RGB"))
    [[_, left], [_, right]] = [found_at(page, (each * 255).round().astype(np.uint8))[0] for each in (large, small)]
    assert right > left


# The weights of other networks would have to be downloaded; the layout does not depend on them.
BUILT_IN_WEIGHTS = ("seed_reconstruction", "seed_one_style", "seed_two_styles", "ablation_conventions")
OFFLINE = dict.fromkeys(BUILT_IN_WEIGHTS, ("model.weights=caffe",)) | {"ablation_weights": ("model=random",)}


@pytest.fixture(scope="module")
def shared_runs(tmp_path_factory):
    return tmp_path_factory.mktemp("figures")


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_made_at_a_tiny_size(name, shared_runs, composer, capsys):
    size = {"gatys2017_fig5": 64, "ablation_masks": 256}.get(name, 32)  # a coarsest scale; whole receptive fields
    words = ("images=built_in", f"size={size}", "evaluations=2", f"out_dir={shared_runs}")
    extra = ("log.distances=false", "log.images=0", "threads=1", *OFFLINE.get(name, ()))
    assert command([f"figure={name}", *words, *extra]) == 0, capsys.readouterr().err
    figure = plan(composer, name, *words, extra=extra)
    sheet = make_sheet(figure)
    drawn = [panel for row in sheet.rows for panel in row]
    assert len(drawn) == len(figure.panels)
    for panel, shown in zip(figure.panels, drawn, strict=True):
        assert (shown.picture is None) == (panel.show == "curves")
        assert (shown.inset is None) == (panel.inset == "none")
        if panel.planned:
            result = np.asarray(Image.open(panel.planned.folder / "result.png").convert("RGB"))
            assert ((shown.picture * 255).round() == result).all()
    texts = texts_of(draw(sheet))
    labels = [panel.label for panel in figure.panels] + [row.label for row in figure.request.figure.rows]
    shown = " ".join(text.get_text().replace("\n", " ") for text in texts)
    assert all(label in shown for label in labels)
    assert min(text.get_fontsize() for text in texts) >= LEAST_POINTS
    with Image.open(shared_runs / f"figures/{name}.png") as page:
        assert page.width >= 400
    assert f"nst-figure figure={name}" in (shared_runs / f"figures/{name}.md").read_text()
