"""Run folders: identity, the manifest, the streams read back, and results that no logging can alter."""

import json
import re

import pytest
import torch
from conftest import TINY
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nst_lab
from nst_lab.notices import say_once
from nst_lab.running import runs
from nst_lab.running.claims import Claim, Watch
from nst_lab.running.recorder import picture_schedule

TWO_STYLES = ("style=strokes_and_waves", "loss.tv_weight=0.5", "optimizer.evaluations=6")


def run(*overrides, **keywords):
    return nst_lab.run(nst_lab.compose([*TINY, *overrides]), **keywords)


@pytest.fixture
def finished(here):
    return run(*TWO_STYLES, "log.images=3")


def board(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_tensorboard_holds_every_term_at_every_evaluation(finished):
    accumulator = board(finished.folder)
    styles, layers = ("starry_strokes", "woodcut_waves"), ("relu1_1", "relu2_1")
    terms = {f"style/{style}/{layer}" for style in styles for layer in layers}
    losses = {"loss/total", "loss/content", "loss/style", "loss/tv"}
    other = {"gradient/norm", "cost/seconds_per_evaluation", "cost/peak_memory_mib"}
    expected = terms | losses | other | {"content/relu2_1", "tv"}
    assert set(accumulator.Tags()["scalars"]) == expected | {"cost/seconds"}
    assert [event.step for event in accumulator.Scalars("cost/seconds")] == [6]
    for tag in expected:
        assert [event.step for event in accumulator.Scalars(tag)] == [1, 2, 3, 4, 5, 6]


def test_tensorboard_holds_inputs_once_and_the_result_by_step(finished):
    accumulator = board(finished.folder)
    assert set(accumulator.Tags()["images"]) == {
        "source/content", "result/picture", "source/style/starry_strokes", "source/style/woodcut_waves",
    }  # fmt: skip
    assert len(accumulator.Images("source/content")) == 1
    assert [event.step for event in accumulator.Images("result/picture")] == sorted(picture_schedule(6, 3))
    assert {"config/text_summary", "credits/text_summary"} <= set(accumulator.Tags()["tensors"])
    text = accumulator.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "convention: gatys" in text


def test_metrics_and_tensorboard_and_manifest_agree(finished):
    logged = lines(finished.folder)
    totals = [event.value for event in board(finished.folder).Scalars("loss/total")]
    assert totals == pytest.approx([line["total"] for line in logged], rel=1e-6)
    assert [line["evaluation"] for line in logged] == [1, 2, 3, 4, 5, 6]
    for line in logged:
        assert line["total"] == pytest.approx(line["content"] + line["style"] + line["tv"], rel=1e-5)
    final = finished.manifest["losses"]
    assert final["total"] == logged[final["evaluation"] - 1]["total"]


def test_the_manifest_says_what_made_the_picture(finished):
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    assert manifest["status"] == "completed"
    assert manifest["config"]["layers"]["style_weights"] == [0.5, 0.5]
    assert manifest["fingerprint"][:12] in finished.folder.name
    assert len(manifest["hashes"]["styles"]) == 2
    assert manifest["stop_reason"] == "budget"
    assert manifest["evaluations"] == 6
    assert manifest["peak_memory_bytes"] > 10**8
    assert {"python", "torch", "nst_lab"} <= set(manifest["versions"])
    assert manifest["start"] <= manifest["end"]
    with Image.open(finished.folder / "result.png") as picture:
        assert picture.size == (32, 21)
        assert picture.text["nst_lab fingerprint"] == manifest["fingerprint"]
        settings = json.loads(picture.text["nst_lab settings"])
    assert settings == {key: manifest["config"][key] for key in settings}
    assert {"convention", "content", "style", "layers", "loss", "seed"} <= set(settings)


def test_the_manifest_lists_what_differs_from_the_convention(here):
    manifest = json.loads((run().folder / "manifest.json").read_text())
    changed = ["layers.content", "layers.style", "model.weights", "model.normalized"]
    assert sorted(manifest["convention_overrides"]) == sorted(changed)
    assert manifest["config"]["convention"] == "gatys"


@pytest.mark.parametrize("value", ["1e7", "1e6"])
def test_the_folder_follows_the_values_not_how_they_were_given(value):
    def folder(config):
        return runs.run_folder(config, runs.identify(config))

    written = nst_lab.compose([*TINY, f"loss.content_weight={value}"])
    quoted = nst_lab.compose([*TINY, f"loss.content_weight='{value}'"])
    changed = nst_lab.compose(TINY)
    changed.loss.content_weight = float(value)
    assert folder(quoted) == folder(changed) == folder(written)
    assert ("content_weight" in folder(written).name) == (value == "1e6")


def test_later_keys_leave_the_fingerprint_of_earlier_runs_as_it_was():
    determining = runs._determining(runs.picture_settings(nst_lab.compose([])))
    assert not set(runs.NEUTRAL) & set(determining)
    for key, value in runs.NEUTRAL.items():
        assert runs._determining({key: value}) == {}


def test_the_same_settings_give_the_same_bytes_whatever_is_logged(here):
    first = run("init=noise", "name=a")
    second = run("init=noise", "name=b", "log.every=3", "log.images=0")
    pictures = [(item.folder / "result.png").read_bytes() for item in (first, second)]
    assert pictures[0] == pictures[1]
    third = run("init=noise", "name=a", "force=true")
    assert (third.folder / "result.png").read_bytes() == pictures[0]
    assert first.manifest["fingerprint"] == second.manifest["fingerprint"] == third.manifest["fingerprint"]


@pytest.mark.parametrize(
    ("where", "status"), [("runner.load_inputs", "completed"), ("together.step_syntheses", "interrupted")]
)
def test_a_completed_picture_stays_until_there_is_another(here, monkeypatch, where, status):
    def interrupt(*_):
        raise KeyboardInterrupt

    first = run()
    picture = (first.folder / "result.png").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(f"nst_lab.running.{where}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run("force=true")
    assert (first.folder / "result.png").read_bytes() == picture
    assert runs.read_manifest(first.folder)["status"] == status
    if status == "completed":
        assert runs.read_manifest(first.folder) == first.manifest
    assert run().manifest["status"] == "completed"
    assert (first.folder / "result.png").read_bytes() == picture


def test_log_every_keeps_first_and_last(here):
    done = run("log.every=3", "optimizer.evaluations=5")
    assert [line["evaluation"] for line in lines(done.folder)] == [1, 3, 5]


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("seed=1", False),
        ("size=33", False),
        ("loss.style_weight=3", False),
        ("scales=[{factor:1,share:1}]", False),
        ("log.every=2", True),
        ("threads=1", True),
        ("device=cpu", True),
        ("name=other", True),
        ("size_rule=longer", True),
        ("loss.tv_range=255", False),
        ("resampling=bilinear", False),
        ("optimizer.averaging=0.5", False),
        ("style.profile=uniform", True),  # one style has the same weight by either
        ("layers.style_weights=[0.5,0.5]", True),
    ],
)
def test_the_fingerprint_covers_what_determines_the_picture_and_nothing_else(override, same):
    base = runs.identify(nst_lab.compose(TINY))
    other = runs.identify(nst_lab.compose([*TINY, override]))
    assert (base.fingerprint == other.fingerprint) is same


def test_the_fingerprint_follows_the_bytes_of_an_image_not_its_name(here):
    painting = nst_lab.load_image("starry_strokes")
    for name in ("one.png", "two.png"):
        nst_lab.save_image(painting, name)
    overrides = [[*TINY, f"style.images=[{name}.png]"] for name in ("one", "two")]
    fingerprints = {runs.identify(nst_lab.compose(each)).fingerprint for each in overrides}
    assert len(fingerprints) == 1
    nst_lab.save_image(1 - painting, "two.png")
    changed = runs.identify(nst_lab.compose([*TINY, "style.images=[two.png]"])).fingerprint
    assert changed not in fingerprints


def test_an_api_run_raises_what_went_wrong_and_records_it(here):
    (here / "broken.png").write_bytes(b"no picture")
    with pytest.raises(nst_lab.errors.ImageError, match=r"broken\.png"):
        run("content.image=broken.png")
    [manifest] = [json.loads(path.read_text()) for path in (here / "outputs/runs").glob("*/manifest.json")]
    assert manifest["status"] == "failed"


def test_an_unfinished_run_starts_afresh_without_doubled_curves(here):
    done = run("name=a")
    manifest = json.loads((done.folder / "manifest.json").read_text()) | {"status": "running"}
    with Claim(done.folder, "", Watch(60)) as claim:
        runs.write_manifest(claim, manifest)
    again = run("name=a")
    assert [line["evaluation"] for line in lines(again.folder)] == [1, 2, 3, 4]
    assert len(list(again.folder.glob("events.out.tfevents.*"))) == 1


def test_names_cannot_leave_the_output_folder(here):
    (here / "..hidden..").mkdir()
    nst_lab.save_image(nst_lab.load_image("starry_strokes"), here / "..hidden.." / "..style..png")
    done = run("style.images=['..hidden../..style..png']")
    assert (here / "outputs/runs") in done.folder.resolve().parents


@pytest.mark.parametrize(
    ("overrides", "readable"),
    [
        ([], "chelsea-starry_strokes-gatys"),
        (["loss.content_weight=1e7", "size=256"], "chelsea-starry_strokes-gatys"),
        (["loss.content_weight=1e6", "seed=3"], "chelsea-starry_strokes-gatys-content_weight_1e6-seed_3"),
        (["init=noise", "size=128", "optimizer=adam"], "chelsea-starry_strokes-gatys-noise-adam-size_128"),
        (
            ["layers=style_to_2", "model.pooling=max"],
            "chelsea-starry_strokes-gatys-model_pooling_max-style_layers_1_1+2_1",
        ),
        (
            ["content=none", "loss.content_weight=0", "init=noise"],
            "texture-starry_strokes-gatys-noise-content_weight_0",
        ),
        (["convention=crowson"], "chelsea-starry_strokes-crowson"),
    ],
)
def test_a_folder_says_what_is_unusual_about_its_run(overrides, readable):
    config = nst_lab.compose(overrides)
    name, _, digits = runs.run_folder(config, runs.identify(config)).name.rpartition("-")
    assert sorted(name.split("-")) == sorted(readable.split("-"))
    assert re.fullmatch("[0-9a-f]{12}", digits)


def test_a_cpu_that_only_emulates_bf16_is_named_once(here, caplog):
    say_once.cache_clear()
    for weight, precision in enumerate(("fp32", "bf16", "bf16")):
        overrides = f"precision={precision}", f"loss.content_weight={weight + 1}", "device=cpu"
        assert run(*overrides, "optimizer.evaluations=1").manifest["status"] == "completed"
    emulated = torch.backends.cpu.get_cpu_capability() == "AVX2"
    said = [message for message in caplog.messages if message.startswith("precision=bf16")]
    assert len(said) == emulated
    assert all(message.startswith("precision=bf16: this CPU only emulates it") for message in said)


def test_the_picture_schedule_is_geometric_and_keeps_the_ends():
    assert picture_schedule(200, 0) == set()
    schedule = sorted(picture_schedule(200, 8))
    assert (schedule[0], schedule[-1]) == (1, 200)
    assert len(schedule) <= 8
    assert picture_schedule(1, 8) == {1}
