"""Cells that go on from one another: from whom, with what start, and the same bytes whoever makes them and when."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from conftest import TINY, UNBOUNDED

import nst_lab
from nst_lab.app import command
from nst_lab.config.composition import Composer
from nst_lab.housekeeping.command import command as nst_runs
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running import checkpoint, curvature, runs
from nst_lab.running.inputs import load_inputs
from nst_lab.running.recorder import Recorder
from nst_lab.sweeps.sweep import expand

WEIGHTS = "loss.content_weight=1e3,1e5,1e7"
SWEEP = ["-m", *TINY, WEIGHTS, "runner.continuation=3"]


def totals(folder: Path) -> list[float]:
    """Of every evaluation of a run; none where it did not come to that."""
    metrics = folder / "metrics.jsonl"
    return [json.loads(line)["total"] for line in metrics.read_text().splitlines()] if metrics.exists() else []


def made(out: str = "outputs") -> dict[float, dict]:
    """The manifests by content weight, with their folders and losses."""
    found = {}
    for path in Path(out).glob("*/*/manifest.json"):
        manifest, more = json.loads(path.read_text()), {"folder": path.parent, "totals": totals(path.parent)}
        found[manifest["config"]["loss"]["content_weight"]] = manifest | more
    return dict(sorted(found.items()))


def pixels(out: str) -> list[bytes]:
    files = [manifest["folder"] / runs.RESULT for manifest in made(out).values()]
    return [file.read_bytes() if file.exists() else b"" for file in files]


CASES = {
    "a row": (["loss.content_weight=3,1,2"], [None, 0, 1]),
    "a grid": (["loss.content_weight=1,2", "loss.tv_weight=0,1,2"], [None, 0, 1, 0, 3, 4]),
    "a value twice": (["loss.content_weight=1,2,1"], [None, 0, None]),
    "weights of layers": (["layers.style_weights=[1,0],[0,1]"], [None, 0]),
    "their profile": (["layers.style_profile=uniform,quartering"], [None, 0]),
    "weights and what is not": (["seed=0,1", "loss.style_weight=1,2"], [None, 0, None, 2]),
    "what is no weight": (["layers.content=[relu2_1],[relu1_2]"], [None, None]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cell_goes_on_from_the_latest_that_differs_in_one_weight(name):
    swept, expected = CASES[name]
    cells = expand(Composer(), [*TINY, *swept], multirun=True)
    assert [cell.config.init.run for cell in cells] == [None] * len(expected)
    cells = expand(Composer(), [*TINY, *swept, "runner.continuation=3"], multirun=True)
    found = [cell.config.init.run for cell in cells]
    folders = [str(runs.run_folder(cell.config, runs.identify(cell.config))) for cell in cells]
    assert found == [None if index is None else folders[index] for index in expected]
    assert len(set(folders)) == (2 if name == "a value twice" else len(folders))  # which is the same run


def test_it_starts_from_the_result_of_that_one_with_a_budget_of_its_own(here):
    assert command(SWEEP) == 0
    first, second, third = made().values()
    alone = nst_lab.compose([*TINY, "loss.content_weight=1e3"])
    assert first["fingerprint"] == runs.identify(alone).fingerprint  # what it is in every sweep
    assert [each["evaluations"] for each in (first, second, third)] == [4, 3, 3]
    assert [each["config"]["init"]["run"] for each in (second, third)] == [str(first["folder"]), str(second["folder"])]
    same = [*TINY[:-1], "optimizer.evaluations=3", "optimizer.revive=0", "name=by_hand"]
    for before, after, knows in ((first, second, False), (second, third, True)):
        weight = f"loss.content_weight={after['config']['loss']['content_weight']}"
        picture = f"init.image={before['folder'] / runs.RESULT}"
        by_hand = nst_lab.run(nst_lab.compose([*same, weight, "init=file", picture]))
        own = totals(by_hand.folder)
        assert own[0] == after["totals"][0]
        # The first of a row leaves no curvature; from then on, the first step already knows some.
        assert (own == after["totals"]) != knows


def test_the_pairs_are_those_that_the_run_before_ended_with(here):
    assert command(SWEEP) == 0
    first, second, third = (each["folder"] for each in made().values())
    assert not (first / curvature.NAME).exists()
    left = checkpoint.load(second / curvature.NAME)
    config = nst_lab.compose(json.loads((third / "manifest.json").read_text())["overrides"])
    moves, changes = curvature.take_over(config)
    assert left["moves"].dtype == torch.bfloat16
    assert moves.equal(left["moves"])
    assert moves.shape == changes.shape == (2, 3 * 32 * 21)
    assert ((moves.float() * changes.float()).sum(1) > 0).all()
    synthesis = Synthesis(load_inputs(config), config, known=(moves, changes))
    synthesis.proceed()
    begun = synthesis.pairs().known(torch.float32)
    assert begun[0].equal(moves.float())
    assert begun[1].equal(changes.float())
    assert synthesis.known is None


def test_a_run_goes_on_from_its_checkpoint_to_the_same_bytes_with_a_curvature_of_its_own(here, monkeypatch):
    assert command([*SWEEP, "out_dir=whole"]) == 0
    record = Recorder.record

    def interrupts(self, step):
        record(self, step)
        if step.evaluation == 2 and "run" in self.board.path.parent.name.split("-"):
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", interrupts)
        assert command([*SWEEP, "out_dir=cut"]) == 130
        assert command([*SWEEP, "out_dir=cut"]) == 130
    assert command([*SWEEP, "out_dir=cut"]) == 0
    for whole, cut in zip(made("whole").values(), made("cut").values(), strict=True):
        assert cut["totals"] == whole["totals"]
    left = [checkpoint.load(list(made(out).values())[2]["folder"] / curvature.NAME) for out in ("whole", "cut")]
    assert all(left[0][name].equal(left[1][name]) for name in ("moves", "changes"))


@pytest.mark.parametrize("damage", ["removed", "cut", "pickled"])
def test_a_curvature_that_cannot_be_used_is_told_in_one_line(here, capsys, damage):
    assert command(SWEEP) == 0
    _, second, third = (each["folder"] for each in made().values())
    file = second / curvature.NAME
    told = {"removed": "No such file", "cut": "not those that were written", "pickled": "not those that were written"}
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] if damage == "cut" else b"cos\nsystem\n(S'touch owned'\ntR.")
    shutil.rmtree(third)
    capsys.readouterr()
    assert command(SWEEP) == 1
    [line] = {
        line.partition(": failed: ")[2] for line in capsys.readouterr().err.splitlines() if "failed: init" in line
    }
    assert line.startswith(f"init.run={second}: its curvature.pt is not usable (")
    assert told[damage] in line
    assert line.endswith("); run it again with force=true")
    assert not Path("owned").exists()


def test_repeats_over_seeds_are_repeats_and_tables_tell_what_was_swept(here, capsys):
    grid = ["-m", *TINY, WEIGHTS, "seed=0,1", "init=noise", "runner.continuation=3"]
    assert command(grid) == 0
    runs_read = nst_lab.load_runs("outputs")
    assert sorted(map(len, runs_read.repeats())) == [2, 2, 2]
    assert "init.run" not in runs_read.settings
    assert "init.curvature" not in runs_read.settings
    capsys.readouterr()
    assert nst_runs(["list", "outputs"]) == 0
    told = capsys.readouterr().out
    assert "loss.content_weight=1e7, seed=1" in told.replace("10000000.0", "1e7")
    assert "init.run" not in told


def test_pairs_of_another_variable_are_not_taken_over(here):
    assert command(SWEEP) == 0
    third = json.loads((list(made().values())[2]["folder"] / "manifest.json").read_text())["overrides"]
    assert curvature.take_over(nst_lab.compose(third)) is not None
    for other in ("optimizer.pixel_scale=255", "parametrisation=fourier", "size=48", "color.mode=luminance"):
        assert curvature.take_over(nst_lab.compose([*third, other])) is None


@pytest.mark.parametrize("more", [[], ["hydra/launcher=processes", "hydra.launcher.n_jobs=2"]])
def test_a_forced_row_whose_first_fails_ends_with_the_earlier_results_of_the_others(here, capsys, more):
    assert command([*SWEEP, "threads=1"]) == 0
    before, pictures = made(), pixels("outputs")
    (before[1e3]["folder"] / "checkpoint.pt").mkdir()
    capsys.readouterr()
    assert command([*SWEEP, "threads=1", "force=true", *more]) == 1
    told = capsys.readouterr().err
    assert "no run was started" not in told
    assert "Traceback" not in told
    after = made()
    assert [each["status"] for each in after.values()] == ["failed", "completed", "completed"]
    assert [len(each["attempts"]) for each in after.values()] == [2, 1, 2]  # the second is as it was
    assert pixels("outputs")[1:] == pictures[1:]


def test_the_table_of_a_sweep_and_its_dry_run_know_the_budgets(here, capsys):
    assert command([*SWEEP, "dry_run=true"]) == 0
    planned = capsys.readouterr().out
    assert "3 new" in planned
    assert "to do: 10 evaluations" in planned
    assert not made()
    assert command(SWEEP) == 0
    labels = [line for line in capsys.readouterr().out.splitlines() if line.startswith("loss.content_weight=")]
    assert len(labels) == 3
    assert not any("init" in line or "optimizer" in line for line in labels)  # nobody swept those


@pytest.mark.parametrize("more", [["runner.batch=4"], ["hydra/launcher=processes", "hydra.launcher.n_jobs=2"]])
def test_batches_and_launchers_wait_for_what_a_cell_goes_on_from(here, more):
    grid = ["-m", *TINY, WEIGHTS, "seed=0,1", "init=noise", "runner.continuation=3", "threads=1"]
    assert command([*grid, "out_dir=one_by_one"]) == 0
    assert command([*grid, *more, "out_dir=spread"]) == 0
    alone, spread = (
        sorted(totals(path.parent) for path in Path(out).glob("*/*/manifest.json")) for out in ("one_by_one", "spread")
    )
    assert len(alone) == 6
    assert alone == spread


def test_what_is_missing_of_a_row_is_made_again_as_it_was(here):
    assert command(SWEEP) == 0
    before, pictures = made(), pixels("outputs")
    shutil.rmtree(before[1e5]["folder"])
    assert command(SWEEP) == 0
    after = made()
    assert pixels("outputs") == pictures
    assert [len(each["attempts"]) for each in after.values()] == [1, 1, 1]
    assert after[1e5]["start"] >= before[1e7]["start"]  # and the last one not again
    assert after[1e7]["start"] == before[1e7]["start"]
    assert command([*SWEEP, "force=true"]) == 0  # all of them, in their order
    assert pixels("outputs") == pictures
    assert [len(each["attempts"]) for each in made().values()] == [2, 2, 2]


def test_a_cell_whose_predecessor_failed_says_so_in_one_line(here, capsys):
    rates = ["optimizer.name=adam", "optimizer.learning_rate=1e30"]
    assert command([*SWEEP, *rates]) == 1
    first, second, third = made().values()
    assert [each["status"] for each in (first, second, third)] == ["failed"] * 3
    assert second["error"] == f"init.run={first['folder']}: no completed run (failed); expected the folder of one"
    errors = capsys.readouterr().err
    assert errors.count("\nfailed: loss.content_weight=") == 3
    assert "Traceback" not in errors


def test_a_run_of_ones_own_can_be_the_start_of_another(here, capsys):
    assert command([*TINY]) == 0
    [folder] = [path.parent for path in Path("outputs").glob("*/*/manifest.json")]
    on = [*UNBOUNDED, "optimizer.evaluations=2", "init=run"]
    assert command([*on, f"init.run={folder}", "out_dir=on"]) == 0
    assert command([*on, f"init.run={folder.resolve()}", "out_dir=on"]) == 0  # another way to the same start
    [made_on] = Path("on").glob("*/*/manifest.json")
    assert json.loads(made_on.read_text())["hashes"]["init"] == f"run {folder.name[-12:]}"
    shutil.rmtree(folder)
    assert command([*on, f"init.run={folder}", "out_dir=on"]) == 0  # completed, it needs its start no more
    capsys.readouterr()
    assert command([*on, f"init.run={folder}", "out_dir=new"]) == 2
    told = f"nst-lab: init.run={folder}: no completed run; expected the folder of one"
    assert capsys.readouterr().err.splitlines() == [told]
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["init=run"], "init.run=null: init.kind=run needs the folder of a run"),
        (
            ["init=run", "init.run=outputs/runs"],
            "init.run=outputs/runs: expected the folder of a run, whose name ends in",
        ),
        (["runner.continuation=0"], "runner.continuation=0: expected a finite number, at least 1"),
        (
            ["color=content_chroma", "runner.continuation=3"],
            "runner.continuation=3: color.mode=content_chroma leaves another",
        ),
        (["init.curvature=true"], "init.curvature=true: is of init.kind=run and optimizer.name=lbfgs, not content and"),
        (["runner.continuation=few"], "runner.continuation=few: expected a whole number"),
    ],
)
def test_what_cannot_be_gone_on_from_is_told_in_one_line(here, capsys, given, told):
    assert command([*TINY, *given]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert told in line
