"""Shared by all tests: the checkout's paths, and the command line run as a user runs it."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from run_folders import edit

import nst_lab
from nst_lab.images import catalog

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHECKOUT = Path(__file__).resolve().parent.parent

# The smallest run with a real network: untrained weights, two style layers.
UNBOUNDED = (
    "model=random",
    "size=32",
    "layers.content=[relu2_1]",
    "layers.style=[relu1_1,relu2_1]",
    "log.distances=false",  # they would take longer than the run
)
TINY = (*UNBOUNDED, "optimizer.evaluations=4")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file is run by one process, so that what its tests share is made once; the README's commands share nothing."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file.endswith("test_readme.py") else file

    return Scheduler(config, log)


@pytest.fixture(scope="session")
def chromium():
    """A running headless Chromium: one that is installed, or Playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=installed, args=["--no-sandbox", "--disable-gpu"])
        except playwright.Error as error:
            pytest.skip(f"no browser: neither {', '.join(BROWSERS)} nor Playwright's ({str(error).splitlines()[0]})")
        yield browser
        browser.close()


@pytest.fixture
def checkout() -> Path:
    """The root of the checkout."""
    return CHECKOUT


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """Pictures in every pass of a network whose gradient an optimiser asks for; it has a variable of its own."""
    from nst_lab.network.vgg import VGG19

    seen, forward = [], VGG19.forward

    def counted(network, image):
        if image.requires_grad and not image.is_leaf:
            seen.append(len(image))
        return forward(network, image)

    monkeypatch.setattr(VGG19, "forward", counted)
    return seen


@pytest.fixture
def nst_lab_command(here):
    """Run `nst-lab` in a process of its own; the completed process with its text output."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "nst_lab", *arguments]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """No mirror, no catalog of one's own, an empty cache, nothing decoded, no proxy."""
    from nst_lab.running import inputs

    inputs.DECODED.kept.clear()
    for name in ("NST_LAB_MIRROR", "NST_LAB_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NST_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def own_catalog(own_folders, tmp_path, monkeypatch):
    """Write a catalog of one's own and make it count."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        monkeypatch.setenv("NST_LAB_CATALOG", str(path))
        catalog._entries.cache_clear()
        return path

    yield write
    catalog._entries.cache_clear()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A completed run, to be copied."""
    out_dir = tmp_path_factory.mktemp("finished")
    overrides = [*TINY, f"out_dir={out_dir}", "name=experiment"]
    return nst_lab.run(nst_lab.compose(overrides), overrides=overrides).folder


@pytest.fixture
def stored(finished, here):
    """Copy the completed run to `outputs/<name>/<run>`, with another manifest; its folder."""

    def store(run: str, name: str = "experiment", days: float = 0, **changes) -> Path:
        folder = here / "outputs" / name / run
        shutil.copytree(finished, folder)
        end = datetime.now(UTC) - timedelta(days=days)
        edit(folder, end=end.isoformat(timespec="seconds"), **changes)
        os.utime(folder / "metrics.jsonl", (end.timestamp(), end.timestamp()))
        return folder

    return store


@pytest.fixture(scope="session")
def swept(tmp_path_factory) -> Path:
    """The folder of a finished sweep, two styles × two content weights × two seeds, with distances in its manifests.

    A run's content distance is 0.1 with the lower content weight and 0.4 with the higher, plus its seed; the style
    distance is 1 minus that, plus 0.05 for the second style. Not to be changed: a copy is.
    """
    from nst_lab.app import command

    home = tmp_path_factory.mktemp("swept")
    with chdir(home):
        settings = ("style=starry_strokes,woodcut_waves", "loss.content_weight=1,10", "seed=0,1", "init=noise")
        assert command(["-m", *TINY, "name=sweep", *settings]) == 0
    for path in (home / "outputs/sweep").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        config = manifest["config"]
        [style] = config["style"]["images"]
        content = (0.1 if config["loss"]["content_weight"] == 1 else 0.4) + 0.02 * config["seed"]
        styled = 1 - content + (0.05 if style == "woodcut_waves" else 0)
        manifest["distances"] = {"content": content, "style": styled, f"style/{style}": styled, "ssim": 1 - content}
        manifest["metrics_version"] = 1
        path.write_text(json.dumps(manifest))
    return home / "outputs/sweep"


@pytest.fixture
def sweep(swept, tmp_path) -> Path:
    """A copy of that sweep, to be changed."""
    return Path(shutil.copytree(swept, tmp_path / "outputs/sweep"))


@pytest.fixture(scope="module")
def reported(swept, tmp_path_factory):
    """A copy of the sweep with its report, not to be changed."""
    from nst_lab.comparison.command import command

    folder = shutil.copytree(swept, tmp_path_factory.mktemp("reported") / "my sweep")
    assert command([str(folder), "--max-content", "0.2"]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """The report of 500 generated runs."""
    from many_runs import generate

    from nst_lab.comparison.command import command

    folder = tmp_path_factory.mktemp("crowd") / "many"
    generate(folder, 500, size=64, evaluations=100)
    assert command([str(folder)]) == 0
    return folder / "report.html"


@pytest.fixture
def own_figure(here):
    """Write `small.yaml` into a folder of figures of one's own."""
    from small_figure import SMALL

    def write(text: str = SMALL) -> None:
        (here / "mine/figure").mkdir(parents=True, exist_ok=True)
        (here / "mine/figure/small.yaml").write_text(text)

    write()
    return write
