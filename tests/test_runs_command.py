"""`nst-runs` as a user meets it: the table of runs, sizes, folders that are none, one-line errors."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from conftest import CHECKOUT, TINY, UNBOUNDED
from run_folders import DAY, STARTED, edit, kill, on_terminal, read_all, record

from nst_lab import app
from nst_lab.housekeeping.command import command
from nst_lab.housekeeping.table import human_age, human_size
from nst_lab.running.claims import Claim, Watch


def table(capsys, *arguments: str) -> dict[str, dict[str, str]]:
    """Run name -> cells by column, as `nst-runs list` prints them where it is piped."""
    assert command(["list", *arguments]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    [last] = [index for index, line in enumerate(lines) if re.match(r"\d+ runs? \(", line)]
    rows = [[line[start:end].strip() for start, end in spans] for line in lines[:last]]
    return {row[0]: dict(zip(header.split(), row, strict=True)) for row in rows}


def start_and_stop(here: Path, seed: int, number: signal.Signals) -> Path:
    """A run in a process of its own, ended by a signal after some evaluations; its folder."""
    before = set(here.glob("outputs/real/*"))
    overrides = [*UNBOUNDED, "optimizer.evaluations=5000", "optimizer.tolerance=0", "name=real", f"seed={seed}"]
    process = subprocess.Popen([sys.executable, "-m", "nst_lab", *overrides], cwd=here, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        new = [path for path in here.glob("outputs/real/*/metrics.jsonl") if path.parent not in before]
        if new and new[0].read_bytes().count(b"\n") > 5:
            process.send_signal(number)
            process.wait(60)
            return new[0].parent
        time.sleep(0.02)
    raise AssertionError("the run did not begin")


@pytest.mark.slow
def test_the_table_tells_what_became_of_real_runs(here, capsys):
    (here / "broken.png").write_bytes(b"no picture")
    assert app.command(["-m", *TINY, "name=real", "seed=0,1"]) == 0
    assert app.command([*TINY, "name=real", "seed=2", "content.image=broken.png"]) == 1
    interrupted = start_and_stop(here, 3, signal.SIGINT)
    killed = start_and_stop(here, 4, signal.SIGKILL)
    capsys.readouterr()
    rows = table(capsys)
    by_seed = {re.search(r"seed=(\d)", row["settings"])[1]: row for row in rows.values()}
    statuses = ["completed", "completed", "failed", "interrupted", "killed"]
    assert [by_seed[str(seed)]["status"] for seed in range(5)] == statuses
    reached = json.loads((interrupted / "manifest.json").read_text())["evaluations"]
    logged = json.loads((killed / "metrics.jsonl").read_text().splitlines()[-1])["evaluation"]
    expected = ["4", "4", "0/4", f"{reached}/5000", f"{logged}/5000"]
    assert [by_seed[str(seed)]["evaluations"] for seed in range(5)] == expected
    assert by_seed["2"]["settings"] == "optimizer.evaluations=4, seed=2, content.image=broken.png"
    for row in rows.values():
        assert re.fullmatch(r"\d+ s", row["age"])
    with Claim(killed, "mine", Watch(60)):
        assert table(capsys)[f"real/{killed.name}"]["status"] == "held"
        assert command(["list"]) == 0
        *_, failed, held = capsys.readouterr().out.splitlines()
    assert re.match(r"failed: real/\S+: .*broken\.png", failed)
    assert held.startswith(f"held: real/{killed.name}: by process {os.getpid()} on ")


def test_runs_of_an_experiment_are_told_apart_by_the_settings_that_differ(stored, capsys):
    for seed in (0, 1):
        stored(f"a{seed}", "swept", overrides=["size=32", "style=mosaic", f"seed={seed}", "loss.tv_weight=1000000.0"])
    stored("b", "swept", status="failed", error="e", overrides=["size=32", "style=mosaic", "+threads=2"])
    for seed in (0, 1):
        folder = stored(f"c{seed}", "from_python", overrides=[])
        config = json.loads((folder / "manifest.json").read_text())["config"]
        edit(folder, config=config | {"seed": seed, "loss": config["loss"] | {"tv_weight": 2.5 * seed}})
    stored("d", "alone", overrides=["size=32"])
    rows = table(capsys)
    settings = {name.partition("/")[2]: row["settings"] for name, row in rows.items()}
    assert settings["a1"] == "seed=1, loss.tv_weight=1e6"
    assert settings["b"] == "threads=2"
    assert (settings["c0"], settings["c1"]) == ("seed=0, loss.tv_weight=0", "seed=1, loss.tv_weight=2.5")
    assert settings["d"] == "convention=gatys, size=32"
    assert table(capsys, "--status", "failed")["swept/b"]["settings"] == "threads=2"
    assert table(capsys, "outputs/swept/a1")["swept/a1"]["settings"] == "convention=gatys, size=32"


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("age", ["old", "large", "middle", "new"]),
        ("size", ["new", "old", "middle", "large"]),
        ("status", ["old", "new", "large", "middle"]),
        ("run", ["large", "middle", "new", "old"]),
    ],
)
def test_the_table_is_sorted(stored, capsys, sort, order):
    sizes = {"old": 10_000, "new": 0, "middle": 20_000, "large": 30_000}
    changes = {
        "old": {"days": 40},
        "large": {"days": 3, "status": "failed"},
        "middle": {"days": 0.2, "status": "failed"},
    }
    for run, size in sizes.items():
        (stored(run, **changes.get(run, {})) / "more.bin").write_bytes(bytes(size))
    rows = table(capsys, "--sort", sort)
    assert [name.partition("/")[2] for name in rows] == order
    assert [rows[f"experiment/{run}"]["age"] for run in ("old", "large", "middle")] == ["40 d", "3 d", "5 h"]
    everything = sum(path.stat().st_size for path in Path("outputs/experiment/large").iterdir())
    assert rows["experiment/large"]["size"] == human_size(everything)


def test_statuses_filter_and_the_last_line_counts(stored, capsys):
    stored("a")
    stored("b", status="failed", error="of b")
    kill(stored("c"))
    stored("d", status="interrupted")
    assert set(table(capsys, "--status", "failed,killed")) == {"experiment/b", "experiment/c"}
    assert command(["list"]) == 0
    last, note = capsys.readouterr().out.splitlines()[-2:]
    assert last.startswith("4 runs (1 completed, 1 failed, 1 interrupted, 1 killed), ")
    assert note == "failed: experiment/b: of b"
    assert command(["list", "--status", "held"]) == 0
    assert capsys.readouterr().out == "no held runs in outputs\n"


def test_errors_are_shortened_to_the_last_ten_or_told_in_full_on_demand(stored, capsys):
    error = "first line\n" + "word " * 50 + "end"
    for index in range(12):
        stored(f"{index}", status="failed", error=error, days=20 - index)
    assert command(["list"]) == 0
    *notes, more = capsys.readouterr().out.splitlines()[-11:]
    short = "first line " + "word " * 17 + "…"
    assert notes == [f"failed: experiment/{index}: {short}" for index in range(2, 12)]
    assert more == "and 2 more: --errors tells them all"
    assert command(["list", "--errors"]) == 0
    escaped = error.replace("\n", "\\n")
    assert capsys.readouterr().out.splitlines()[-12:] == [f"failed: experiment/{i}: {escaped}" for i in range(12)]


def test_a_completed_run_without_its_picture_is_told(stored, capsys):
    (stored("a") / "result.png").unlink()
    assert command(["list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "completed: experiment/a: no result.png"


def test_a_folder_may_be_an_output_folder_an_experiment_or_a_run(stored, here, capsys, monkeypatch):
    run = stored("a", "one")
    stored("b", "two")
    (here / "linked").symlink_to(here / "outputs")
    assert set(table(capsys)) == {"one/a", "two/b"}
    assert set(table(capsys, "outputs/one")) == {"one/a"}
    assert set(table(capsys, str(run))) == {"one/a"}
    assert set(table(capsys, "outputs/one", "outputs/", "outputs/one/a", "linked")) == {"one/a", "two/b"}
    assert set(table(capsys, "linked")) == {"one/a", "two/b"}
    monkeypatch.chdir(run)
    assert set(table(capsys, ".")) == {"one/a"}
    assert set(table(capsys, "..")) == {"one/a"}


def test_a_run_that_has_just_been_claimed_is_held_and_one_never_begun_is_none(here, capsys):
    folder = here / "outputs/experiment/a"
    folder.mkdir(parents=True)
    with Claim(folder, "mine", Watch(60)):
        assert table(capsys)["experiment/a"]["status"] == "held"
    (folder / ".claim.1").write_text(json.dumps({"process": "gone"}))
    assert table(capsys)["experiment/a"]["status"] == "held"  # whoever wrote that may live
    (folder / ".claim.1").unlink()
    assert command(["list"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("no runs in outputs\n", "")


def test_the_table_fits_a_terminal_without_losing_a_word(stored):
    stored("chelsea-starry_strokes-gatys-0123456789ab", status="failed", error="something went wrong here")
    with on_terminal("list", COLUMNS="80", TERM="xterm") as (process, terminal):
        text = read_all(terminal).decode()
        assert process.wait(60) == 0
    lines = text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines[:-1])) <= 80
    column = "".join(line[: lines[0].index("status")].strip() for line in lines[1:-2])
    assert column == "experiment/chelsea-starry_strokes-gatys-0123456789ab"


def test_a_reader_that_has_seen_enough_ends_it_quietly(stored, here):
    for index in range(3):
        stored(f"run{index}")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", '"$@" list | true', "-", *STARTED], cwd=here, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("end", [None, 5, "yesterday", "9999-99-99", "0001-01-01T00:00:00"])
def test_a_manifest_without_a_usable_end_is_as_old_as_its_files(stored, capsys, end):
    folder = stored("a")
    edit(folder, end=end)
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3 * DAY,) * 2)
    assert table(capsys)["experiment/a"]["age"] == "3 d"


def test_size_adds_up_to_what_the_files_take(stored, here, capsys):
    folder = stored("a", "one")
    stored("b", "one")
    stored("c", "two")
    (folder / "checkpoint.pt").write_bytes(bytes(5_000_000))
    (here / "outputs/one/grid.png").write_bytes(bytes(3_000_000))
    (here / "outputs/one/summary").mkdir()
    (here / "outputs/one/summary/events.out.tfevents.1.000").write_bytes(bytes(1_000_000))
    record(here, "launch", 0)
    (here / "outputs/experiment/.removed.0123456789abcdef0123456789abcdef").mkdir()
    (here / "outputs/experiment/.removed.0123456789abcdef0123456789abcdef/x").write_bytes(bytes(5000))
    assert command(["size"]) == 0
    header, *lines = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    rows = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert list(rows) == ["experiment", "one", "two", "total"]
    assert [row["runs"] for row in rows.values()] == ["0", "2", "1", "3"]
    for name, path in (("one", "one"), ("two", "two"), ("experiment", "experiment"), ("total", ".")):
        files = [each for each in (here / "outputs" / path).rglob("*") if each.is_file()]
        assert rows[name]["all"] == human_size(sum(each.stat().st_size for each in files))
    for kind, pattern in (("pictures", "*.png"), ("event files", "events*"), ("metrics", "metrics.jsonl")):
        expected = human_size(sum(each.stat().st_size for each in (here / "outputs").glob(f"*/**/{pattern}")))
        assert rows["total"][kind] == expected != "0 B"
    assert rows["one"]["checkpoints"] == "4.8 MiB"
    assert rows["two"]["checkpoints"] == "0 B"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (10 * 1024, "10 KiB"), (3.4 * 2**20, "3.4 MiB"), (2**30, "1.0 GiB"),
     (1500 * 2**40, "1500 TiB")],
)  # fmt: skip
def test_sizes_in_words(size, text):
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (3 * 3600, "3 h"), (2 * DAY, "2 d"),
     (800 * DAY, "800 d")],
)  # fmt: skip
def test_ages_in_words(seconds, text):
    assert human_age(seconds) == text


def test_ten_thousand_runs_are_listed_in_seconds(finished, here):
    for index in range(10_000):
        folder = here / f"outputs/experiment{index % 10}/run{index}"
        folder.mkdir(parents=True)
        for path in finished.iterdir():
            os.link(path, folder / path.name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*STARTED, "list"], cwd=here, capture_output=True, text=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1].startswith("10000 runs (10000 completed), ")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15


def test_the_command_is_declared_and_starts_without_torch(stored, here):
    stored("a")
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["nst-runs"].partition(":")
    assert callable(getattr(import_module(module), function))
    arguments = "['list'], ['size'], ['clean', '--failed', '--yes']"
    code = f"import sys\nfrom {module} import command\nfor each in ({arguments}): assert command(each) == 0\n"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "experiment/a" in done.stdout


def test_a_line_break_in_a_folder_is_told_in_one_line(here, capsys):
    assert command(["list", "a\nb"]) == 2
    error = capsys.readouterr().err
    assert r"a\nb" in error
    assert error.count("\n") == 1
