"""The scripts of the checkout: one clear line when something is missing, safe to call from any folder."""

import subprocess
import sys

import pytest
from conftest import CHECKOUT


@pytest.fixture
def copy_of_scripts(tmp_path):
    """A checkout with nothing but the scripts and a project that cannot be installed."""
    (tmp_path / "scripts").mkdir()
    for name in ("run", "test", "common.sh"):
        target = tmp_path / "scripts" / name
        target.write_bytes((CHECKOUT / "scripts" / name).read_bytes())
        target.chmod(0o755)
    (tmp_path / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\n[project]\nname = 'x'\nversion = '1'\ndependencies = ['no-such-package-here']\n"
    )
    return tmp_path


def script(folder, name, *arguments, cwd=None, **environment):
    command = [folder / "scripts" / name, *arguments]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment}
    return subprocess.run(command, cwd=cwd or folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", ["run", "test"])
def test_an_old_python_is_told_in_one_line(copy_of_scripts, name):
    binaries = copy_of_scripts / "bin"
    binaries.mkdir()
    for python in ("python3", "python3.11", "python3.12", "python3.13", "python"):
        fake = binaries / python
        fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
        fake.chmod(0o755)
    done = script(copy_of_scripts, name, PATH=f"{binaries}:/usr/bin:/bin")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "Python 3.11 or newer" in line
    assert "3.9.1" in line


@pytest.mark.parametrize("name", ["run", "test"])
def test_a_failed_installation_is_told_in_one_line_and_tried_again_next_time(copy_of_scripts, name):
    for _ in range(2):
        done = script(copy_of_scripts, name, PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert "installation failed" in line
        assert "install.log" in line


def test_scripts_work_from_any_folder_with_the_callers_paths(tmp_path):
    if not list((CHECKOUT / ".venv").glob(".installed-*")):
        pytest.skip("the checkout has no environment of its own")
    done = script(CHECKOUT, "run", "--version", cwd=tmp_path, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "nst_lab" in done.stdout
