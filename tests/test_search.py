"""Searches: what they find, that failures and interruptions change nothing of it, and the one line of a mistake."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import log10
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import CHECKOUT, UNBOUNDED
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState, create_trial

import nst_lab
from nst_lab import app, metrics, runs
from nst_lab.claims import Claim, Watch
from nst_lab.composition import Composer
from nst_lab.errors import ConfigError
from nst_lab.proposal import propose
from nst_lab.search import Found, search
from nst_lab.search_app import command
from nst_lab.search_plan import Plan, read_plan
from nst_lab.search_space import override_value
from nst_lab.study import Study, StudyError

SMALL = [text for text in UNBOUNDED if text != "log.distances=false"]
# A flat grey picture, left as it is: its distances depend on its grey value alone.
GREY = [*SMALL, "optimizer.evaluations=1", "init=noise", "init.noise_std=0", "init.noise_origin=zero", "log.images=0"]
SEARCH = {
    "name": "found",
    "trials": 4,
    "startup_trials": 3,
    "minimise": "color",
    "overrides": GREY,
    "space": {"init.noise_mean": {"low": 0.0, "high": 1.0}},
}
LONG = {
    "name": "long",
    "trials": 4,
    "startup_trials": 2,
    "minimise": "style",
    "at_most": {"content": 0.8},
    "overrides": [*SMALL, "optimizer.evaluations=100", "optimizer.tolerance=0", "log.checkpoint_seconds=0"],
    "space": {
        "loss.content_weight": {"low": 1e5, "high": 1e10, "log": True},
        "style": {"choices": ["mosaic", "ink_wash"]},
    },
}


def made(found: Found) -> list[tuple[int, Sequence[str], str, Mapping[str, float]]]:
    """What two searches have in common if they came to the same."""
    return [(trial.number, trial.overrides, trial.status, trial.distances) for trial in found.trials]


def attempts(name: str = "found") -> int:
    manifests = [runs.read_manifest(path.parent) for path in Path("outputs", name).glob("*/manifest.json")]
    return sum(len(manifest["attempts"]) for manifest in manifests)


def drawn(trial, key: str) -> str:
    return dict(text.split("=", 1) for text in trial.overrides)[key]


def write(content: Mapping[str, Any], name: str = "mine.yaml") -> str:
    """A search as a file; its name."""
    OmegaConf.save(dict(content), name)
    return name


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "nst_lab.search_app", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# Where it looks: closed forms in place of runs.


def proposals(plan: Plan, count: int, outcome: Callable[[Mapping[str, Any]], dict | None]) -> list[FrozenTrial]:
    """The trials of a plan whose distances are a function of the values; None stands for a failure."""
    trials: list[FrozenTrial] = []
    distributions = {key: dimension.distribution() for key, dimension in plan.space.items()}
    while len(trials) < count:
        params = propose(plan, trials, len(trials))
        distances = outcome(params)
        if distances is None:
            trial = create_trial(state=TrialState.FAIL, params=params, distributions=distributions)
        else:
            told = {"value": distances[plan.minimise], "user_attrs": {"distances": distances}}
            trial = create_trial(params=params, distributions=distributions, **told)
        trial.number = len(trials)
        trials.append(trial)
    return trials


@pytest.fixture
def plan() -> Iterator[Plan]:
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield read_plan(LONG)
    optuna.logging.set_verbosity(told)


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_a_bounded_closed_form_is_found_where_chance_does_not_find_it(plan, seed):
    """Style rises and content falls with the content weight, as for real; the optimum lies at the bound, at 10^8."""

    def outcome(params):
        power = log10(params["loss.content_weight"]) / 10
        return {"style": power + (0.1 if params["style"] == "mosaic" else 0), "content": 1.6 - power}

    def excess(plan):
        trials = [trial for trial in proposals(plan, 16, outcome) if trial.user_attrs["distances"]["content"] <= 0.8]
        return min(trial.value for trial in trials) - 0.8

    assert 0 <= excess(replace(plan, seed=seed, startup_trials=5)) < 0.003
    assert excess(replace(plan, seed=seed, startup_trials=16)) > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_what_fails_is_not_proposed_again_and_again(plan, seed):
    """One of two styles always fails; and, in the second case, content weights below 10^7, where the optimum lies."""

    def one_style(params):
        power = log10(params["loss.content_weight"]) / 10
        return None if params["style"] == "mosaic" else {"style": abs(power - 0.7), "content": 0.0}

    def and_below(params):
        power = log10(params["loss.content_weight"]) / 10
        return None if params["style"] == "mosaic" or power < 0.7 else {"style": power - 0.7, "content": 0.0}

    trials = proposals(replace(plan, seed=seed), 15, one_style)
    assert [trial.number for trial in trials[5:] if trial.state == TrialState.FAIL] == []
    assert min(trial.value for trial in trials if trial.value is not None) < 0.003
    trials = proposals(replace(plan, seed=seed), 25, and_below)
    assert min(trial.value for trial in trials if trial.value is not None) < 0.015


def test_a_search_whose_runs_all_fail_goes_on_at_random(plan):
    trials = proposals(plan, 12, lambda params: None)
    assert len({trial.params["loss.content_weight"] for trial in trials}) == 12
    assert {trial.params["style"] for trial in trials} == {"mosaic", "ink_wash"}


def test_a_running_trial_of_another_process_is_not_proposed_again(plan):
    def outcome(params):
        return {"style": log10(params["loss.content_weight"]), "content": 0.5}

    trials = proposals(plan, 6, outcome)
    first = propose(plan, trials, 6)
    running = create_trial(state=TrialState.RUNNING, params=first, distributions=trials[0].distributions)
    second = propose(plan, [*trials, running], 7)
    assert first != second


# What it finds: real runs.


def test_the_best_grey_for_the_colours_of_a_style_is_found(here):
    found = search(SEARCH, trials=10)
    assert [trial.status for trial in found.trials] == ["completed"] * 10
    assert found.best == min(found.trials, key=lambda trial: trial.distances["color"])
    best = float(drawn(found.best, "init.noise_mean"))
    content, styles = nst_lab.load_image("chelsea"), {"style": nst_lab.load_image("starry_strokes")}
    near = [
        metrics.distances(content.new_full((1, 3, 21, 32), best + step), content, styles)["color"]
        for step in (-0.04, 0, 0.04)
    ]
    assert near[1] == pytest.approx(found.best.distances["color"], rel=0.01)
    assert near[1] < min(near[0], near[2])


def test_bounds_hold_and_the_best_is_at_the_one_that_matters(here):
    found = search(SEARCH | {"at_most": {"psnr": 12}, "at_least": {"ssim": 0.1}}, trials=10)
    within = [trial for trial in found.trials if trial.distances["psnr"] <= 12 and trial.distances["ssim"] >= 0.1]
    assert found.best == min(within, key=lambda trial: trial.distances["color"])
    assert 11.5 < found.best.distances["psnr"] <= 12
    assert len(within) < len(found.trials)
    beyond = found.ranked[len(within) :]
    assert sorted(within, key=lambda trial: trial.distances["color"]) == found.ranked[: len(within)]
    for trial in beyond:
        over, under = trial.distances["psnr"] / 12 - 1, 1 - trial.distances["ssim"] / 0.1
        assert trial.violation == pytest.approx(max(0, over) + max(0, under))
    study = optuna.load_study(study_name=None, storage="sqlite:///outputs/found/study.db")
    assert study.best_trial.number == found.best.number  # as a dashboard shows it


def test_ranges_and_choices_of_every_kind_reach_the_run(here):
    space = {
        "style": {"choices": ["mosaic", "ink_wash"]},
        "layers.content": {"choices": [["relu1_1"], ["relu1_1", "relu2_1"]]},
        "scales": {"choices": [None, [{"factor": 0.5, "share": 1}, {"factor": 1, "share": 2.5}]]},
        "size": {"low": 32, "high": 40, "step": 4},
        "optimizer.history": {"low": 1, "high": 100, "log": True},
        "loss.content_weight": {"low": 1, "high": 1e9, "log": True},
        "init.noise_mean": {"low": 0, "high": 1, "step": 0.25},
    }
    overrides = [*SMALL, "optimizer.evaluations=3", "init=noise"]
    found = search(SEARCH | {"overrides": overrides, "space": space, "minimise": "swd"}, trials=8)
    assert [trial.status for trial in found.trials] == ["completed"] * 8
    configs = [runs.read_manifest(trial.folder)["config"] for trial in found.trials]
    assert {config["style"]["images"][0] for config in configs} == {"mosaic", "ink_wash"}
    assert {len(config["layers"]["content"]) for config in configs} == {1, 2}
    assert {config["scales"] and len(config["scales"]) for config in configs} == {None, 2}
    assert {config["size"] for config in configs} <= {32, 36, 40}
    assert {config["init"]["noise_mean"] for config in configs} <= {0, 0.25, 0.5, 0.75, 1}
    assert all(1 <= config["loss"]["content_weight"] <= 1e9 for config in configs)
    assert len({config["loss"]["content_weight"] for config in configs}) > 2
    for trial, config in zip(found.trials, configs, strict=True):
        assert float(drawn(trial, "loss.content_weight")) == config["loss"]["content_weight"]
        assert int(drawn(trial, "optimizer.history")) == config["optimizer"]["history"]


def test_a_search_that_is_made_costs_nothing_again_and_grows_as_if_it_had_been_larger(here, capsys):
    first = search(SEARCH)
    assert attempts() == len(first.trials) == 4
    assert made(search(SEARCH)) == made(first)
    assert attempts() == 4
    capsys.readouterr()
    larger = made(search(SEARCH, trials=6))
    assert larger[:4] == made(first)
    assert attempts() == 6
    assert "4 of 6 trials are completed" in capsys.readouterr().out
    Path("outputs/found/study.db").unlink()
    assert made(search(SEARCH, trials=6)) == larger
    assert attempts() == 6
    assert made(search(SEARCH, ["out_dir=elsewhere"], trials=6)) == larger
    assert made(search(SEARCH | {"seed": 1}, ["out_dir=other"], trials=1)) != larger[:1]


def test_runs_made_without_distances_or_with_older_ones_are_measured(here):
    first = search(SEARCH, trials=2)
    for trial, version in zip(first.trials, (None, metrics.METRICS_VERSION - 1), strict=True):
        manifest = runs.read_manifest(trial.folder)
        manifest |= {"distances": {"color": 0.0}, "metrics_version": version}
        with Claim(trial.folder, "", Watch(60)) as claim:
            runs.write_manifest(claim, manifest)
    Path("outputs/found/study.db").unlink()
    assert made(search(SEARCH, trials=2)) == made(first)


# What happens to it: failures, interruptions, others at work.


def test_a_failed_trial_is_told_and_the_next_launch_replaces_it(here, capsys):
    nst_lab.save_image(nst_lab.load_image("chelsea"), "whole.png")
    Path("broken.png").write_bytes(b"not a picture")
    choices = {"content.image": {"choices": ["whole.png", "broken.png"]}}
    mine = write(SEARCH | {"space": SEARCH["space"] | choices, "trials": 7})
    assert command([mine]) == 1
    printed = capsys.readouterr()
    study = optuna.load_study(study_name=None, storage="sqlite:///outputs/found/study.db")
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert 0 < len(failed) < len(study.trials) == 7
    assert all("broken.png" in trial.user_attrs["error"] for trial in failed)
    assert {trial.params["content.image"] for trial in failed} == {"broken.png"}
    assert printed.err.count(": failed: broken.png: not a picture") == len(failed)
    assert "Traceback" not in printed.err
    assert f"{7 - len(failed)} trials completed" in printed.out
    assert f"; {len(failed)} failed" in printed.out
    Path("broken.png").write_bytes(Path("whole.png").read_bytes())
    found = search(mine)
    assert found.failed == []
    assert [trial.status for trial in found.trials].count("completed") == 7
    assert len(found.trials) == 7 + len(failed)


def test_when_all_trials_fail_it_says_so_and_ends(here, capsys):
    Path("broken.png").write_bytes(b"not a picture")
    mine = write(SEARCH | {"overrides": [*GREY, "content.image=broken.png"]})
    assert command([mine, "--trials", "2"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 trials completed; 2 failed"


def wait_until_under_way(folder: Path, runs_before: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        counts = [path.read_bytes().count(b"\n") for path in folder.glob("outputs/long/*/metrics.jsonl")]
        if len(counts) > runs_before and min(counts) >= 20 and counts.count(100) == runs_before:
            return
        time.sleep(0.01)
    raise AssertionError("the run was not reached")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_stopped_search_goes_on_with_the_run_under_way_and_comes_to_the_same_trials(here, number, monkeypatch):
    whole, cut = here / "whole", here / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    monkeypatch.chdir(cut)
    mine = write(LONG)
    process = start(cut, mine)
    wait_until_under_way(cut, runs_before=2)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert error.splitlines()[-1] == "nst-search: interrupted"
    found = search(mine)
    assert [trial.status for trial in found.trials] == ["completed"] * 4
    under_way = runs.read_manifest(found.trials[2].folder)
    assert len(under_way["attempts"]) == 2
    assert under_way["attempts"][1]["after_evaluation"] >= 1
    assert attempts("long") == 5
    monkeypatch.chdir(whole)
    assert made(search(LONG)) == made(found)


def test_processes_share_a_search_and_make_each_trial_once(here):
    mine = write(LONG | {"trials": 6})
    processes = [start(here, mine) for _ in range(2)]
    printed = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    shares = [re.findall(r"^trial (\d+): ", out, re.M) for out, _ in printed]
    assert sorted(shares[0] + shares[1]) == [str(number) for number in range(6)]
    assert min(map(len, shares)) >= 1
    assert attempts("long") == 6


def test_a_run_that_another_process_holds_is_waited_for(here):
    plan = read_plan(SEARCH, trials=1)
    with Study(plan) as study:
        trial = study.ask()
        config = plan.config(trial.overrides)
        folder = runs.run_folder(config, runs.identify(config))
        folder.mkdir(parents=True)
        with Claim(folder, "", Watch(60)):
            assert study.ask() is None
            assert study.is_busy()
        assert study.ask() == trial
        nst_lab.run(config)
        study.tell(trial, folder, {"color": 0.5})
        study.tell(trial, folder, {"color": 0.7})  # by a process that took it for left behind
        study.tell_failed(trial, "as above")
        assert study.ask() is None
        assert not study.is_busy()
        assert [(each.status, each.distances) for each in study.trials()] == [("completed", {"color": 0.5})]


def test_trials_that_others_put_into_the_study_are_left_alone(here):
    search(SEARCH, trials=2)
    study = optuna.load_study(study_name=None, storage="sqlite:///outputs/found/study.db")
    study.enqueue_trial({"init.noise_mean": 0.5})
    found = search(SEARCH, trials=3)
    assert [trial.number for trial in found.trials] == [0, 1, 3]
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def test_the_study_of_another_question_is_refused_in_one_line(here):
    search(SEARCH, trials=1)
    half = {"init.noise_mean": {"low": 0.0, "high": 0.5}}
    others = {
        "minimise=": SEARCH | {"minimise": "swd"},
        "bounds=": SEARCH | {"at_most": {"content": 0.5}},
        "space.init.noise_mean=0 to 1, now space.init.noise_mean=0 to 0.5": SEARCH | {"space": half},
        "size=32, now size=40": SEARCH | {"overrides": [*GREY, "size=40"]},
        "search seed=0, now search seed=3": SEARCH | {"seed": 3},
        "startup_trials=": SEARCH | {"startup_trials": 9},
    }
    for part, other in others.items():
        with pytest.raises(ConfigError, match=r"outputs/found/study\.db: .*its own name \(name=…\)") as caught:
            search(other, trials=1)
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)
    assert attempts() == 1
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def test_the_study_of_other_pictures_is_refused(here):
    nst_lab.save_image(nst_lab.load_image("chelsea"), "mine.png")
    search(SEARCH, ["content.image=mine.png"], trials=1)
    nst_lab.save_image(1 - nst_lab.load_image("chelsea"), "mine.png")
    with pytest.raises(ConfigError, match=r"with other pictures or weights"):
        search(SEARCH, ["content.image=mine.png"], trials=1)


def test_a_file_that_is_no_study_is_one_line(here):
    Path("outputs/found").mkdir(parents=True)
    Path("outputs/found/study.db").write_bytes(b"no database" * 100)
    with pytest.raises(StudyError, match=r"^outputs/found/study\.db: file is not a database$"):
        search(SEARCH)


def test_a_study_may_lie_in_a_folder_of_any_name(here):
    name = "a ?b%20#{x}&=é"
    assert len(search(SEARCH, [f"name='{name}'"], trials=1).trials) == 1
    assert len(search(SEARCH, [f"name='{name}'"], trials=2).trials) == 2
    assert Path("outputs", name, "study.db").is_file()


# The command.


def test_the_command_ends_in_a_table_and_the_command_that_makes_the_best_again(here, capsys):
    mine = write(SEARCH | {"at_most": {"content": 0.9}, "space": SEARCH["space"] | LONG["space"]})
    assert command([mine, "seed=3", "size=40", "--trials", "4"]) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    found = search(mine, ["seed=3", "size=40"], trials=4)
    best = found.best or found.ranked[0]
    [again] = [line for line in lines if line.startswith(("best:", "nearest:"))]
    [picture] = [line.split()[-1] for line in lines if line.startswith("picture:")]
    assert picture == str(best.folder / "result.png")
    table = lines[[line.split()[:2] for line in lines].index(["trial", "init.noise_mean"]) + 1].split()
    assert table[0] == str(best.number)
    assert table[-2:] == [f"{best.distances['color']:.3f}", f"{best.distances['content']:.3f}"]
    arguments = shlex.split(again.split(":", 1)[1])
    assert arguments[0] == "nst-lab"
    assert arguments.count("size=40") == 1
    assert "size=32" not in arguments
    assert app.command(arguments[1:]) == 0
    printed = capsys.readouterr().out
    assert "completed (earlier)" in printed
    assert picture in printed


def test_when_nothing_is_within_the_bounds_the_nearest_is_shown(here, capsys):
    assert command([write(SEARCH | {"at_most": {"content": 1e-6}})]) == 1
    printed = capsys.readouterr().out
    assert "4 trials completed, 0 within content ≤ 1e-06" in printed
    assert "none is within the bounds; the nearest:" in printed
    assert "nearest:     nst-lab name=found" in printed


def test_a_dry_run_tells_the_cost_and_makes_nothing(here, capsys):
    assert command(["alpha_over_beta", "dry_run=true", "--trials", "20"]) == 0
    printed = capsys.readouterr().out
    assert "loss.content_weight: 1e6 to 1e11 on a log scale" in printed
    assert "minimise style, content ≤ 0.6: 20 trials, each at most 60 evaluations" in printed
    assert not Path("outputs").exists()


def test_what_the_command_line_sets_is_not_searched(here):
    searched = read_plan(LONG, ["style.images=[mosaic]"])
    assert list(searched.space) == ["loss.content_weight"]
    assert list(read_plan(LONG, ["style=mosaic"]).space) == ["loss.content_weight"]
    assert list(read_plan(LONG, ["loss.content_weight=1"]).space) == ["style"]
    with pytest.raises(ConfigError, match=r"the command line sets all of its space: loss.content_weight, style"):
        read_plan(LONG, ["loss.content_weight=1", "style=mosaic"])


def test_a_users_folder_adds_searches_and_replaces_shipped_ones(here):
    (here / "my/search").mkdir(parents=True)
    write(SEARCH | {"name": "own"}, "my/search/own.yaml")
    write(SEARCH | {"name": "replaced"}, "my/search/alpha_over_beta.yaml")
    assert read_plan("own", config_dir="my").probes[0].name == "own"
    assert read_plan("alpha_over_beta", config_dir="my").probes[0].name == "replaced"


def test_every_shipped_search_is_sound_and_names_its_command_and_time():
    files = sorted((CHECKOUT / "conf/search").glob("*.yaml"))
    assert files
    for file in files:
        plan = read_plan(file.stem)
        assert plan.probes[0].name == file.stem
        header = file.read_text().split("name:")[0]
        assert f"Command: nst-search {file.stem}" in header
        assert "Expected:" in header


def test_the_search_of_the_readme_is_sound(here):
    [text] = re.findall(r"```yaml\n(# my_search.yaml\n.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
    Path("my_search.yaml").write_text(text)
    plan = read_plan("my_search.yaml")
    assert plan.probes[0].name == "my_search"
    assert len(plan.space) == 4


def test_a_search_is_no_group_of_a_run():
    with pytest.raises(ConfigError, match=r"search=alpha_over_beta: .*nst-search alpha_over_beta"):
        nst_lab.compose(["search=alpha_over_beta"])


TEXTS = st.text(st.characters(exclude_categories=["C"], exclude_characters="$"), min_size=1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), values),
    max_leaves=5,
)


@given(VALUES)
def test_a_value_is_read_back_from_its_override(value):
    [override] = COMPOSER.parse([f"content.image={override_value(value)}"])
    assert override.value() == value


COMPOSER = Composer()

# What is changed of a sound search -> what the line must contain.
MISTAKES = [
    ({"trails": 3}, "trails=3: no such key; valid: name, trials,", "did you mean trials?"),
    ({"name": None}, "name=null: needed"),
    ({"trials": 0}, "trials=0: expected at least 1"),
    ({"trials": 1.5}, "trials=1.5: expected a whole number"),
    ({"startup_trials": True}, "startup_trials=true: expected a whole number"),
    ({"seed": -1}, "seed=-1: expected at least 0"),
    ({"minimise": "stlye"}, "minimise=stlye: no distance", "swd/starry_strokes", "did you mean style?"),
    ({"minimise": "style/mosaic"}, "minimise=style/mosaic: no distance", "style/starry_strokes"),
    ({"at_most": ["content"]}, "at_most: expected keys with values, got [content]"),
    ({"at_most": {"contnt": 1}}, "at_most.contnt: no distance", "did you mean content?"),
    ({"at_least": {"ssim": "low"}}, "at_least.ssim=low: expected a number"),
    ({"overrides": "size=32"}, "overrides=size=32: expected a list of texts"),
    ({"overrides": ["sise=32"]}, "sise=32: no such key", "did you mean size?"),
    ({"overrides": ["size=32,64"]}, "size=32,64: several values are searched as choices"),
    ({"overrides": ["hydra/launcher=processes"]}, "hydra/launcher=processes: not supported"),
    ({"overrides": ["force=true"]}, "force=true: not supported"),
    ({"overrides": ["log.distances=false"]}, "log.distances=false: a search needs the distances"),
    ({"overrides": ["device=cuda:99"]}, "device=cuda:99: not available"),
    ({"overrides": ["content=none", "loss.content_weight=0", "init=noise"], "at_most": {"content": 1}},
     "at_most.content: no distance", "valid: style, style/starry_strokes"),
    ({"space": {}}, "space={}: expected keys with what to search"),
    ({"space": [1]}, "space: expected keys with values, got [1]"),
    ({"space": {"size": "32..64"}}, "space.size: expected keys with values, got 32..64"),
    ({"space": {"loss.contnt_weight": {"low": 1, "high": 2}}}, "no such key", "did you mean loss.content_weight?"),
    ({"space": {"loss.content_weight": {"low": 2, "high": 1}}}, "space.loss.content_weight.low=2: expected less than"),
    ({"space": {"loss.content_weight": {"low": 2}}}, "space.loss.content_weight.high: needed"),
    ({"space": {"loss.content_weight": {"low": 2, "hi": 3}}}, "space.loss.content_weight.hi=3: no such key"),
    ({"space": {"loss.content_weight": {"low": -1, "high": 2}}}, "loss.content_weight=-1: expected a finite number"),
    ({"space": {"loss.content_weight": {"low": 0, "high": 2, "log": True}}}, "low=0: expected more than 0"),
    ({"space": {"loss.content_weight": {"low": 1, "high": 2, "log": True, "step": 1}}}, "step=1: not on a log scale"),
    ({"space": {"loss.content_weight": {"low": 1, "high": float("inf")}}}, "high=inf: expected a finite number"),
    ({"space": {"size": {"low": 32, "high": 40, "step": 3}}}, "size.step=3: expected a whole number of steps"),
    ({"space": {"size": {"low": 32.5, "high": 40}}}, "space.size.low=32.5: expected a whole number"),
    ({"space": {"size": {"choices": [32, 4]}}}, "size=4: the result becomes 4x3 pixels"),
    ({"space": {"style": {"low": 1, "high": 2}}}, "space.style=", "expected {choices: […]}"),
    ({"space": {"style": {"choices": ["mosaic", "monet"]}}}, "style=monet: no such choice"),
    ({"space": {"style": {"choices": ["mosaic"]}}}, "space.style.choices=[mosaic]: expected a list of different"),
    ({"space": {"style": {"choices": ["mosaic", "mosaic"]}}}, "expected a list of different values, two or more"),
    ({"space": {"size": {"choices": [32, 33], "low": 3}}}, "space.size.low=3: no such key; valid: choices"),
    ({"space": {"threads": {"low": 1, "high": 2}}}, "space.threads=", "no setting that a picture depends on"),
    ({"space": {"hydra/launcher": {"choices": ["a", "b"]}}}, "no setting that a picture depends on"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "parts"), [(change, parts) for change, *parts in MISTAKES], ids=str)
def test_a_mistake_in_a_search_is_one_line_and_exits_2_before_any_work(here, capsys, change, parts):
    sound = {"name": "sound", "trials": 2, "minimise": "style", "space": {"seed": {"low": 0, "high": 9}}}
    assert command([write(sound | change)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-search: ")
    for part in parts:
        assert part in line
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "a search is needed, such as alpha_over_beta"),
        (["alpha_over_bet"], "no such search; valid: alpha_over_beta, or the path of a .yaml file; did you mean"),
        (["absent.yaml"], "absent.yaml: no such file"),
        (["alpha_over_beta", "--trials", "many"], "invalid int value: 'many'"),
        (["alpha_over_beta", "--trials", "0"], "trials=0: expected at least 1"),
        (["alpha_over_beta", "--trails", "3"], "--trails 3; nst-search --help says more"),
        (["alpha_over_beta", "loss.content_weight=1e6"], "the command line sets all of its space"),
        (["alpha_over_beta", "size=1,2"], "size=1,2: several values"),
        (["alpha_over_beta", "--config-dir", "nowhere"], "--config-dir nowhere: not a folder"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exits_2(here, capsys, arguments, expected):
    assert command(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize("text", [b"a: [1,\nb", b"", b"- 1", b"\xff\xfe\x00", b"name: 1\nname: 2", b"name: ${foo}"])
def test_a_file_that_is_no_search_is_one_line(here, capsys, text):
    Path("odd.yaml").write_bytes(text)
    assert command(["odd.yaml"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-search: odd.yaml: ")


def test_without_optuna_the_line_says_how_to_install_it(here, tmp_path):
    packages = Path(pytest.__file__).parent.parent
    linked = tmp_path / "packages"
    linked.mkdir()
    for entry in packages.iterdir():
        if entry.name != "optuna" and not entry.name.startswith("__editable__") and entry.suffix != ".pth":
            (linked / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{linked}"}
    bare = [sys._base_executable, "-S", "-m", "nst_lab.search_app", "alpha_over_beta"]
    done = subprocess.run(bare, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "nst-search: a search needs Optuna, which is not installed; pip install 'nst_lab[search]'\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom nst_lab.search_app import command\n"
        "try:\n    command(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'optuna', 'hydra'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "alpha_over_beta" in done.stdout
