"""`nst-compare`: folding, order, frontier and best by closed form and brute force; the command as a user meets it."""

import csv
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import tomllib
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKOUT
from hypothesis import given
from hypothesis import strategies as st
from many_runs import opening, write_run
from test_reading import edit, folders

from nst_lab.comparison.command import _parser, command
from nst_lab.comparison.compare import compare
from nst_lab.comparison.reading import Runs, load_runs
from nst_lab.comparison.scanning import Record


def with_distances(pairs):
    """A comparison of runs, one per pair of content and style distance, that differ in their size."""
    records = [
        Record(
            Path(f"run{number}"),
            {"status": "completed", "fingerprint": str(number), "config": {"size": number},
             "distances": {"content": content, "style": style}},
            None,
        )
        for number, (content, style) in enumerate(pairs)
    ]  # fmt: skip
    return compare(Runs(records, []))


def lines(printed):
    return [line.rstrip() for line in printed.splitlines()]


def test_repeats_are_folded_into_mean_and_standard_deviation(swept):
    comparison = compare(load_runs(swept))
    assert comparison.settings == ["style.images", "loss.content_weight"]
    assert list(comparison.table["repeats"]) == [2, 2, 2, 2]
    for row in comparison.table.index:
        low = comparison.setting(row, "loss.content_weight") == 1
        second = comparison.setting(row, "style.images") == ("woodcut_waves",)
        contents = np.array([0.1, 0.12] if low else [0.4, 0.42])
        styles = 1 - contents + (0.05 if second else 0)
        assert comparison.table.at[row, "content"] == pytest.approx(contents.mean())
        assert comparison.table.at[row, "style"] == pytest.approx(styles.mean())
        assert comparison.spread.at[row, "content"] == pytest.approx(contents.std(ddof=1))
        assert comparison.spread.at[row, "style"] == pytest.approx(styles.std(ddof=1))


def test_every_run_in_a_row_of_its_own(swept):
    comparison = compare(load_runs(swept), each=True)
    assert "seed" in comparison.settings
    assert len(comparison.table) == 8
    assert comparison.spread["style"].isna().all()


def test_the_order_begins_with_the_better(swept):
    comparison = compare(load_runs(swept))
    for column, best in (("style", min), ("content", min), ("ssim", max)):
        first, *_ = comparison.sorted(column)
        assert comparison.table.at[first, column] == best(comparison.table[column])
        last, *_ = comparison.sorted(column, reverse=True)
        assert comparison.table.at[last, column] != comparison.table.at[first, column]
    weights = [comparison.setting(row, "loss.content_weight") for row in comparison.sorted("loss.content_weight")]
    assert weights == [1, 1, 10, 10]


distances = st.one_of(st.none(), st.integers(0, 5).map(float))


@given(st.lists(st.tuples(distances, distances), min_size=1, max_size=12))
def test_the_frontier_is_what_no_other_run_beats(pairs):
    front = {pairs[row] for row in with_distances(pairs).frontier()}
    known = [pair for pair in pairs if None not in pair]
    beaten = {
        (content, style)
        for content, style in known
        for other, styled in known
        if other <= content and styled <= style and (other, styled) != (content, style)
    }
    assert front == set(known) - beaten


@given(st.lists(st.tuples(distances, distances), min_size=1, max_size=12), st.integers(0, 5))
def test_the_best_has_the_lowest_style_distance_within_the_bound(pairs, bound):
    best = with_distances(pairs).best(bound)
    within = [(style, content) for content, style in pairs if None not in (content, style) and content <= bound]
    assert (best is None) == (not within)
    if within:
        assert tuple(reversed(pairs[best])) == min(within)


def test_distances_to_each_style_are_columns_only_where_a_run_has_several(sweep):
    assert not any("/" in measure for measure in compare(load_runs(sweep)).measures)
    edit(folders(sweep)[0], lambda manifest: manifest["distances"].update({"style/other": 0.5}))
    assert {"style/starry_strokes", "style/other"} <= set(compare(load_runs(sweep)).measures)


def test_the_command_shows_settings_distances_and_cost_and_names_the_best(swept, capsys):
    assert command([str(swept), "--no-html", "--max-content", "0.2"]) == 0
    printed = lines(capsys.readouterr().out)
    heads = printed[0].split()
    assert heads[:2] == ["style.images", "loss.content_weight"]
    assert heads[2:] == ["content", "style", "ssim", "seconds", "MiB", "runs", "folder"]
    assert [line.split()[0] for line in printed[1:5]] == ["●", "woodcut_waves", "★", "woodcut_waves"]
    assert "0.5900 ± 0.014" in printed[1]
    assert "0.8900 ± 0.014" in printed[3]
    assert printed[5].startswith("● on the Pareto frontier")
    assert printed[6].startswith("best:   style.images=starry_strokes, loss.content_weight=1: style 0.8900 ± 0.014")
    assert Path(printed[7].strip()).is_file()


def test_the_total_loss_is_shown_only_when_asked_for_and_with_its_caveat(swept, capsys):
    assert command([str(swept), "--no-html"]) == 0
    assert "total_loss" not in capsys.readouterr().out
    for asked in (["--all"], ["--sort", "total_loss"]):
        assert command([str(swept), "--no-html", *asked]) == 0
        printed = capsys.readouterr().out
        assert "total_loss compares runs of the same loss, weights and size only: it is no distance" in printed


def test_the_csv_file_reads_back_in_full_precision(swept, here, capsys):
    assert command([str(swept), "--no-html", "--csv", "out.csv", "--sort", "content"]) == 0
    with (here / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    comparison = compare(load_runs(swept))
    order = comparison.sorted("content")
    assert [float(row["content"]) for row in rows] == [comparison.table.at[at, "content"] for at in order]
    assert [float(row["style_sd"]) for row in rows] == [comparison.spread.at[at, "style"] for at in order]
    assert {row["style.images"] for row in rows} == {"starry_strokes", "woodcut_waves"}
    assert {row["loss.content_weight"] for row in rows} == {"1", "10"}
    assert {row["repeats"] for row in rows} == {"2"}
    assert command([str(swept), "--no-html", "--csv", "each.csv", "--each"]) == 0
    with (here / "each.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert "style_sd" not in rows[0]


def test_conditions_choose_the_runs(swept, capsys):
    assert command([str(swept), "--no-html", "--where", "style.images=woodcut_waves", "--where", "seed=1"]) == 0
    printed = capsys.readouterr().out
    assert "starry_strokes" not in printed
    assert len(lines(printed)) == 1 + 2 + 1 + 2


def test_what_is_left_out_is_told_and_is_no_failure(sweep, capsys):
    broken, failed, *_ = folders(sweep)
    (broken / "manifest.json").write_text("{")
    edit(failed, lambda manifest: manifest.update(status="failed", error="out of memory"))
    assert command([str(sweep), "--no-html"]) == 0
    printed = capsys.readouterr()
    assert lines(printed.err) == [
        f"left out: {broken}: manifest.json is not complete JSON",
        f"left out: {failed}: failed: out of memory",
    ]
    assert str(failed.name) not in printed.out


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(seconds=10**400),
        lambda manifest: manifest["distances"].update(content=-(10**400)),
        lambda manifest: manifest["config"].update(style=["mosaic"]),
        lambda manifest: manifest["config"]["init"].update(kind="\ud800x"),
        lambda manifest: manifest["config"].pop("loss"),
    ],
)
def test_a_manifest_that_no_run_has_written_is_told_and_left_out(sweep, change):
    foreign, *_ = folders(sweep)
    edit(foreign, change)
    done = subprocess.run([sys.executable, "-c", "from nst_lab.comparison.command import main; main()", str(sweep)],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, f"left out: {foreign}: manifest.json is not that of a run\n")
    assert foreign.name not in done.stdout


def test_numbers_beyond_all_bounds_are_not_shown(sweep, capsys):
    edit(folders(sweep)[0], lambda manifest: manifest.update(seconds=float("inf")))
    assert command([str(sweep), "--each"]) == 0
    assert "inf" not in capsys.readouterr().out


def test_a_crowd_of_broken_folders_is_summed_up(sweep, capsys):
    for number in range(30):
        (sweep / f"broken{number}").mkdir()
        (sweep / f"broken{number}/manifest.json").write_text("{")
    assert command([str(sweep), "--no-html"]) == 0
    told = lines(capsys.readouterr().err)
    assert len(told) == 11
    assert told[-1] == "… and 20 more folders that are no completed runs"


def test_nothing_completed_exits_1_with_one_line(sweep, capsys):
    for folder in folders(sweep):
        edit(folder, lambda manifest: manifest.update(status="failed", error="x"))
    assert command([str(sweep)]) == 1
    assert lines(capsys.readouterr().err)[-1] == f"nst-compare: no completed run in {sweep}"
    assert (sweep / "report.html").is_file()


def test_runs_without_distances_are_compared_by_cost(sweep, capsys):
    for folder in folders(sweep):
        edit(folder, lambda manifest: manifest.pop("distances"))
    assert command([str(sweep), "--no-html"]) == 0
    printed = capsys.readouterr().out
    assert lines(printed)[0].split() == ["style.images", "loss.content_weight", "seconds", "MiB", "runs", "folder"]
    assert "★" not in printed


def test_a_bound_that_no_run_keeps_is_told(swept, capsys):
    assert command([str(swept), "--no-html", "--max-content", "0.01"]) == 0
    assert "no run has a content distance of at most 0.01" in capsys.readouterr().out


def test_what_is_piped_is_not_cut(tmp_path, capsys):
    start = opening()
    for number, size in enumerate((64, 128)):
        write_run(tmp_path / f"{'long' * 30}-{number}", start, {"size": size, "style.images": ["mosaic"]}, number, 8, 2)
    assert command([str(tmp_path), "--no-html"]) == 0
    assert f"{'long' * 30}-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: FOLDER"),
        (["nowhere"], "nowhere: no such folder"),
        (["{swept}", "--sort", "stile"], "--sort stile: no such column; valid: style.images, loss.content_weight,"),
        (["{swept}", "--sort", "stile"], "did you mean style?"),
        (["{swept}", "--where", "size"], "--where: size: expected KEY=VALUE"),
        (["{swept}", "--where", "size=64"], "size=64: no run has this value; found 32"),
        (["{swept}", "--max-content", "low"], "--max-content: low: expected a number"),
        (["{swept}", "--max-content", "nan"], "--max-content: nan: expected a number"),
        (["{swept}", "--no-html", "--csv", "no/such/file.csv"], "--csv no/such/file.csv: cannot be written"),
        (["{swept}", "--html", "no/such/page.html"], "--html no/such/page.html: cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exits_2(swept, here, capsys, arguments, expected):
    assert command([text.format(swept=swept) for text in arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-compare: ")
    assert expected in line


def test_the_commands_of_the_readme_are_understood():
    commands = re.findall(r"^\$ nst-compare (.*)$", (CHECKOUT / "README.md").read_text(), re.M)
    assert len(commands) >= 2
    for line in commands:
        assert _parser().parse_args(shlex.split(line)).folders


@pytest.mark.parametrize("module", ["pandas", "plotly"])
def test_a_missing_extra_is_one_line_with_the_command_that_installs_it(swept, here, module):
    code = (
        f"import sys\nsys.modules['{module}'] = None\n"
        f"from nst_lab.comparison.command import command\nsys.exit(command([{str(swept)!r}, '--html', 'page.html']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "pip install 'nst_lab[report]'" in line


def test_the_command_is_declared_and_starts_without_torch(swept):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["nst-compare"].partition(":")
    assert callable(getattr(import_module(module), function))
    code = (
        f"import sys\nfrom {module} import command\nassert command([{str(swept)!r}, '--no-html']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def on_a_terminal(arguments, columns):
    """The lines that the command prints in a pseudo-terminal of so many columns, without colours."""
    code = f"from nst_lab.comparison.command import command; command({arguments!r})"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    subprocess.run([sys.executable, "-c", code], env=environment | {"TERM": "xterm"}, **streams, check=True, timeout=60)
    os.close(theirs)
    printed = b""
    with suppress(OSError):  # how a pseudo-terminal ends
        while chunk := os.read(ours, 65536):
            printed += chunk
    os.close(ours)
    return lines(re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()))


def test_a_terminal_gets_the_columns_that_it_has_room_for(swept):
    narrow, wide = (on_a_terminal([str(swept), "--no-html"], columns) for columns in (76, 160))
    assert all(len(line) <= 76 for line in narrow[:6])
    assert narrow[1].split() == ["images", "content_weight", "content", "style", "runs"]
    assert wide[1].split()[2:] == ["content", "style", "ssim", "seconds", "MiB", "runs", "folder"]
    assert len(narrow) == len(wide)
    heads = on_a_terminal([str(swept), "--no-html", "--sort", "ssim"], 76)[:4]
    assert any("ssim" in line for line in heads)


def test_manifests_are_left_as_they_are(sweep, capsys):
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert command([str(sweep)]) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in sweep.rglob("*") if path.is_file() and path not in before} == {"report.html"}
