"""What a search finds, and how the command tells it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from conftest import CHECKOUT
from searches import LONG, SEARCH, SMALL, attempts, drawn, made, write

import nst_lab
from nst_lab import app, metrics
from nst_lab.running import runs
from nst_lab.running.claims import Claim, Watch
from nst_lab.search.command import command
from nst_lab.search.trials import search


@pytest.mark.slow
def test_the_best_grey_for_the_colours_of_a_style_is_found(here):
    found = search(SEARCH, trials=10)
    assert [trial.status for trial in found.trials] == ["completed"] * 10
    assert found.best == min(found.trials, key=lambda trial: trial.distances["color"])
    [board] = Path("outputs/found/summary").iterdir()
    assert b"init.noise_mean" in board.read_bytes()  # a column of the HParams page
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "4 trials completed, 0 within content ≤ 1e-6" in printed
    assert "none is within the bounds; the nearest:" in printed
    assert "nearest:     nst-lab name=found" in printed


def test_a_dry_run_tells_the_cost_and_makes_nothing(here, capsys):
    assert command(["alpha_over_beta", "dry_run=true", "--trials", "20"]) == 0
    printed = capsys.readouterr().out
    assert "loss.content_weight: 1e6 to 1e11 on a log scale" in printed
    assert "minimise style, content ≤ 0.6: 20 trials, each at most 60 evaluations" in printed
    assert not Path("outputs").exists()


def test_without_optuna_the_line_says_how_to_install_it(here, tmp_path):
    packages = Path(pytest.__file__).parent.parent
    linked = tmp_path / "packages"
    linked.mkdir()
    for entry in packages.iterdir():
        if entry.name != "optuna" and not entry.name.startswith("__editable__") and entry.suffix != ".pth":
            (linked / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{linked}"}
    bare = [sys._base_executable, "-S", "-m", "nst_lab.search.command", "alpha_over_beta"]
    done = subprocess.run(bare, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "nst-search: a search needs Optuna, which is not installed; pip install 'nst_lab[search]'\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom nst_lab.search.command import command\n"
        "try:\n    command(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'optuna', 'hydra'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "alpha_over_beta" in done.stdout
