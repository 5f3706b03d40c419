"""`nst-runs clean`: what it takes, what it never takes, and that it asks; odd names and folders that are no runs."""

import json
import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import TINY
from run_folders import kill, on_terminal, read_all, record, runs_in

from nst_lab import app
from nst_lab.housekeeping.command import command
from nst_lab.housekeeping.inventory import remove_run, take_inventory
from nst_lab.running.claims import Claim, HeldError, Watch


@contextmanager
def made_elsewhere(folder: Path):
    """A claim of a process on another machine."""
    process = {"host": "node7", "boot": "b", "pid": 12, "start": "1"}
    path = folder / ".claim.1"
    path.write_text(json.dumps({"process": process, "launch": "theirs", "token": "t"}) + "\n")
    yield
    path.unlink()


STATES = {"failed", "interrupted", "killed"}


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        ("--failed", {"new failed", "old failed"}),
        (
            "--failed --interrupted",
            {f"{age} {status}" for age in ("new", "old") for status in ("failed", "interrupted")},
        ),
        ("--killed --older-than 7d", {"old killed"}),
        ("--older-than 7d", {f"old {status}" for status in STATES}),
        ("--older-than 0.5h", {f"old {status}" for status in STATES}),
        ("--older-than 100w", set()),
        ("--completed --older-than 7d", {"old completed"}),
        ("--completed --failed --older-than 240h", {"old completed", "old failed"}),
        ("--completed --older-than 11d", set()),
        ("--launches --older-than 7d", set()),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_clean_removes_what_was_chosen_and_nothing_else(stored, here, capsys, arguments, removed, dry):
    for age, days in (("new", 0), ("old", 10)):
        for status in ("completed", *STATES):
            folder = stored(f"{age} {status}", days=days, status=status)
            if status == "killed":
                kill(folder, days)
    before = runs_in(here)
    assert command(["clean", *arguments.split(), "--dry-run" if dry else "--yes"]) == 0
    assert runs_in(here) == (before if dry else before - removed)
    assert {path.name for path in (here / "outputs/experiment").iterdir()} == runs_in(here)
    printed = capsys.readouterr().out
    if removed:
        last = printed.splitlines()[-1]
        assert last.startswith(f"{'would remove' if dry else 'removed'} {len(removed)} run")
        for name in before:
            assert (f"experiment/{name} " in printed) is (name in removed)


def test_clean_says_what_it_frees(stored, here, capsys):
    folder = stored("a", status="failed", error="e")
    (folder / "checkpoint.pt").write_bytes(bytes(3_500_000))
    (folder / "sub").mkdir()
    (folder / "sub/more").write_bytes(bytes(2**20))
    assert command(["clean", "--failed", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "removed 1 run (4.4 MiB)"


@pytest.mark.parametrize(
    ("answer", "gone"), [(b"y\n", True), (b"yes\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
)
def test_clean_asks_on_the_terminal(stored, here, answer, gone):
    stored("a", status="failed", error="e")
    with on_terminal("clean", "--failed") as (process, terminal):
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(terminal, 4096)
        assert runs_in(here) == {"a"}
        assert re.search(rb"remove 1 run \(\d+ KiB\)\?", shown)
        os.write(terminal, answer)
        shown = read_all(terminal)
        assert process.wait(60) == 0
    assert (runs_in(here) == set()) is gone
    assert (b"\nremoved 1 run" if gone else b"nothing removed") in shown


def test_clean_never_takes_what_is_held(stored, here, capsys):
    everything = ["clean", *(f"--{status}" for status in (*STATES, "completed")), "--older-than", "0s", "--yes"]
    folders = [stored(status, status=status, days=100) for status in ("failed", "interrupted", "completed")]
    folders.append(kill(stored("killed"), days=100))
    for folder in folders[:2]:
        claim = Claim(folder, "mine", Watch(60))
        assert command([*everything, str(folder)]) == 0
        assert capsys.readouterr().out.startswith("nothing to remove")
        claim.release()
    for folder in folders[2:]:
        with made_elsewhere(folder):
            assert command([*everything, str(folder)]) == 0
            assert capsys.readouterr().out.startswith("nothing to remove")
    assert runs_in(here) == {folder.name for folder in folders}
    assert command(everything) == 0
    assert runs_in(here) == set()


def test_what_is_no_run_is_told_in_one_line_and_ends_nothing(stored, here, capsys):
    run = stored("a")
    (here / "outputs/gallery").mkdir()
    (here / "outputs/gallery/a.jpg").touch()
    (here / "outputs/empty/.hidden").mkdir(parents=True)
    (here / "outputs/experiment/summary").mkdir()
    (here / "outputs/experiment/summary/events.out.tfevents.1.000").touch()
    strange = {"half": '{"status": "runn', "list": "[]", "deep": "[" * 100_000, "other": '{"manifest_version": 3}'}
    strange |= {"odd": '{"status": ["completed"], "fingerprint": "f", "config": {}, "overrides": []}'}
    for name, text in strange.items():
        (here / "outputs/x" / name).mkdir(parents=True)
        (here / "outputs/x" / name / "manifest.json").write_text(text)
    (here / "outputs/x/binary").mkdir()
    (here / "outputs/x/binary/manifest.json").write_bytes(b"\xff\xfe\x00")
    (here / "outputs/x/pipe").mkdir()
    os.mkfifo(here / "outputs/x/pipe/manifest.json")
    (here / "outputs/x/link").symlink_to(run)
    assert command(["list"]) == 0
    printed = capsys.readouterr()
    assert "experiment/a" in printed.out
    assert printed.out.splitlines()[-1].startswith("1 run (1 completed), ")
    [line] = printed.err.splitlines()
    assert line.startswith("nst-runs: no runs, left alone: outputs/gallery (no manifest.json), ")
    assert line.endswith(" and 4 more")
    reasons = take_inventory([here / "outputs"]).foreign
    told = {path.name: reason for path, reason in reasons.items()}
    assert told.pop("link") == "a link, not followed"
    assert {told[name] for name in ("half", "list", "deep", "binary")} == {"manifest.json cannot be read"}
    assert {told[name] for name in ("other", "odd")} == {"manifest.json is not of nst_lab"}
    before = sorted(here.rglob("*"))
    assert (
        command(["clean", "--failed", "--killed", "--interrupted", "--completed", "--older-than", "0s", "--yes"]) == 0
    )
    assert set(before) - set(here.rglob("*")) == {path for path in before if path.is_relative_to(run)}


@pytest.mark.parametrize("name", ["two words", "two\nlines", "[red]a", "\x1b[31mred", "a:bug:b", "漢字", "--yes"])
def test_names_are_shown_in_one_line_as_they_are_and_removed(stored, capsys, name):
    folder = stored(name, status="failed", error=f"{name}: not there", overrides=[f"content.image={name}"])
    stored("b", overrides=["content.image=b"])
    assert command(["list"]) == 0
    lines = capsys.readouterr().out.split("\n")
    shown = name.replace("\n", "\\n").replace("\x1b", "\\x1b")
    [line] = [line for line in lines if "  failed  " in line]
    assert line.startswith(f"experiment/{shown} ")
    assert f"content.image={shown} " in line
    assert lines[-2] == f"failed: experiment/{shown}: {shown.replace(chr(92) + 'n', ' ')}: not there"
    assert len(lines) == 6  # header, two runs, the count, the error, the end
    assert command(["clean", "--failed", "--yes"]) == 0
    assert not folder.exists()


def test_a_name_that_is_no_text_is_shown_and_removed(stored, here, capsys):
    folder = stored("a", status="failed", error="e")
    odd = Path(os.fsdecode(os.fsencode(folder) + b"\xff"))
    folder.rename(odd)
    assert command(["list"]) == 0
    assert "experiment/a\\udcff " in capsys.readouterr().out
    assert command(["clean", "--failed", "--yes"]) == 0
    assert not odd.exists()


@pytest.mark.parametrize(("arguments", "gone"), [("--launches", True), ("", True), ("--failed", False)])
def test_old_records_of_launches_go_by_age_unless_they_are_at_work(stored, here, capsys, arguments, gone):
    run = stored("a", days=10)
    old, new, at_work = record(here, "old", 10), record(here, "new", 1), record(here, "at_work", 10)
    foreign = here / "outputs/experiment/.launches/foreign"
    foreign.mkdir()
    with Claim(run, "at_work", Watch(60)):
        assert command(["clean", *arguments.split(), "--older-than", "7d", "--yes"]) == 0
    assert old.exists() is not gone
    assert all(path.exists() for path in (new, at_work, foreign, run))
    assert ("removed 1 launch record (" in capsys.readouterr().out) is gone


def test_a_real_launch_leaves_a_record_that_is_found(here, capsys):
    assert app.command([*TINY]) == 0
    [found] = take_inventory([here / "outputs"]).records
    assert found.folder.parent == here / "outputs/runs/.launches"
    capsys.readouterr()
    assert command(["clean", "--launches", "--older-than", "0s", "--yes"]) == 0
    assert not found.folder.exists()
    assert len(runs_in(here)) == 1


@pytest.mark.parametrize(
    "arguments", [["list"], ["size"], ["clean", "--failed", "--yes"], ["clean", "--older-than", "7d", "--dry-run"]]
)
def test_without_an_output_folder_there_is_nothing_and_that_is_no_mistake(here, capsys, arguments):
    assert command(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out in ("no runs in outputs\n", "nothing to remove in outputs\n")
    assert printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: command"),
        (["lst"], "invalid choice: 'lst'"),
        (["list", "no/where"], "no/where: no such folder"),
        (["list", "file"], "file: not a folder"),
        (["list", "x" * 5000], ": no such folder"),
        (["list", "--status", "compelted"], "compelted: no such status; valid: completed, failed, "),
        (["list", "--status", "compelted"], "did you mean completed?"),
        (["list", "--sort", "colour"], "invalid choice: 'colour'"),
        (["clean"], "say what to remove"),
        (["clean", "--yes"], "say what to remove"),
        (["clean", "--complete", "--older-than", "1d", "--yes"], "--complete"),
        (["clean", "--completed", "--yes"], "--completed needs --older-than"),
        (["clean", "--failed", "--completed", "--yes"], "--completed needs --older-than"),
        (["clean", "--launches", "--yes"], "--launches needs --older-than"),
        (["clean", "--failed"], "no terminal to ask on; add --yes"),
        (["clean", "--older-than", "7", "--yes"], "7: expected a number and s, min, h, d or w"),
        (["clean", "--older-than", "7 months", "--yes"], "7 months: expected a number"),
        (["clean", "--older-than=-7d", "--yes"], "-7d: expected a number"),
        (["clean", "--older-than", "٧d", "--yes"], "٧d: expected a number"),
    ],
)
def test_a_mistake_is_one_line_and_exits_2_and_removes_nothing(stored, here, capsys, arguments, expected):
    stored("a", days=100)
    stored("b", status="failed", days=100, error="e")
    (here / "file").touch()
    assert command(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-runs: ")
    assert expected in line
    assert runs_in(here) == {"a", "b"}


def test_a_run_that_has_another_in_its_folder_stays_with_it(stored, capsys):
    outer = stored("outer", status="failed", error="odd")
    inner = stored("inner").rename(outer / "inner")
    assert command(["list", "outputs"]) == 0
    assert "2 runs (1 completed, 1 failed)" in " ".join(capsys.readouterr().out.split())
    assert command(["clean", "outputs", "--failed", "--yes"]) == 0
    assert (outer / "manifest.json").exists()
    assert (inner / "result.png").exists()


def test_so_does_one_that_has_got_another_since_it_was_chosen(stored, here):
    outer = stored("outer", status="failed", error="odd")
    [chosen] = take_inventory([here / "outputs"]).runs
    deep = outer / "a/b/c/d/e"
    deep.parent.mkdir(parents=True)
    stored("inner").rename(deep)
    with pytest.raises(HeldError, match=r"outer: stays, since another run lies in it: .*a/b/c/d/e"):
        remove_run(chosen)
    assert (deep / "result.png").exists()


def test_no_run_is_made_in_the_folder_of_another(stored, capsys):
    folder = stored("outer")
    assert app.command([*TINY, f"out_dir={folder}"]) != 0
    assert "the folder of a run; expected one beside it" in capsys.readouterr().err
    assert not list(folder.glob("*/*"))


@pytest.mark.parametrize("name", [".launches", ".hidden", f".removed.{'0' * 32}"])
def test_no_experiment_has_a_name_that_is_passed_over_or_taken_for_remains(name, here, capsys):
    assert app.command([*TINY, f"name={name}"]) == 2
    assert capsys.readouterr().err.startswith(f"nst-lab: name={name}: ")
