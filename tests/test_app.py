"""The command line as a user meets it: exit status, one-line errors, sweeps, dry runs, start-up without torch."""

import json
import re
import resource
import signal
import subprocess
import sys

import pytest
from conftest import TINY, UNBOUNDED

from nst_lab.app import command


def manifests(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/manifest.json"))]


def test_one_run_leaves_a_complete_folder(nst_lab_command, here):
    done = nst_lab_command(*TINY, "name=first")
    assert done.returncode == 0, done.stderr
    [folder] = [path for path in (here / "outputs/first").iterdir() if path.name not in (".launches", "summary")]
    assert re.fullmatch(r"chelsea-starry_strokes-gatys-content_layers_2_1-[\w+.-]+-size_32-[0-9a-f]{12}", folder.name)
    names = {path.name.split(".tfevents")[0] for path in folder.iterdir()}
    assert names == {"result.png", "manifest.json", "metrics.jsonl", "events.out"}
    assert f"{folder.relative_to(here)}/result.png" in done.stdout
    assert "tensorboard" in done.stdout
    assert "evaluation 4/4" in done.stderr


@pytest.mark.parametrize("arguments", [["size=abc"], ["--wrong-flag"], ["--cfg", "nothing"], ["--config-dir", "none"]])
def test_a_mistake_exits_2_with_one_line_and_leaves_nothing(nst_lab_command, here, arguments):
    done = nst_lab_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("key", ["content.image", "style.images", "out_dir", "name", "experiment"])
def test_a_name_that_is_not_utf_8_is_one_printable_line(here, key, capsys):
    path = here / "caf\udce9.png"
    path.touch()
    value = f"['{path}']" if key == "style.images" else f"'{path.name}'"
    assert command(["-m", *TINY, "seed=0,1", f"{key}={value}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nst-lab: {key}=")
    assert error.count("\n") == 1
    assert r"caf\udce9.png" in error
    assert ("not valid UTF-8; rename" in error) == (key != "experiment")
    assert list(here.iterdir()) == [path]


def test_no_experiment_is_told_with_those_that_there_are(here, capsys):
    assert command(["experiment=null"]) == 2
    assert "experiment=null: no such choice; valid: " in capsys.readouterr().err


def test_a_wrong_cell_stops_a_sweep_before_the_first_run(here, capsys):
    assert command(["-m", *TINY, "loss.style_weight=1,2,-3"]) == 2
    assert "loss.style_weight=-3" in capsys.readouterr().err
    assert not (here / "outputs").exists()


def test_a_sweep_runs_every_cell_and_ends_in_a_labelled_grid(here, capsys):
    assert command(["-m", *TINY, "name=sweep", "style=starry_strokes,woodcut_waves", "loss.content_weight=1,10"]) == 0
    found = manifests(here / "outputs/sweep")
    assert len(found) == 4
    assert {manifest["status"] for manifest in found} == {"completed"}
    assert (here / "outputs/sweep/grid.png").is_file()
    printed = capsys.readouterr().out
    assert "outputs/sweep/grid.png" in printed
    assert "tensorboard" in printed


def test_a_completed_cell_is_not_run_again_unless_forced(here, capsys):
    arguments = [*TINY, "name=again"]
    assert command(arguments) == 0
    [result] = (here / "outputs/again").glob("*/result.png")
    first = result.stat().st_mtime_ns
    assert command(arguments) == 0
    assert "(earlier)" in capsys.readouterr().out
    assert result.stat().st_mtime_ns == first
    assert command([*arguments, "force=true"]) == 0
    assert result.stat().st_mtime_ns > first
    assert len(list(result.parent.glob("events.out.tfevents.*"))) == 1


def test_a_failed_cell_is_named_and_the_rest_goes_on(here, capsys):
    (here / "broken.png").write_bytes(b"not a picture")
    assert command(["-m", *TINY, "name=mixed", "content.image=chelsea,broken.png,rocket"]) == 1
    output = capsys.readouterr()
    found = {manifest["config"]["content"]["image"]: manifest for manifest in manifests(here / "outputs/mixed")}
    assert [found[name]["status"] for name in ("chelsea", "rocket")] == ["completed", "completed"]
    assert found["broken.png"]["status"] == "failed"
    assert "broken.png" in found["broken.png"]["error"]
    assert "traceback" not in found["broken.png"]
    assert any(line.startswith("failed:") and "broken.png" in line for line in output.err.splitlines())
    assert "Traceback" not in output.err


def test_losses_that_are_not_finite_fail_with_their_name_and_keep_the_last_finite_picture(here, capsys):
    assert command([*TINY, "name=wild", "optimizer=sgd", "optimizer.learning_rate=1e30"]) == 1
    [manifest] = manifests(here / "outputs/wild")
    assert (manifest["status"], manifest["stop_reason"]) == ("failed", "not_finite")
    assert re.search(r"(style|content|total|gradient).* is (nan|inf) at evaluation \d", manifest["error"])
    assert list((here / "outputs/wild").glob("*/result.png"))


def test_an_absent_device_is_refused_before_any_work(here, capsys):
    assert command([*TINY, "device=cuda:99"]) == 2
    assert "device=cuda:99" in capsys.readouterr().err
    assert not (here / "outputs").exists()


def test_a_picture_too_small_for_the_layers_is_refused_before_any_work(here, capsys):
    assert command(["-m", "size=64,12"]) == 2
    line = capsys.readouterr().err
    assert "size=12" in line
    assert "relu5_1 needs at least 16" in line
    assert not (here / "outputs").exists()


def test_a_dry_run_tells_the_cost_and_runs_nothing(here, capsys):
    assert command(["-m", *TINY, "seed=0,1", "dry_run=true"]) == 0
    printed = capsys.readouterr().out
    assert "2 new, 0 completed" in printed
    assert "8 evaluations" in printed
    assert re.search(r"\d+ s", printed)
    assert "GiB" in printed
    assert "MiB on disk" in printed
    assert not (here / "outputs").exists()


def test_help_lists_groups_and_keys(nst_lab_command):
    done = nst_lab_command("--help")
    assert done.returncode == 0
    for word in ("nst-lab", "convention: crowson, gatys,", "experiment:", "quickstart", "style_weight"):
        assert word in done.stdout


def test_cfg_job_shows_the_filled_configuration(nst_lab_command):
    done = nst_lab_command("--cfg", "job", "convention=seed")
    assert done.returncode == 0
    assert "convention: seed" in done.stdout
    assert "size_rule: exact" in done.stdout


def test_cfg_job_of_a_sweep_shows_every_cell(nst_lab_command):
    done = nst_lab_command("-m", "--cfg", "job", "seed=1,2")
    assert done.returncode == 0
    assert "seed: 1\n" in done.stdout
    assert "seed: 2\n" in done.stdout


def test_version(nst_lab_command):
    assert nst_lab_command("--version").stdout.startswith("nst_lab ")


def test_a_rerun_from_a_pickle_is_refused(nst_lab_command):
    done = nst_lab_command("--experimental-rerun", "job.pickle")
    assert done.returncode == 2
    assert "--experimental-rerun" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["size=abc"], ["--info", "searchpath"]])
def test_answers_that_need_no_network_do_not_import_torch(here, arguments):
    code = (
        "import sys\nfrom nst_lab.app import command\n"
        f"try:\n    command({arguments!r})\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'skimage' not in sys.modules\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 6  # 0.6 s on a fast machine, 3 s on a slow one, however busy it is


def test_an_interruption_exits_130_and_keeps_the_picture(here):
    arguments = [*UNBOUNDED, "optimizer.evaluations=100000", "optimizer.tolerance=0", "name=stopped", "init=noise"]
    process = subprocess.Popen([sys.executable, "-m", "nst_lab", *arguments], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "evaluation 1/" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "nst-lab: interrupted"
    [manifest] = manifests(here / "outputs/stopped")
    assert (manifest["status"], manifest["stop_reason"]) == ("interrupted", "interrupted")
    assert list((here / "outputs/stopped").glob("*/result.png"))
