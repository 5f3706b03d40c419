"""The HTML report: what its one file holds."""

import base64
import hashlib
import io
import json
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import pytest
from conftest import CHECKOUT, TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reports import HOSTILE, Page, hostile_runs
from test_reading import edit, folders

from nst_lab.app import command as nst_lab_command
from nst_lab.comparison.command import command
from nst_lab.comparison.reading import load_runs
from nst_lab.comparison.report_data import page_data
from nst_lab.images import catalog
from nst_lab.sweeps.summary import write_summary


def test_the_page_holds_every_run_with_its_settings_measures_and_curves(reported):
    data = Page(reported).data
    runs = load_runs(reported.parent)
    assert [setting["key"] for setting in data["settings"]] == runs.settings
    assert len(data["runs"]) == 8
    for index, run in enumerate(data["runs"]):
        row = runs.table.loc[index]
        assert run["measures"]["content"] == pytest.approx(row["content"], rel=1e-4)
        assert run["measures"]["peak_memory_bytes"] == pytest.approx(row["peak_memory_bytes"] / 2**20, rel=1e-4)
        values = {setting["key"]: setting["values"][at]["label"]
                  for setting, at in zip(data["settings"], run["values"], strict=True)}  # fmt: skip
        assert values["style.images"] == row["style.images"][0]
        curves = runs.curves(index)
        assert run["curves"]["evaluation"] == list(curves["evaluation"])
        assert run["curves"]["style"] == pytest.approx(list(curves["style"]), rel=1e-4)
        assert "tv" not in run["curves"]  # it is 0 throughout
        assert "seed=" in run["command"]
    assert sorted(sorted(group) for group in data["groups"]) == sorted(map(sorted, runs.repeats()))


def test_the_command_of_a_run_works_for_experiments_of_ones_own(here):
    experiments = here / "my own/experiment"
    experiments.mkdir(parents=True)
    (experiments / "five.yaml").write_text("# @package _global_\nname: five\nseed: 5\n")
    assert nst_lab_command(["--config-dir", "my own", "experiment=five", *TINY]) == 0
    assert command(["outputs/five"]) == 0
    [run] = Page(here / "outputs/five/report.html").data["runs"]
    words = shlex.split(run["command"])
    assert words[:3] == ["nst-lab", "--config-dir", str(here / "my own")]
    assert nst_lab_command([*words[1:], "seed=6"]) == 0
    assert len(list(here.glob("outputs/five/*/result.png"))) == 2


def test_thumbnails_are_in_the_page_and_full_pictures_are_linked_relatively(reported):
    for run in Page(reported).data["runs"]:
        kind, _, encoded = run["thumb"].partition(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert max(image.size) == 32
        assert (reported.parent / unquote(run["link"])).is_file()
        assert not Path(run["link"]).is_absolute()


def test_a_report_elsewhere_still_finds_the_pictures(swept, tmp_path):
    assert command([str(swept), "--html", str(tmp_path / "page.html")]) == 0
    for run in Page(tmp_path / "page.html").data["runs"]:
        assert (tmp_path / unquote(run["link"])).is_file()


def test_content_and_styles_are_there_with_their_credits(reported):
    data = Page(reported).data
    shown = {(source["kind"], source["name"]): source for source in data["sources"]}
    assert set(shown) == {("content", "chelsea"), ("style", "starry_strokes"), ("style", "woodcut_waves")}
    for (_, name), source in shown.items():
        assert source["credit"] == catalog.credit(name)
        assert source["thumb"]
        assert source["missing"] is None
    for run in data["runs"]:
        assert [data["sources"][at]["kind"] for at in run["sources"]] == ["content", "style"]


def test_a_source_that_is_gone_or_another_by_now_is_said(sweep):
    gone, other, *_ = folders(sweep)
    edit(gone, lambda manifest: manifest["config"]["content"].update(image="no/such/photo.jpg"))
    edit(other, lambda manifest: manifest["hashes"].update(content="0" * 64))
    assert command([str(sweep)]) == 0
    sources = Page(sweep / "report.html").data["sources"]
    missing = {source["image"]: source["missing"] for source in sources if source["missing"]}
    assert missing == {"no/such/photo.jpg": "not found", "chelsea": "not the picture of the run any more"}


def test_only_the_scripts_of_the_page_may_run_and_nothing_is_loaded_from_elsewhere(reported):
    page = Page(reported)
    assert "default-src 'none'" in page.policy
    for kind, text in page.scripts:
        if kind != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in page.policy
    assert "unsafe-eval" not in page.policy
    assert "http" not in page.policy
    own = reported.read_text(encoding="utf-8").replace(page.scripts[1][1], "")
    assert not re.findall(r"(?:src|href)=[\"']https?:", own)


def test_no_name_becomes_markup(sweep):
    assert command([str(hostile_runs(sweep))]) == 0
    page = Page(sweep / "report.html")
    assert page.tags.count("script") == 11
    assert "img" not in page.tags
    assert HOSTILE in page.data["settings"][1]["values"][0]["label"]


def test_500_runs_stay_below_20_megabytes(crowd):
    data = Page(crowd).data
    # Thumbnails of real pictures are larger than those of generated ones: 10 kB was the mean of 500 at 256 px.
    assert crowd.stat().st_size + sum(10_000 - len(run["thumb"]) for run in data["runs"]) < 20e6
    assert len(data["runs"]) == 500
    assert all(len(run["curves"]["evaluation"]) <= 64 for run in data["runs"])
    assert all(run["curves"]["evaluation"][0] == 1 for run in data["runs"])
    assert all(run["curves"]["evaluation"][-1] == 100 for run in data["runs"])


def test_a_run_whose_picture_is_broken_is_in_the_report(sweep):
    (folders(sweep)[0] / "result.png").write_bytes(b"no picture")
    assert command([str(sweep)]) == 0
    assert [run["thumb"] is None for run in Page(sweep / "report.html").data["runs"]].count(True) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SECTIONS = ("size", "seed", "content", "style", "layers", "loss", "name", "swd", "seconds")
KEYS = (
    "status", "distances", "metrics_version", "hashes", "credits", "overrides", "losses", "seconds", "evaluations",
    "convention_overrides", "size", "error", "start", "stop_reason", "peak_memory_bytes", "result_version",
)  # fmt: skip
CONFIGS, MANIFESTS = (st.dictionaries(st.sampled_from(keys), JSON) for keys in (SECTIONS, KEYS))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CONFIGS, MANIFESTS), min_size=1, max_size=3))
def test_whatever_manifests_say_they_are_read_and_shown_or_told_to_be_none(manifests):
    with TemporaryDirectory() as home:
        for number, (config, more) in enumerate(manifests):
            folder = Path(home) / str(number)
            folder.mkdir()
            sections = {"style": {"images": ["mosaic"]}, "loss": {}}
            manifest = {"status": "completed", "fingerprint": str(number), "config": sections | config, **more}
            (folder / "manifest.json").write_text(json.dumps(manifest))
            (folder / "metrics.jsonl").write_text(json.dumps(more) + "\n{\n[]\n")
        runs = load_runs(home)
        foreign = [problem for problem in runs.problems if problem.reason == "manifest.json is not that of a run"]
        assert len(runs.table) + len(foreign) == len(manifests)
        if len(runs):
            data = page_data(runs, Path(home) / "report.html", "any", None)
            assert json.loads(json.dumps(data, allow_nan=False)) == data
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):  # a real one, which takes text only
            assert command([home, "--all", "--no-html"]) in (0, 1)
        write_summary(Path(home))


# ---- in a browser ----


def test_the_scripts_of_the_page_are_those_of_the_folder():
    from nst_lab.comparison.report import SCRIPTS

    assert sorted(SCRIPTS) == sorted(path.name for path in (CHECKOUT / "nst_lab/assets/report").glob("*.js"))
