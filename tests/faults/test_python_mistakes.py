"""Mistakes of a caller in Python, and odd files of one's own: one line of what was given and what is expected."""

import json
import re
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from searches import SEARCH, write

import nst_lab
from nst_lab import compose, load_runs, run, save_image, transfer
from nst_lab.comparison.command import command as compare
from nst_lab.config.composition import Composer
from nst_lab.config.schema import Scale
from nst_lab.errors import ConfigError, ImageError
from nst_lab.figures.command import command as figure
from nst_lab.housekeeping.command import command as housekeeping
from nst_lab.search.command import command as search

PICTURE = torch.zeros(1, 3, 16, 16)


@pytest.mark.parametrize("value", [None, {}, [], "size=32", nst_lab.compose], ids=lambda value: type(value).__name__)
def test_what_is_no_configuration_is_told_by_its_type(here, value):
    line = f"^expected a Config, as nst_lab.compose gives, got a {type(value).__name__}$"
    with pytest.raises(ConfigError, match=line):
        run(value)
    with pytest.raises(ConfigError, match=line):
        transfer(PICTURE, [PICTURE], value)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("size", "32", "size='32': expected a whole number"),
        ("size", 32.0, "size=32.0: expected a whole number"),
        ("size", None, "size=None: expected a whole number"),
        ("name", 3, "name=3: expected text"),
        ("force", "no", "force='no': expected true or false"),
        ("seed", True, "seed=True: expected a whole number"),
        ("content", {}, "content={}: expected Content"),
        ("scales", [0.5, 1], "scales=[0.5, 1]: expected a list of scales"),
        ("scales", [Scale("half", 1)], "scales[0].factor='half': expected a number"),
    ],
)
def test_an_attribute_of_another_type_is_told_with_its_key(here, key, value, told):
    config = compose(TINY)
    setattr(config, key, value)
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        run(config)
    assert not list(here.iterdir())


def test_a_whole_number_will_do_for_a_number(here):
    config = compose(TINY)
    config.loss.content_weight, config.log.images = 1, 0
    assert run(config).manifest["status"] == "completed"


@pytest.mark.parametrize("overrides", [None, [3], "size=32", {"size": 32}], ids=repr)
def test_what_is_no_list_of_overrides_is_told(overrides):
    with pytest.raises(ConfigError, match=re.escape(f"compose({overrides!r}): expected a list of overrides, such as")):
        compose(overrides)


def test_folders_in_a_list_are_told_to_be_arguments(here):
    with pytest.raises(ConfigError, match=r"^load_runs\(\['outputs'\]\): expected folders, each an argument"):
        load_runs(["outputs"])


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (None, "a NoneType"),
        (np.zeros((1, 3, 4, 4), np.float32), "a ndarray"),
        (torch.zeros(3, 4, 4), "torch.float32 (3, 4, 4)"),
        (torch.zeros(2, 3, 4, 4), "torch.float32 (2, 3, 4, 4)"),
        (torch.zeros(1, 1, 4, 4), "torch.float32 (1, 1, 4, 4)"),
        (torch.zeros(1, 3, 0, 4), "torch.float32 (1, 3, 0, 4)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "torch.uint8 (1, 3, 4, 4)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.bool), "torch.bool (1, 3, 4, 4)"),
        (torch.zeros(1, 3, 4, 4, device="meta"), "torch.float32 (1, 3, 4, 4) (meta, without values)"),
        (torch.zeros(1, 3, 4, 4).to_sparse(), "torch.float32 (1, 3, 4, 4) (torch.sparse_coo)"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_not_saved(here, picture, told):
    with pytest.raises(
        ImageError, match=rf"^a\.png: the picture is {re.escape(told)}, expected \(1, 3, H, W\) in float"
    ):
        save_image(picture, "a.png")
    assert not list(here.iterdir())


@pytest.mark.parametrize("metadata", [{"seed": 3}, {3: "seed"}, ["seed"]], ids=repr)
def test_metadata_that_are_no_texts_are_told(here, metadata):
    for name in ("a.png", "a.jpg", "a.webp"):
        with pytest.raises(
            ImageError, match=re.escape(f"{name}: metadata={metadata!r}: expected a dictionary of texts")
        ):
            save_image(PICTURE, name, metadata)
    assert not list(here.iterdir())


def test_too_much_metadata_is_told_of_the_file_that_was_asked_for(here):
    for name in ("a.jpg", "a.webp"):
        with pytest.raises(ImageError, match=rf"^{name}: \d+ bytes of metadata"):
            save_image(PICTURE, name, {"notes": "x" * 100_000})
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("picture", "told"), [(PICTURE.to("meta"), "meta, without values"), (PICTURE.to_sparse(), "torch.sparse_coo")]
)
def test_a_picture_without_its_values_is_none_to_transfer(picture, told):
    with pytest.raises(
        ConfigError, match=rf"^content is torch\.float32 \(1, 3, 16, 16\) \({told}\), expected a float32"
    ):
        transfer(picture, [PICTURE], compose(TINY))


@pytest.mark.parametrize("page", [".", "", "..", "pages"])
def test_a_folder_is_no_page_for_the_report(sweep, here, capsys, page):
    (here / "pages").mkdir()
    before = sorted(here.parent.rglob("*"))
    assert compare([str(sweep), "--html", page]) == 2
    told = capsys.readouterr()
    [line] = told.err.splitlines()
    assert line.startswith(f"nst-compare: --html {page or '.'}: is a folder, expected a file such as ")
    assert not told.out
    assert sorted(here.parent.rglob("*")) == before


def test_a_report_that_cannot_take_its_place_leaves_nothing(sweep, here, monkeypatch, capsys):
    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    assert compare([str(sweep), "--html", "page.html"]) == 2
    assert "--html page.html: cannot be written (No space left on device)" in capsys.readouterr().err
    assert not list(here.glob(".*.partial"))


def test_the_report_does_not_take_the_place_of_the_table(sweep, here, capsys):
    for arguments in (["--csv", "t.csv", "--html", "./t.csv"], ["--csv", str(sweep / "report.html")]):
        assert compare([str(sweep), *arguments]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.endswith(": the report goes there; expected another file, or --no-html")
    assert not (here / "t.csv").exists()
    assert compare([str(sweep), "--csv", "t.csv", "--html", "./t.csv", "--no-html"]) == 0
    assert (here / "t.csv").exists()


def test_a_run_that_lies_too_deep_is_told_to_be_one(stored, here, capsys):
    stored("first")
    (here / "outputs/experiment/odd/deeper").mkdir(parents=True)
    assert housekeeping(["list", "."]) == 0
    told = "".join(capsys.readouterr())
    assert "outputs/experiment/first (a run, too far down: name a folder nearer to it)" in told
    assert "outputs/experiment/odd (no manifest.json)" in told


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"# @package _global_\nsize: 32 # \xff\xfe\n", "is not UTF-8 text"),
        (b"# @package _global_\ndefaults: [odd]\n", "includes itself, or is too deep"),
    ],
)
def test_an_experiment_that_cannot_be_loaded_is_named(here, content, fault):
    (here / "mine/experiment").mkdir(parents=True)
    (here / "mine/experiment/odd.yaml").write_bytes(content)
    told = re.escape(f"experiment=odd: its file, or one that it includes, {fault}")
    with pytest.raises(ConfigError, match=f"^{told}$"):
        Composer("mine").config(["size=32", "experiment=odd", "style=mosaic"])


def test_a_name_that_is_taken_for_a_reference_is_told_to_be_one(here):
    (here / "fi").mkdir()
    Image.new("RGB", (20, 20)).save(here / "fi/${name}.png")
    with pytest.raises(ConfigError) as caught:
        compose(["content.image='fi/${name}.png'", "name=other"])
    assert str(caught.value).startswith("content.image=fi/other.png: ")
    assert str(caught.value).endswith("; written fi/${name}.png, where ${ begins a reference to another key")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("evaluations=1.5", "evaluations=1.5: expected a whole number or null"),
        ("size=256.0", "size=256.0: expected a whole number or null"),
        ("dry_run=perhaps", "dry_run=perhaps: expected true or false"),
    ],
)
def test_the_keys_of_a_figure_are_told_as_those_of_a_run(here, capsys, override, told):
    assert figure(["figure=gatys2015_fig3", override]) == 2
    assert capsys.readouterr().err == f"nst-figure: {told}\n"


def test_a_study_into_which_somebody_else_has_written_is_told_in_one_line(here, capsys):
    mine, file = write(SEARCH | {"trials": 1, "startup_trials": 1}), here / "outputs/found/study.db"
    assert search([mine]) == 0
    whole = file.read_bytes()
    for table, key, value, told in (
        ("trial", "distances", [], "trial 0: distances=[] is nothing that a search has written"),
        ("trial", "overrides", 3, "trial 0: overrides=3 is nothing that a search has written"),
        ("study", "question", 3, "question=3 is none that a search has asked"),
        ("study", "question", {"search": []}, "question={'search': []} is none that a search has asked"),
    ):
        file.write_bytes(whole)
        with closing(sqlite3.connect(file)) as study, study:
            change = f"UPDATE {table}_user_attributes SET value_json = ? WHERE key = ?"
            assert study.execute(change, (json.dumps(value), key)).rowcount == 1
        capsys.readouterr()
        assert search([mine]) == 2
        assert capsys.readouterr().err == f"nst-search: outputs/found/study.db: {told}\n"
