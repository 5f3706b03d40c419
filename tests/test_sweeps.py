"""Sweeps: grown, mended, shared between launches; in one process the work of cells is shared and changes nothing."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

import pytest
import torch
from conftest import CHECKOUT, TINY, UNBOUNDED

import nst_lab
from nst_lab.app import command
from nst_lab.memory import Memory
from nst_lab.running import inputs, networks, runs
from nst_lab.running.claims import Claim, HeldError, Watch
from nst_lab.running.runner import Run, make, run


def folders(name: str) -> list[Path]:
    return sorted(path.parent for path in Path("outputs", name).glob("*/manifest.json"))


def manifests(name: str) -> list[dict]:
    return [runs.read_manifest(folder) for folder in folders(name)]


def settings(name: str, section: str, key: str) -> dict:
    return {manifest["config"][section][key]: manifest for manifest in manifests(name)}


def attempts(name: str) -> int:
    return sum(len(manifest["attempts"]) for manifest in manifests(name))


def grid(size: int) -> list[str]:
    values = ",".join(str(10**power) for power in range(size))
    return ["-m", *TINY, "name=grid", f"loss.content_weight={values}", f"seed=range({size})", "init=noise"]


def test_growing_a_grid_runs_only_what_is_new(here, capsys):
    assert command(grid(3)) == 0
    assert attempts("grid") == 9
    before = {folder: (folder / "result.png").stat().st_mtime_ns for folder in folders("grid")}
    capsys.readouterr()
    assert command([*grid(4), "dry_run=true"]) == 0
    assert "7 new, 9 completed, 0 held" in capsys.readouterr().out
    assert command(grid(4)) == 0
    assert len(folders("grid")) == attempts("grid") == 16
    assert all((folder / "result.png").stat().st_mtime_ns == moment for folder, moment in before.items())
    assert capsys.readouterr().err.count(": starting") == 7


def test_the_same_settings_lead_to_the_same_folder_from_everywhere_in_any_order(here):
    mine = here / "mine/experiment"
    mine.mkdir(parents=True)
    text = "# @package _global_\nname: same\nloss: {content_weight: 5}\nhydra: {sweeper: {params: {seed: '1,0'}}}\n"
    (mine / "five.yaml").write_text(text)
    assert command(["-m", *TINY, "name=same", "seed=0,1", "loss.content_weight=5.0"]) == 0
    assert command(["-m", "loss.content_weight=5", "seed=1,0", "name=same", *reversed(TINY)]) == 0
    assert command(["--config-dir", "mine", "experiment=five", *TINY]) == 0
    run(nst_lab.compose([*TINY, "name=same", "seed=1", "loss.content_weight=5"]))
    assert len(folders("same")) == attempts("same") == 2


def test_other_bytes_of_an_image_or_another_version_of_the_results_make_another_run(here, monkeypatch):
    nst_lab.save_image(nst_lab.load_image("starry_strokes"), "style.png")
    config = nst_lab.compose([*TINY, "style.images=[style.png]"])
    first = run(config)
    assert run(config).folder == first.folder
    nst_lab.save_image(1 - nst_lab.load_image("starry_strokes"), "style.png")
    assert run(config).folder != first.folder
    monkeypatch.setattr(runs, "RESULT_VERSION", runs.RESULT_VERSION + 1)
    assert run(config).folder != first.folder
    assert len(folders("runs")) == 3


def test_a_run_is_skipped_only_if_the_whole_fingerprint_is_the_same(here):
    config = nst_lab.compose(TINY)
    done = run(config)
    short = done.manifest["fingerprint"][:12]
    text = (done.folder / "manifest.json").read_text().replace(done.manifest["fingerprint"], short + "0" * 52)
    (done.folder / "manifest.json").write_text(text)
    assert len(run(config).manifest["attempts"]) == 2


def test_eleven_of_twelve_complete_beside_an_undecodable_image_and_mending_it_completes_the_last(here, capsys):
    names = [f"{index}.png" for index in range(12)]
    for index, name in enumerate(names):
        nst_lab.save_image(nst_lab.load_image("chelsea") * (1 - index / 20), name)
    whole = Path("5.png").read_bytes()
    Path("5.png").write_bytes(whole[: len(whole) // 2])
    sweep = ["-m", *TINY, "name=mend", f"content.image={','.join(names)}"]
    assert command(sweep) == 1
    [failed] = [manifest for manifest in manifests("mend") if manifest["status"] != "completed"]
    assert (failed["status"], len(manifests("mend"))) == ("failed", 12)
    assert failed["error"].startswith("5.png: cannot be decoded")
    assert "traceback" not in failed
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert told == [f"failed: content.image=5.png: {failed['error']}"]
    Path("5.png").write_bytes(whole)
    assert command(sweep) == 0
    assert capsys.readouterr().err.count(": starting") == 1
    assert [manifest["status"] for manifest in manifests("mend")].count("completed") == 12


def test_a_held_run_is_told_by_a_dry_run_and_waited_for(here, capsys):
    config = nst_lab.compose([*TINY, "seed=1", "init=noise"])
    folder = runs.run_folder(config, runs.identify(config))
    folder.mkdir(parents=True)
    claim = Claim(folder, "another", Watch(60))
    sweep = ["-m", *TINY, "seed=0,1,2", "init=noise"]
    assert command([*sweep, "dry_run=true"]) == 0
    assert "2 new, 0 completed, 1 held" in capsys.readouterr().out
    with pytest.raises(HeldError, match=re.escape(str(folder))):
        next(make(config, wait=False))
    finished = []

    def release_when_the_others_are_done():
        while not finished:
            done = [manifest for manifest in manifests("runs") if manifest["status"] == "completed"]
            finished.extend(done if len(done) == 2 else [])
            time.sleep(0.05)
        time.sleep(2)  # for the sweep to notice
        claim.release()

    thread = threading.Thread(target=release_when_the_others_are_done)
    thread.start()
    assert command(sweep) == 0
    thread.join()
    assert f"waiting for {folder}" in capsys.readouterr().err
    assert attempts("runs") == 3


def test_what_another_launch_completes_meanwhile_is_not_run_again(here):
    config = nst_lab.compose(TINY)
    identity = runs.identify(config)
    folder = runs.run_folder(config, identity)
    folder.mkdir(parents=True)
    claim = Claim(folder, "another", Watch(60))
    results = []
    waiting = threading.Thread(target=lambda: results.append(run(config)))
    waiting.start()
    time.sleep(1)
    (folder / "result.png").write_bytes(b"made elsewhere")
    runs.write_manifest(claim, {"status": "completed", "fingerprint": identity.fingerprint})
    claim.release()
    waiting.join()
    assert results[0].manifest == {"status": "completed", "fingerprint": identity.fingerprint}
    assert (folder / "result.png").read_bytes() == b"made elsewhere"


def test_a_process_that_was_outbid_stops_and_leaves_the_folder_to_the_other(here):
    config = nst_lab.compose([*UNBOUNDED, "optimizer.evaluations=100000", "optimizer.tolerance=0"])
    folder = runs.run_folder(config, runs.identify(config))
    errors = []

    def make():
        try:
            run(config)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    while not (folder / "metrics.jsonl").exists():
        time.sleep(0.05)
    claim = (folder / ".claim.1").read_text().splitlines()[0]
    (folder / ".claim.2").write_text(claim.replace('"token": "', '"token": "x'))
    (folder / "manifest.json").write_text('{"status": "of the other"}')
    config.log.checkpoint_seconds = 0
    thread.join(120)
    assert [type(error).__name__ for error in errors] == ["ClaimLostError"]
    assert runs.read_manifest(folder) == {"status": "of the other"}
    assert not (folder / "result.png").exists()


@pytest.mark.slow
def test_cells_of_one_process_share_network_and_targets_and_the_result_is_that_of_a_fresh_process(here):
    networks._network.cache_clear()
    inputs.DECODED.kept.clear()
    cells = ["style.images=[starry_strokes,mosaic]", "loss.content_weight=1,10", "style.blend=weighted,targets"]
    assert command(["-m", *TINY, "name=shared", *cells]) == 0
    assert networks._network.cache_info().misses == 1
    assert networks._network.cache_info().hits == 3
    assert len(inputs.DECODED.kept) == 3
    for folder in folders("shared"):
        config = runs.read_manifest(folder)["config"]
        own = [f"loss.content_weight={config['loss']['content_weight']}", f"style.blend={config['style']['blend']}"]
        fresh = [sys.executable, "-m", "nst_lab", *TINY, cells[0], *own, "out_dir=fresh", "name=shared"]
        subprocess.run(fresh, check=True, capture_output=True, timeout=120)
        assert (folder / "result.png").read_bytes() == (Path("fresh/shared", folder.name, "result.png")).read_bytes()


def test_targets_are_measured_once_for_each_picture_and_statistic(here):
    networks._network.cache_clear()
    config = nst_lab.compose([*TINY, "style.images=[starry_strokes,mosaic]"])
    run(config)
    _, memory, _ = networks.shared_network(config, runs.identify(config).hashes)
    kept = set(memory.kept)
    run(nst_lab.compose([*TINY, "style.images=[mosaic]", "loss.style_weight=3"]))
    assert set(memory.kept) == kept
    run(nst_lab.compose([*TINY, "style.images=[mosaic]", "loss.statistic=w2"]))
    assert set(memory.kept) > kept


def test_memory_forgets_the_least_recently_used_and_never_exceeds_its_limit():
    memory, made = Memory(100), []

    def make(name, size):
        def tensors():
            made.append(name)
            half = torch.zeros(size // 2, dtype=torch.uint8)
            return {"one": (half,), "two": half}

        return memory.recall(name, tensors)

    for name, size in (("a", 40), ("b", 40), ("a", 40), ("c", 40), ("huge", 102), ("a", 40), ("b", 40), ("huge", 102)):
        make(name, size)
        assert sum(size for _, size in memory.kept.values()) <= 100
    assert made == ["a", "b", "c", "huge", "b", "huge"]


def test_a_launcher_that_is_not_installed_is_one_line_with_the_command(here, tmp_path):
    packages = Path(pytest.__file__).parent.parent
    linked = tmp_path / "packages"
    linked.mkdir()
    for entry in packages.iterdir():
        if entry.name != "hydra_plugins" and not entry.name.startswith("__editable__") and entry.suffix != ".pth":
            (linked / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{linked}"}
    bare = [sys._base_executable, "-S", "-m", "nst_lab", "-m", *TINY]
    for launcher, extra in (("processes", "processes"), ("slurm", "slurm"), ("ray_cluster", "ray")):
        arguments = [*bare, "seed=0,1", f"hydra/launcher={launcher}"]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert done.stderr == f"nst-lab: hydra/launcher={launcher}: not installed; pip install 'nst_lab[{extra}]'\n"


def test_launchers_compose_and_a_wrong_key_of_theirs_is_one_line(here, nst_lab_command):
    done = nst_lab_command("-m", *TINY, "seed=0,1", "hydra/launcher=processes", "hydra.launcher.n_jops=2")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "n_jops" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["hydra.launcher=null"], "hydra.launcher=null: expected a launcher, such as hydra/launcher=basic"),
        (["hydra.launcher=many"], "hydra.launcher=many: expected a launcher"),
        (["hydra/launcher=processes", "hydra.launcher.n_jobs=abc"], "hydra.launcher.n_jobs=abc: expected a whole"),
        (["hydra/launcher=processes", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs=0: expected a whole number"),
        (["hydra/launcher=slurm_local", "hydra.launcher.timeout_min=abc"], "hydra.launcher.timeout_min=abc: expected"),
        (["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=-3"], "hydra.launcher.cpus_per_task=-3: expected a"),
        (["hydra/launcher=ray_cluster", "hydra.launcher.ray.remote.num_cpus=abc"], "num_cpus=abc: expected a number"),
    ],
)
def test_a_launcher_that_cannot_be_started_is_one_line_before_any_run(here, capsys, overrides, expected):
    assert command(["-m", *TINY, "seed=0,1", *overrides]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line
    assert folders("runs") == []


@pytest.mark.parametrize("out_dir", ["ro/file", "ro/file/below"])
def test_an_output_folder_that_is_a_file_is_one_line(here, capsys, out_dir):
    Path("ro").mkdir()
    Path("ro/file").touch()
    for arguments in ([], ["dry_run=true"]):
        assert command([*TINY, f"out_dir={out_dir}", *arguments]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"nst-lab: out_dir: {out_dir}/runs/")
        assert line.endswith(" cannot be read (Not a directory)")


FOREIGN = {
    "empty": {"config": {}},
    "no_loss": {"config": {"style": {"images": ["mosaic"]}}},
    "no_images": {"config": {"style": {"images": None}, "loss": {}}},
    "nested": {"config": {"style": {"images": [["mosaic"]]}, "loss": {}}},
    "list": {"config": {"style": ["mosaic"], "loss": {}}},
    "older": {"config": {"style": {"images": ["mosaic"]}, "loss": {}}, "convention_overrides": None},
}


def test_folders_of_others_in_an_experiment_do_not_keep_its_runs_from_being_made(here):
    for name, manifest in FOREIGN.items():
        Path("outputs/runs", name).mkdir(parents=True)
        text = json.dumps({"fingerprint": "x", "status": "completed"} | manifest)
        Path("outputs/runs", name, "manifest.json").write_text(text)
    assert command([*TINY, "seed=1"]) == 0
    assert len(list(Path("outputs/runs/summary").iterdir())) == 1


@pytest.mark.parametrize("attempts", [5, [3], None])
def test_a_run_whose_manifest_tells_of_no_attempts_is_made(here, attempts):
    config = nst_lab.compose(TINY)
    folder = runs.run_folder(config, runs.identify(config))
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"status": "failed", "attempts": attempts}))
    assert command(TINY) == 0
    assert len(runs.read_manifest(folder)["attempts"]) == 1


def test_manifests_are_json_whatever_is_in_them(here):
    done = run(nst_lab.compose(TINY))
    assert json.loads((done.folder / "manifest.json").read_text()) == done.manifest
    assert done.manifest["threads"] >= 1
    assert done.manifest["device"]


@pytest.mark.slow
def test_after_the_first_a_cell_of_an_ablation_costs_little_more_than_its_evaluations(here):
    small = ["size=128", "threads=1"]
    run(nst_lab.compose([*small, "optimizer.evaluations=2"]))
    evaluations = []

    def drive_timed(coroutine) -> Run:
        """`drive`, with the time of every step in this thread, where all of an evaluation is with one thread."""
        try:
            synthesis = next(coroutine)
            while True:
                started = time.thread_time()
                step = synthesis.step()
                evaluations.append(time.thread_time() - started)
                synthesis = coroutine.send(step)
        except StopIteration as end:
            return end.value

    started = time.process_time()  # the threads that write included
    made = drive_timed(make(nst_lab.compose([*small, "loss.content_weight=3e6"])))
    total = time.process_time() - started
    assert len(evaluations) == made.manifest["evaluations"]
    first, *others = evaluations  # the first step prepares the optimisation too
    assert total / (median(others) + sum(others)) < 1.05, (total, first, sum(others))
