"""What comes from others is data: nothing of it is run, written elsewhere, or steers a terminal or a browser."""

import ast
import html.parser
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy
import pytest
import torch
from conftest import CHECKOUT, TINY
from launched import complaints, run_folders
from PIL import Image

from nst_lab.app import command
from nst_lab.comparison.command import command as compare
from nst_lab.figures.command import command as figure
from nst_lab.housekeeping.command import command as housekeeping
from nst_lab.search.command import command as search

ESCAPE = "\x1b[31mred\x1b]0;title\x07"


class Malicious:
    """Creates a file when unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def as_zip(malice: Malicious, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vgg/data.pkl", pickle.dumps(malice))
        archive.writestr("vgg/version", "3")


def as_arrays(malice: Malicious, path: Path) -> None:
    with path.open("wb") as file:
        numpy.save(file, numpy.array([malice], dtype=object), allow_pickle=True)


WEIGHTS = {
    "pickle.pth": lambda malice, path: path.write_bytes(pickle.dumps(malice)),
    "torch.pth": lambda malice, path: torch.save({"features.0.weight": malice}, path),
    "old.pth": lambda malice, path: torch.save(malice, path, _use_new_zipfile_serialization=False),
    "zip.pth": as_zip,
    "torch.pt": lambda malice, path: torch.save({"features.0.weight": malice}, path),
    "array.npz": as_arrays,
    "array.npy": as_arrays,
    "pickle.safetensors": lambda malice, path: path.write_bytes(pickle.dumps(malice)),
    "header.safetensors": lambda _, path: path.write_bytes((2**62).to_bytes(8, "little") + b'{"a":{}}'),
    "json.safetensors": lambda _, path: path.write_bytes((8).to_bytes(8, "little") + b"[[[[[[[["),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_would_run_code_are_refused_in_one_line_and_run_none(here, capsys, name):
    WEIGHTS[name](Malicious(here / "was_run"), here / name)
    status = command([*TINY, f"model.weights={name}"])
    [line] = complaints(capsys.readouterr().err)
    assert status in (1, 2)
    assert name in line
    assert not (here / "was_run").exists()


@pytest.mark.parametrize("key", ["content.image", "style.images", "style.masks", "init.image", "model.means"])
def test_a_pickle_in_the_place_of_any_other_file_is_refused_in_one_line(here, capsys, key):
    (here / "a.png").write_bytes(pickle.dumps(Malicious(here / "was_run")))
    value = "[a.png]" if key.startswith("style") else "a.png"
    more = {"init.image": ["init.kind=file"], "model.means": ["model.normalized=true"]}.get(key, [])
    assert command([*TINY, f"{key}={value}", *more]) in (1, 2)
    [line] = complaints(capsys.readouterr().err)
    assert "a.png" in line
    assert not (here / "was_run").exists()


FORBIDDEN = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "yaml.unsafe_load",
    "yaml.full_load",
}


def calls() -> list[tuple[str, str, dict[str, str]]]:
    """Every call in the package: where, of what, with which keywords."""
    found = []
    for path in (CHECKOUT / "nst_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                keywords = {each.arg: ast.unparse(each.value) for each in node.keywords if each.arg}
                found.append((f"{path.name}:{node.lineno}", ast.unparse(node.func), keywords))
    return found


def test_nothing_in_the_package_runs_what_it_reads():
    every = calls()
    assert len(every) > 3000
    assert [(place, name) for place, name, _ in every if name in FORBIDDEN or name.startswith("marshal.")] == []
    assert [place for place, _, keywords in every if keywords.get("shell", "False") != "False"] == []
    assert [place for place, _, keywords in every if keywords.get("allow_pickle", "False") != "False"] == []
    loads = [(place, keywords) for place, name, keywords in every if name == "torch.load"]
    assert len(loads) >= 3
    assert [place for place, keywords in loads if keywords.get("weights_only") != "True"] == []
    assert [place for place, name, keywords in every if name == "numpy.load" and "allow_pickle" not in keywords] == []
    yamls = [keywords.get("Loader") for _, name, keywords in every if name == "yaml.load"]
    assert set(yamls) == {"_Loader"}  # a safe one


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["../x", "..", "{outside}/x", "a/../../x", ".", "", "a\\0b"])
@pytest.mark.parametrize("ask", [command, lambda words: search(["alpha_over_beta", *words])], ids=["run", "search"])
def test_a_name_that_leads_out_of_the_output_folder_is_refused(tmp_path, monkeypatch, capsys, ask, name):
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    if ask([*TINY, f"name='{name.format(outside=tmp_path)}'", "out_dir=mine"]) == 0:
        assert run_folders_below(tmp_path / "home/mine")  # an odd name, but one of a folder
    else:
        [line] = complaints(capsys.readouterr().err)
        assert "name" in line
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def run_folders_below(folder: Path) -> list[Path]:
    return [path.parent for path in folder.glob("*/*/manifest.json")]


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "../../evil", "sub/../../evil"])
def test_a_figure_of_another_folder_is_none(here, capsys, name):
    (here / "mine/figure").mkdir(parents=True)
    (here / "mine/evil.yaml").write_text("title: evil\n")
    assert figure(["--config-dir", "mine", f"figure={name}"]) == 2
    [line] = complaints(capsys.readouterr().err)
    assert "no such figure" in line
    assert not (here / "outputs").exists()


def test_pictures_with_odd_paths_do_not_lead_runs_out_of_the_output_folder(here, monkeypatch):
    home = here / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    Image.new("RGB", (40, 40), "red").save(here / "..picture...png")
    assert command([*TINY, "style.images=['../..picture...png']", "content.image='../..picture...png'"]) == 0
    assert {path.name for path in here.iterdir()} == {"home", "..picture...png"}
    assert [folder.parent for folder in run_folders(home)] == [home / "outputs/runs"]


def test_a_run_folder_that_is_a_link_is_neither_written_through_nor_removed(here, capsys):
    assert command(TINY) == 0
    [folder] = run_folders(here)
    other = here / "elsewhere"
    folder.rename(other)
    (other / "manifest.json").write_text((other / "manifest.json").read_text().replace('"completed"', '"failed"'))
    folder.symlink_to(other)
    before = everything(other)
    capsys.readouterr()
    assert command(TINY) == 1
    [line] = complaints(capsys.readouterr().err)
    assert f"{folder.name} is a link" in line
    assert housekeeping(["clean", "--failed", "--yes"]) == 0
    assert everything(other) == before
    folder.unlink()
    assert command(TINY) == 0


@pytest.mark.parametrize("name", ["metrics.jsonl", ".manifest.partial.json", "events.out.tfevents.1.000", "result.png"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_a_run_folder_is_replaced_and_what_it_leads_to_left_alone(here, name, there):
    assert command(TINY) == 0
    [folder] = run_folders(here)
    target = here / "target"
    if there:
        target.write_text("mine")
    (folder / "manifest.json").unlink()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)
    assert command(TINY) == 0
    assert (target.read_text() if there else target.exists()) == ("mine" if there else False)
    assert not [path for path in folder.iterdir() if path.is_symlink()]


def test_names_with_escapes_reach_no_terminal(here, capsys):
    for name in (f"{ESCAPE}.png", "two\nlines.png"):
        Image.new("RGB", (40, 40), "red").save(here / name)
    images = f'"{ESCAPE}.png","two\nlines.png"'
    sweep = ["-m", *TINY, f"content.image={images}", "loss.content_weight=1,nan_"]
    assert command(sweep) == 2
    assert command(sweep[:-1]) == 0
    assert compare(["outputs"]) == 0
    assert housekeeping(["list"]) == 0
    (here / f"{ESCAPE}.png").write_bytes(b"no picture")
    assert command([*sweep[:-1], "seed=5"]) == 1
    assert command([*sweep[:-1], "seed=5", "dry_run=true"]) in (0, 1, 2)
    assert compare([f"outputs/{ESCAPE}"]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "two\\nlines" in text
        assert "\\x1b[31mred" in text
        assert "\x1b" not in text
        assert "\x07" not in text


class Elements(html.parser.HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


HOSTILE = ["<script>alert(1)<;script>.png", '"><img src=x onerror=alert(1)>.png', "'><svg onload=alert(1)>.png"]


@pytest.fixture
def hostile_report(here) -> Path:
    """A report over runs made from pictures whose names would be markup."""
    folder = here / "</title><script>alert(1)<;script>"
    folder.mkdir(parents=True)
    for index, name in enumerate(HOSTILE):
        Image.new("RGB", (40, 40), ("red", "green", "blue")[index]).save(folder / name)
    images = ",".join(
        f"['{folder / name}']".replace("'", "\\'" if name.startswith("'") else "'") for name in HOSTILE[:2]
    )
    assert command(["-m", *TINY, f"style.images={images}", "name=hostile"]) == 0
    shutil.copytree(here / "outputs/hostile", here / "outputs/<img src=x onerror=alert(1)>")
    page = here / "outputs/report.html"
    assert compare(["outputs/hostile", "outputs/<img src=x onerror=alert(1)>", "--html", str(page)]) == 0
    return page


def test_hostile_names_are_no_elements_of_a_report(hostile_report):
    elements = Elements(hostile_report.read_text()).found
    assert elements
    assert not [tag for tag, _ in elements if tag in ("img", "svg", "iframe", "object", "embed")]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]


@pytest.mark.slow
def test_hostile_names_do_nothing_in_a_browser(hostile_report, chromium):
    dialogs = []
    opened = chromium.new_page()
    opened.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    opened.goto(hostile_report.as_uri())
    opened.get_by_text("onerror", exact=False).first.wait_for(state="attached", timeout=30_000)
    assert opened.evaluate("[...document.querySelectorAll('*')].filter(e => e.hasAttribute('onerror')).length") == 0
    assert opened.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    opened.close()
    assert dialogs == []


def test_a_rerun_from_a_pickle_is_refused_and_not_run(here, capsys):
    (here / "job.pickle").write_bytes(pickle.dumps(Malicious(here / "was_run")))
    assert command(["--experimental-rerun", "job.pickle"]) == 2
    [line] = complaints(capsys.readouterr().err)
    assert "not supported" in line
    assert not (here / "was_run").exists()
