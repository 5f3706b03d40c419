"""Every command of the README runs as written, and its Python does what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
# scripts/test is this very run.
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.S) for line in block.splitlines() if line]
COMMANDS += re.findall(r"^\| `(nst-\S+ [^`]*)` \|", README, re.M)  # the shorter ones last


def is_slow(command: str) -> bool:
    shown = "dry_run" in command or "--cfg" in command or "--help" in command
    return not shown


@pytest.mark.parametrize(
    "command", [pytest.param(line, marks=[pytest.mark.slow] if is_slow(line) else []) for line in COMMANDS]
)
@pytest.mark.timeout(1200)
def test_a_command_of_the_readme_runs_as_written(command, here):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    line = command.replace("scripts/", f"{shlex.quote(str(CHECKOUT))}/scripts/")
    done = subprocess.run(["bash", "-c", line], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CONSOLE = re.findall(r"^\$ (nst-images [^#\n]*?)\s*(?:#.*?(?:exit status (\d))?)?$", README, re.M)


@pytest.mark.parametrize(("command", "status"), CONSOLE)
def test_a_console_command_of_the_readme_ends_as_shown(command, status, here):
    if status == "1" or ("fetch neckarfront" in command and not os.environ.get("NST_LAB_MIRROR")):
        pytest.skip("depends on the network of the machine; the catalog's own tests cover it on a local server")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(shlex.split(command), cwd=here, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == int(status or 0), done.stderr


def test_the_readme_has_commands():
    assert len(CONSOLE) == 5
    assert len(COMMANDS) >= 12


def test_the_python_of_the_readme_runs(here):
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    quicker = code.replace("size=96", "size=32").replace('"size=32"]', '"size=32", "optimizer.evaluations=3"]')
    assert quicker != code
    done = subprocess.run([sys.executable, "-c", quicker], cwd=here, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (here / "out.png").is_file()
    assert list(here.glob("outputs/runs/*/result.png"))


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_written(here):
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    subprocess.run([sys.executable, "-c", code], cwd=here, check=True, capture_output=True, timeout=900)


def test_the_error_that_the_readme_shows_is_the_one_given(nst_lab_command):
    [(arguments, shown)] = re.findall(r"\$ nst-lab (\S+)\n(nst-lab: .*)", README)
    done = nst_lab_command(arguments)
    start, end = shown.split("…")
    assert done.stderr.startswith(start)
    assert done.stderr.rstrip().endswith(end)


def test_every_picture_of_the_readme_is_there():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (CHECKOUT / picture).is_file(), picture
        assert (CHECKOUT / picture).stat().st_size < 150_000
