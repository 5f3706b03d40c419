"""Files of a run that are damaged: every command works or tells it in a line, and no other run is touched."""

import json
import random
import shutil
import threading
import time
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from conftest import TINY
from launched import complaints, results, run_folders
from small_figure import SMALL, make

from nst_lab.app import command
from nst_lab.comparison.command import command as compare
from nst_lab.housekeeping.command import command as housekeeping
from nst_lab.network.weights import load_weights

SWEEP = ("-m", *TINY, "init=noise", "seed=range(12)", "log.images=1")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("made")
    with chdir(home):
        assert command(SWEEP) == 0
    return home


@pytest.fixture
def sound(made_once, here) -> dict[str, bytes]:
    """A finished sweep in the current directory; its pictures by their folders."""
    shutil.copytree(made_once / "outputs", here / "outputs")
    return results(here)


def all_wrong(value):
    """The same JSON with every value of another type."""
    if isinstance(value, dict):
        return {key: all_wrong(item) for key, item in value.items()}
    return {"list": 1} if isinstance(value, list) else [value] if isinstance(value, str) else "wrong"


def wrong_types(data: bytes) -> bytes:
    return json.dumps(all_wrong(json.loads(data))).encode()


def wrong_types_by_line(data: bytes) -> bytes:
    return b"\n".join(json.dumps(all_wrong(json.loads(line))).encode() for line in data.splitlines())


def wrong_values(data: bytes) -> bytes:
    """A manifest that says that the run is completed, and nothing else that is right."""
    manifest = json.loads(data)
    kept = {key: manifest[key] for key in ("status", "fingerprint", "config", "overrides")}
    return json.dumps(all_wrong(manifest) | kept).encode()


DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "random": lambda data: random.Random(1).randbytes(len(data)),
    "deep": lambda _: b"[" * 100_000,
    "deep_object": lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "folder": None,
}
OF_JSON = {"list": lambda _: b"[]", "number": lambda _: b"17", "null": lambda _: b"null"}
OF_FILE = {
    "manifest.json": DAMAGES | OF_JSON | {"wrong types": wrong_types, "wrong values": wrong_values},
    "metrics.jsonl": DAMAGES | OF_JSON | {"wrong types": wrong_types_by_line},
    "events": DAMAGES,
    "result.png": DAMAGES,
    "checkpoint.pt": DAMAGES,
}


def spoil(folder: Path, file: str, damage) -> None:
    path = next(folder.glob("events*")) if file == "events" else folder / file
    data = path.read_bytes() if path.exists() else bytes(range(256)) * 40
    path.unlink(missing_ok=True)
    if damage is None:
        path.mkdir()
    else:
        path.write_bytes(damage(data))


@pytest.mark.parametrize("file", OF_FILE)
def test_damaged_files_are_told_at_most_and_every_run_is_there_again(sound, here, capsys, file):
    spoiled = dict(
        zip(OF_FILE[file], run_folders(here), strict=False)
    )  # each run in another way, the last ones in none
    for name, folder in spoiled.items():
        spoil(folder, file, OF_FILE[file][name])
    assert compare(["outputs"]) == 0
    assert housekeeping(["list"]) == 0
    assert housekeeping(["clean", "--failed", "--interrupted", "--killed", "--yes"]) == 0
    assert all(line.startswith(("left out: ", "nst-runs: ")) for line in complaints(capsys.readouterr().err))
    status = command(SWEEP)
    lines = complaints(capsys.readouterr().err)
    if file in ("manifest.json", "result.png"):  # what a folder is in the place of cannot be made
        assert status == 1
        assert lines
        assert all(f"{spoiled['folder'].name}/{file} cannot be written (Is a directory)" in line for line in lines)
        (spoiled["folder"] / file).rmdir()
        assert command(SWEEP) == 0
    else:
        assert (status, lines) == (0, [])
    remade = results(here)
    if file == "result.png":  # it is not read again to see whether it is a picture
        for name in spoiled.keys() - {"folder"}:
            remade[spoiled[name].name] = sound[spoiled[name].name]
    assert remade == sound


@pytest.mark.parametrize("file", ["metrics.jsonl", "checkpoint.pt", "events"])
def test_of_an_unfinished_run_a_folder_in_the_place_of_a_file_is_named(sound, here, capsys, file):
    spoiled = run_folders(here)[0]
    (spoiled / "result.png").unlink()
    spoil(spoiled, file, None)
    assert command(SWEEP) == 1
    lines = complaints(capsys.readouterr().err)
    assert lines
    assert all(spoiled.name in line and "cannot be written (Is a directory)" in line for line in lines)
    next(spoiled.glob(f"{file}*")).rmdir()
    assert command(SWEEP) == 0
    assert results(here) == sound


def a_figure(panels: int) -> str:
    columns = "".join(f"  - {{label: l{seed}, settings: {{seed: {seed}}}}}\n" for seed in range(panels))
    start, _, _ = SMALL.partition("columns:")
    return (
        f"{start}columns:\n{columns}differences: []\nrows:\n  - {{}}\n  - panels: [{{show: curves, label: losses}}]\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", ["manifest.json", "metrics.jsonl", "result.png"])
def test_a_figure_is_laid_out_whatever_its_runs_have_come_to(own_figure, here, capsys, file):
    own_figure(a_figure(12))
    assert make() == 0
    for damage, folder in zip(OF_FILE[file].values(), here.glob("outputs/figures/*-*"), strict=False):
        spoil(folder, file, damage)
    capsys.readouterr()
    status = make()
    lines = complaints(capsys.readouterr().err)
    missing = {"manifest.json": 1, "metrics.jsonl": 0, "result.png": len(DAMAGES)}[file]
    assert status == (1 if missing else 0), lines
    assert len([line for line in lines if line.startswith("missing: ")]) == missing, lines
    assert (here / "outputs/figures/small.png").is_file()


def test_cells_whose_weights_are_gone_name_the_file_and_the_others_complete(here, capsys):
    kernels = load_weights("random", 3).kernels.values()
    positions = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    state = {}
    for position, (weight, bias) in zip(positions, kernels, strict=True):
        state |= {f"features.{position}.weight": weight, f"features.{position}.bias": bias}
    torch.save(state, here / "vgg.pth")

    def remove_when_one_is_completed() -> None:
        while not any('"completed"' in path.read_text() for path in here.glob("outputs/*/*/manifest.json")):
            time.sleep(0.001)
        (here / "vgg.pth").unlink()

    remover = threading.Thread(target=remove_when_one_is_completed)
    remover.start()
    assert command(["-m", *TINY, "init=noise", "model.weights=vgg.pth,random", "seed=range(12)"]) == 1
    remover.join()
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if line.startswith("model.weights=")]
    assert all("completed" in row for row in rows if "random" in row)
    assert any("completed" in row for row in rows if "vgg.pth" in row)
    assert "completed" not in next(row for row in rows if "vgg.pth, seed=11" in row)
    failed = complaints(printed.err)
    assert failed
    assert all(line.startswith("[") and "vgg.pth: " in line for line in failed), failed
