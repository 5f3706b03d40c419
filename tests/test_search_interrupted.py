"""Searches whose trials fail, that are killed, shared, or meet the study of another."""

import re
import signal
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from searches import GREY, LONG, SEARCH, attempts, made, start, start_together, write

import nst_lab
from nst_lab.errors import ConfigError
from nst_lab.housekeeping.inventory import take_inventory
from nst_lab.running import runs
from nst_lab.running.claims import Claim, Watch
from nst_lab.search.command import command
from nst_lab.search.plan import read_plan
from nst_lab.search.study import Study, StudyError
from nst_lab.search.trials import search

pytestmark = pytest.mark.slow


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
        if len(counts) > runs_before and min(counts) >= 10 and counts.count(50) == runs_before:
            return
        time.sleep(0.01)
    raise AssertionError("the run was not reached")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
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
        assert error.splitlines()[-1] == "nst-search: interrupted; the same command goes on"
    found = search(mine)
    assert [trial.status for trial in found.trials] == ["completed"] * 4
    under_way = runs.read_manifest(found.trials[2].folder)
    assert len(under_way["attempts"]) == 2
    assert under_way["attempts"][1]["after_evaluation"] >= 1
    assert attempts("long") == 5
    monkeypatch.chdir(whole)
    assert made(search(LONG)) == made(found)


@pytest.mark.slow
def test_processes_share_a_search_and_make_each_trial_once(here):
    mine = write(LONG | {"trials": 6})
    processes = start_together(here, 2, mine)
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


def test_a_search_that_is_asking_or_was_killed_meanwhile_hides_no_run(here):
    search(SEARCH, trials=1)
    with Study(read_plan(SEARCH)) as study, study._alone():
        found = take_inventory([here / "outputs"])
    assert [run.status for run in found.runs] == ["completed"]
    assert found.foreign == {}
    Path("outputs/found/.claim.1").write_text("{}")  # where older versions claimed, and one was killed
    found = take_inventory([here / "outputs"])
    assert [run.status for run in found.runs] == ["completed"]
    assert found.foreign == {}


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
