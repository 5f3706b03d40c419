"""Whatever a path leads to is read or refused in one line that names it, at once and in little memory."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from bad_pictures import CORPUS, NAMES, NOT_UTF_8, encoded
from conftest import TINY

from nst_lab import load_image
from nst_lab.app import command
from nst_lab.command_line import printable
from nst_lab.config.grammar import quoted
from nst_lab.errors import UserError
from nst_lab.images.pictures import image_size, load_mask

pytestmark = pytest.mark.timeout(20)  # each

REFERENCES = {"a${b}.png", "a${b.png"}  # which configurations take for references to other keys
MEBIBYTE = 2**20


def made(name: str, folder: Path) -> Path:
    CORPUS[name].make(folder / name)
    return folder / name


def outcome(read, path: Path) -> str | None:
    """The line that refuses a path; None where it is read."""
    try:
        found = read(path)
    except UserError as error:
        line = printable(str(error))
        assert printable(str(path)) in line
        return line
    if read is image_size:
        assert min(found) > 0
    else:
        assert found.numel() > 0
        assert 0 <= found.min() <= found.max() <= 1  # false of NaN
        assert image_size(path) == tuple(found.shape[-2:])
    return None


def test_the_corpus_is_large():
    assert len(CORPUS) >= 300


@pytest.mark.parametrize("name", CORPUS, ids=ascii)
def test_a_path_is_read_or_refused_in_one_line_that_names_it(name, tmp_path):
    path = made(name, tmp_path)
    refusals = [outcome(read, path) for read in (load_image, load_mask, image_size)]
    if CORPUS[name].readable:
        assert refusals == [None] * 3
    elif CORPUS[name].readable is False:
        assert None not in refusals[:2]
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "path", ["", ".", "/", "a\0b.png", "~nobody_of_this_name/a.png", "a.png/", "x" * 5000, "/dev/zero"]
)
def test_what_is_no_path_of_a_file_is_refused(path, here):
    with pytest.raises(UserError) as caught:
        load_image(path)
    assert str(caught.value).startswith(f"{path}: neither a file nor a name")


def test_a_file_without_permission_is_refused_and_named(monkeypatch):
    root = os.geteuid() == 0  # may read anything, so another user has to try
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = made("unreadable.png", Path(folder))
        if root:
            os.seteuid(65534)
        try:
            refusals = [outcome(read, path) for read in (load_image, load_mask, image_size)]
        finally:
            if root:
                os.seteuid(0)
    for line in refusals:
        assert "Permission denied" in line


# Decoded by NumPy alone, in a process that may not grow; each refusal on a line, what it grew by on the last.
CHILD = """
import resource, sys
from pathlib import Path
from nst_lab.errors import ImageError
from nst_lab.images.decode import decode, decode_mask, header_size
decode(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for path in sys.argv[2:]:
    for read in (decode, decode_mask, header_size):
        try:
            read(path)
        except ImageError as error:
            print(error)
print(peak() - before)
"""


def test_a_bomb_is_refused_without_memory_for_it(tmp_path):
    (tmp_path / "sound.png").write_bytes(encoded("png"))
    bombs = [str(made(name, tmp_path)) for name in CORPUS if "bomb" in name]
    assert len(bombs) >= 18
    assert max(Path(bomb).stat().st_size for bomb in bombs) < MEBIBYTE
    arguments = [sys.executable, "-c", CHILD, str(tmp_path / "sound.png"), *bombs]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *lines, grown = done.stdout.splitlines()
    for bomb in bombs:
        [*of_decoding] = [line for line in lines if line.startswith(f"{bomb}: ")]
        assert len(of_decoding) >= 2 or "iccp" in bomb, bomb
    assert int(grown) * 1024 < 100 * MEBIBYTE
    assert sorted(str(path) for path in tmp_path.iterdir()) == sorted([*bombs, str(tmp_path / "sound.png")])


ROLES = {
    "content": ("content.image={}",),
    "style": ("style.images=[{}]",),
    "mask": ("content.mask={}",),
    "init": ("init=file", "init.image={}"),
    "region": ("style.masks=[{}]",),
    "fine": ("style.fine=[{}]", "style.fine_evaluations=1", "style.fine_layers=[relu1_1]"),
}
SAMPLE = ("cut-5.png", "html.png", "zero bytes.png", "bomb.webp", "nan.tif", "fifo.png", "loop.png", "endless.eps")


def manifests(folder: Path) -> list[dict]:
    """Of every run folder; a completed one has its picture."""
    found = [json.loads(path.read_text()) for path in folder.rglob("manifest.json")]
    pictures = [path.parent for path in folder.rglob("result.png")]
    assert len(pictures) >= sum(manifest["status"] == "completed" for manifest in found)
    for picture in pictures:
        load_image(picture / "result.png")
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_bad_picture_ends_its_run_in_one_line_that_names_it(role, here, capsys):
    for index, name in enumerate(SAMPLE[list(ROLES).index(role) :][:3]):
        path = made(name, here)
        overrides = [text.format(quoted(path.name)) for text in ROLES[role]]
        status = command([*TINY, f"name=run{index}", *overrides])
        told = capsys.readouterr()
        runs = manifests(here / f"outputs/run{index}")
        assert status == (1 if runs else 2)
        if runs:
            [manifest] = runs
            assert manifest["status"] == "failed"
            assert path.name in manifest["error"]
            assert "traceback" not in manifest
        assert [line for line in told.err.splitlines() if path.name in line], told.err
        assert "Traceback" not in told.err + told.out


@pytest.mark.timeout(180)
def test_a_file_of_any_name_can_be_a_content_a_style_a_mask_and_a_start(here, capsys):
    """Four odd names in each run; those that nobody can write down in a configuration are told."""
    names = [name for name in NAMES if name not in REFERENCES]
    for name in names:
        made(name, here)
    for start in range(0, len(names), 4):
        content, style, mask, init = (quoted(f"./{name}") for name in (names + names)[start : start + 4])
        pictures = [f"content.image={content}", f"style.images=[{style}]", f"style.masks=[{mask}]"]
        assert command([*TINY, "--cfg", "job", *pictures, "init=file", f"init.image={init}"]) == 0, names[
            start : start + 4
        ]
    told = capsys.readouterr()
    assert told.err == ""
    for name in (*sorted(REFERENCES), NOT_UTF_8):
        assert command([*TINY, "--cfg", "job", f"content.image={quoted(name).replace('$', chr(92) + '$')}"]) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"nst-lab: content.image={printable(name)}: ")
        assert line.count("\n") == 1


GOOD_NAMES = ("a,b=c.png", 'it\'s "so".png', "two\nlines.png", "画 100%.png", "back\\slash.png", "ends in\\")
BAD_FILES = ("cut-3.png", "html.png", "bomb.gif", "nan.tif", "inf.tif")


@pytest.mark.timeout(240)
def test_a_sweep_over_good_and_bad_pictures_completes_the_good_and_names_the_bad(here, nst_lab_command):
    for name in GOOD_NAMES:
        (here / name).write_bytes(encoded("png"))
    for name in BAD_FILES:
        made(name, here)
    shutil.copy(here / "html.png", here / "\x1b[31mred\nhtml.png")
    bad = {*BAD_FILES, "\x1b[31mred\nhtml.png"}
    contents = ",".join(quoted(name) for name in (*GOOD_NAMES, *bad))
    done = nst_lab_command("-m", *TINY, "name=swept", f"content.image={contents}")
    assert done.returncode == 1, done.stderr
    found = {manifest["config"]["content"]["image"]: manifest for manifest in manifests(here / "outputs/swept")}
    completed = {name for name, manifest in found.items() if manifest["status"] == "completed"}
    failed = {name: manifest["error"] for name, manifest in found.items() if manifest["status"] == "failed"}
    assert (completed, set(failed)) == (set(GOOD_NAMES), bad)
    told = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(told) == len(bad)
    for name, error in failed.items():
        assert name in error
        assert [line for line in told if printable(name) in line], name
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert (here / "outputs/swept/grid.png").is_file()
