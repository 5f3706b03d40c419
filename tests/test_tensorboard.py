"""A real TensorBoard server over a real sweep: runs, tags, columns, pictures, as it answers and as a browser shows."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from conftest import TINY, UNBOUNDED
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from nst_lab.app import command

SWEEP = (
    "-m", *UNBOUNDED, "log.distances=true", "optimizer.evaluations=6", "name=board", "loss.content_weight=1,100",
    "style=starry_strokes,strokes_and_waves", "init=noise",
)  # fmt: skip


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The folder of a sweep of four runs."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command(SWEEP) == 0
    return folder / "outputs/board"


@pytest.fixture(scope="module")
def server(board):
    """The address of a TensorBoard that serves the sweep."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--logdir", str(board), "--port", str(port), "--samples_per_plugin", "images=100"]
    arguments = [sys.executable, "-m", "tensorboard.main", *options]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while not loaded(address):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield address
        process.terminate()


def loaded(address) -> bool:
    try:
        tags = ask(f"{address}/data/plugin/scalars/tags")
    except (urllib.error.URLError, ConnectionError):
        return False
    return len(tags) == 4 and all("distance/style" in found for found in tags.values())


def ask(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_the_summary_run_names_what_varies_and_is_the_only_one_beside_the_runs(board):
    accumulator = EventAccumulator(str(board / "summary"))
    accumulator.Reload()
    assert accumulator.Tags()["images"] == ["grid"]
    assert len(list((board / "summary").iterdir())) == 1
    names = {path.name for path in board.iterdir() if path.is_dir()}
    assert len([name for name in names if re.search("-[0-9a-f]{12}$", name)]) == 4
    assert {name for name in names if not re.search("-[0-9a-f]{12}$", name)} == {".launches", "summary"}


def test_a_grown_sweep_renews_the_summary(here):
    sweep = ["-m", *TINY, "name=grown", "init=noise"]
    for more, expected in ([], set()), (["seed=0,1"], {"seed"}), (["seed=1,2", "size=32,40"], {"seed", "size"}):
        assert command([*sweep, *more]) == 0
        [file] = (here / "outputs/grown/summary").iterdir()
        events = EventFileLoader(str(file)).Load()
        data = [value.metadata.plugin_data for event in events for value in event.summary.value]
        [content] = [plugin.content for plugin in data if plugin.plugin_name == "hparams"]
        experiment = HParamsPluginData.FromString(content).experiment
        assert {info.name for info in experiment.hparam_infos} == expected


@pytest.mark.slow
def test_the_server_answers_with_every_run_tag_column_and_picture(server):
    runs = set(ask(f"{server}/data/runs")) - {"summary"}
    assert len(runs) == 4
    assert all(name.startswith("chelsea-starry_strokes") for name in runs)
    assert sum("content_weight_100" in name for name in runs) == 2
    scalars = ask(f"{server}/data/plugin/scalars/tags")
    for run in runs:
        tags = set(scalars[run])
        assert {"loss/total", "content/relu2_1", "style/starry_strokes/relu1_1"} <= tags
        assert {"distance/content", "distance/style", "distance/swd", "distance/ssim", "cost/seconds"} <= tags
    images = ask(f"{server}/data/plugin/images/tags")
    assert set(images["summary"]) == {"grid"}
    assert all({"result/picture", "source/content", "source/style/starry_strokes"} <= set(images[run]) for run in runs)
    layout = ask(f"{server}/data/plugin/custom_scalars/layout")
    titles = {chart["title"] for category in layout["category"] for chart in category["chart"]}
    assert {"content terms", "style terms: starry_strokes", "style terms: woodcut_waves"} <= titles
    texts = ask(f"{server}/data/plugin/text/tags")
    assert all({"config", "credits"} <= {tag.removesuffix("/text_summary") for tag in texts[run]} for run in runs)


@pytest.mark.slow
def test_the_columns_of_hyperparameters_are_the_settings_that_vary(server):
    experiment = ask(f"{server}/data/plugin/hparams/experiment", {"experimentName": ""})
    columns = [info["name"] for info in experiment["hparamInfos"]]
    assert set(columns) == {"loss.content_weight", "style.images"}
    shown = [info["displayName"] for info in experiment["metricInfos"]]
    assert shown[:2] == ["content distance", "style distance"]
    request = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_RUNNING", "STATUS_UNKNOWN", "STATUS_FAILURE"],
        "colParams": [], "startIndex": 0, "sliceSize": 100,
    }  # fmt: skip
    groups = ask(f"{server}/data/plugin/hparams/session_groups", request)["sessionGroups"]
    assert len(groups) == 4
    assert {group["hparams"]["loss.content_weight"] for group in groups} == {1.0, 100.0}
    assert all(group["sessions"][0]["status"] == "STATUS_SUCCESS" for group in groups)
    assert all(len(group["metricValues"]) == len(shown) for group in groups)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "text"), [("hparams", "style distance"), ("images", "result/picture")])
def test_a_browser_shows_the_page_without_errors(server, chromium, page, text):
    said = []
    opened = chromium.new_page(viewport={"width": 1500, "height": 1000})
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(f"{server}/#{page}")
    opened.get_by_text(text, exact=False).first.wait_for(timeout=60_000)
    assert [line for line in said if "fonts.g" not in line and "ERR_" not in line] == []
    opened.close()
