"""`nst-images` as a user meets it: the table, the contact sheet, fetching, exit status and one-line errors."""

import hashlib
import subprocess
import sys
import tomllib
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import CHECKOUT
from picture_server import serving
from PIL import Image

from nst_lab.images import catalog
from nst_lab.images.command import command

PAINTING = (CHECKOUT / "nst_lab/assets/paintings/ink_wash.png").read_bytes()
SHA256 = hashlib.sha256(PAINTING).hexdigest()


@pytest.fixture
def pictures(here, own_catalog, monkeypatch):
    """A catalog with one image that a server has and one that it lacks."""
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _seconds: None))
    with serving(PAINTING) as server:
        own_catalog(
            f"there: {{title: There, artist: A, url: '{server.url('well')}', sha256: {SHA256}, pixels: 400x512}}\n"
            f"gone: {{url: '{server.url('404')}', sha256: {SHA256}}}\n"
        )
        yield server


def lines_of(printed: str) -> dict[str, str]:
    return {line.split()[0]: line for line in printed.splitlines() if line.strip()}


def test_the_table_has_every_image_with_its_credit_and_where_it_is(pictures, capsys):
    assert command(["list"]) == 0
    table = lines_of(capsys.readouterr().out)
    assert set(table) == {"name", *catalog.entries()}
    for word in ("Chelsea the cat", "Stefan van der Walt", "CC0", "451x300", "built in"):
        assert word in table["chelsea"]
    for word in ("The Starry Night", "Vincent van Gogh", "1889", "public domain", "970x768", "to fetch"):
        assert word in table["starry_night"]


def test_fetching_says_what_it_got_and_what_it_could_not(pictures, capsys):
    assert command(["fetch", "there", "gone", "chelsea"]) == 1
    printed = capsys.readouterr()
    got = lines_of(printed.out)
    assert set(got) == {"there:", "chelsea:"}
    assert "cached; There, A" in got["there:"]
    assert "built in" in got["chelsea:"]
    [line] = printed.err.splitlines()
    assert line.startswith("nst-images: gone: cannot be fetched from 127.0.0.1 (404 Not Found)")
    assert command(["list"]) == 0
    assert "cached" in lines_of(capsys.readouterr().out)["there"]


def test_all_is_every_image_that_is_not_built_in(pictures, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(catalog, "locate", lambda name, progress: asked.append(name))
    assert command(["fetch", "all", "neckarfront"]) == 0
    assert len(asked) == len(set(asked))
    assert set(asked) == {name for name, entry in catalog.entries().items() if entry.url}


def test_an_unknown_name_stops_before_any_fetching(pictures, capsys):
    assert command(["fetch", "there", "nekarfront"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "nekarfront" in line
    assert "did you mean neckarfront?" in line
    assert pictures.asked == {}


@pytest.mark.parametrize(("name", "format"), [("sheet.png", "PNG"), ("sheet.jpg", "JPEG")])
def test_the_contact_sheet_shows_what_is_at_hand(pictures, here, capsys, name, format):
    assert command(["fetch", "there"]) == 0
    assert command(["list", "--sheet", name]) == 0
    at_hand = sum(catalog.where(name) != "to fetch" for name in catalog.entries())
    assert f"{at_hand} pictures on {name}" in capsys.readouterr().out
    with Image.open(here / name) as sheet:
        assert sheet.format == format
        assert sheet.width > 1000
        assert sheet.height > 1000
        assert len(np.unique(np.asarray(sheet.resize((50, 50)).convert("RGB")).reshape(-1, 3), axis=0)) > 500
    assert {path.name for path in here.iterdir()} == {"mine.yaml", "cache", name}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: command"),
        (["lst"], "invalid choice: 'lst'"),
        (["fetch"], "required: NAME"),
        (["list", "--shet", "a.png"], "--shet"),
        (["list", "--sheet", "sheet.bmp"], "sheet.bmp: cannot save as .bmp; valid: .png, .jpg, .jpeg, .webp"),
        (["list", "--sheet", "no/folder/sheet.png"], "sheet.png: cannot be written (No such file or directory)"),
    ],
)
def test_a_mistake_is_one_line_and_exits_2(pictures, capsys, arguments, expected):
    assert command(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-images: ")
    assert expected in line


def test_a_mirror_that_is_no_folder_is_one_line(pictures, capsys, monkeypatch):
    monkeypatch.setenv("NST_LAB_MIRROR", "/no/such/folder")
    assert command(["list"]) == 2
    assert capsys.readouterr().err == "nst-images: NST_LAB_MIRROR=/no/such/folder: not a folder\n"


def test_the_command_is_declared_and_starts_without_torch():
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["nst-images"].partition(":")
    assert callable(getattr(import_module(module), function))
    code = f"import sys\nfrom {module} import command\ncommand(['list'])\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "neckarfront" in done.stdout
