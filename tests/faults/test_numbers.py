"""Numbers at their ends: a picture, or a reason with a name, and the last finite picture whatever happened."""

import json
import math
import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import nst_lab
from nst_lab import compose, load_image, transfer
from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError
from nst_lab.network.architecture import LAYERS
from nst_lab.optimisation.scales import sizes_at
from nst_lab.running.runner import RunError

REASONS = ("budget", "converged", "stalled", "not_finite")


def no_number(word: str) -> float:
    raise AssertionError(f"{word} is not JSON")


def made(*overrides: str) -> dict:
    """The manifest of a run, after what must be true of every run."""
    error = None
    try:
        nst_lab.run(compose([*TINY, "name=numbers", *overrides]))
    except RunError as caught:
        error = str(caught)
    [path] = Path("outputs/numbers").glob("*/manifest.json")
    manifest = json.loads(path.read_text(), parse_constant=no_number)
    assert manifest.get("error") == error
    assert manifest["status"] == ("failed" if error else "completed")
    assert manifest["stop_reason"] in REASONS
    assert manifest["stop_detail"]
    assert (manifest["stop_reason"] == "not_finite") == (manifest["status"] == "failed")
    if error:
        assert re.fullmatch(r"[\w/]+ is (nan|-?inf) at evaluation \d+", error)
        assert "traceback" not in manifest
    lines = (path.parent / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line, parse_constant=no_number) for line in lines]
    assert len(steps) == manifest["evaluations"]
    picture = path.parent / "result.png"
    if not error or any(step["accepted"] for step in steps):
        assert picture.is_file()
    if picture.is_file():
        found = load_image(picture)
        assert found.isfinite().all()
        assert list(found.shape[-2:]) == manifest["size"]
    assert not list(path.parent.glob(".*partial*"))
    return manifest


OPTIMIZERS = ("lbfgs", "lbfgs_torch", "adam", "sgd")
# What is done to each of them -> why it may end.
EXTREMES = {
    "optimizer.learning_rate=1e30": {"budget", "not_finite"},
    "optimizer.learning_rate=1e-300": {"stalled"},
    "loss.content_weight=1e38 loss.style_weight=1e38": {"not_finite"},
    "loss.content_weight=1e-300 loss.style_weight=1e-300": {"converged"},
    "loss.style_weight=1e308 precision=bf16": {"not_finite"},
    "init=noise init.noise_std=1e300": {"not_finite"},
    "optimizer.pixel_scale=1e-30": {"not_finite"},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("settings_", "reasons"), EXTREMES.items(), ids=EXTREMES)
def test_a_run_at_the_end_of_the_numbers_ends_for_a_reason(settings_, reasons, optimizer, here):
    assert made(f"optimizer={optimizer}", *settings_.split())["stop_reason"] in reasons


ALONE = (
    "optimizer=sgd optimizer.learning_rate=1e30 loss.style_weight=1e20 optimizer.averaging=0.5",
    "optimizer=sgd optimizer.learning_rate=1e30 optimizer.momentum=1 optimizer.bounds=straight_through",
    "optimizer=adam optimizer.learning_rate=1e30 optimizer.betas=[0.999999,0.999999]",
    "optimizer=adam optimizer.learning_rate=1e30 parametrisation=fourier",
    "optimizer=adam optimizer.learning_rate=1e30 optimizer.bounds=clip init=noise init.noise_std=1e38",
    "optimizer=adam optimizer.learning_rate=1e30 scales=[{factor:0.5,share:1},{factor:1,share:1}]",
    "optimizer=lbfgs optimizer.learning_rate=1e30 optimizer.bounds=project",
    "init=noise init.noise_mean=1e300",
    "layers.style_weights=[1e308,1e308]",
    "loss.tv_weight=1e308",
    "loss.tv_weight=1e38 loss.tv_form=power loss.tv_exponent=1e30",
    "loss.content_factor=1e300",
    "loss.content_weight=0 style.weights=[1e-320]",
    "loss.style_weight=0",
    "loss.content_weight=0 loss.style_weight=0 loss.tv_weight=1e-320",
    "loss.gram_shift=1e300",
    "loss.statistic=w2 loss.w2_eps=1e-300",
    "loss.statistic=mmd_poly loss.mmd_c=1e300",
    "model.std=[1e-300,1,1e300]",
    "model.mean=[1e300,0,0]",
    "optimizer.tolerance=1e300",
)


@pytest.mark.parametrize("settings_", ALONE)
def test_every_setting_at_its_end_ends_for_a_reason(settings_, here):
    made(*settings_.split())


FLAT = [
    *(f"content.image={colour}.png style.images=[{colour}.png]" for colour in ("white", "black", "gray")),
    *(
        f"content.image=black.png style.images=[black.png] init=noise loss.statistic={statistic}"
        for statistic in ("gram", "moments", "bn", "w2", "mmd_poly", "mmd_gauss", "swd", "histogram")
    ),
    *(
        f"content.image=gray.png style.images=[white.png] color={mode}"
        for mode in ("luminance", "match", "histogram", "content_chroma")
    ),
    "content.image=gray.png style.images=[white.png] color=match color.match=cholesky",
    "content.image=white.png style.images=[white.png] style.blend=loss_share",
    "content.image=black.png style.images=[black.png] loss.style_scale=target init=noise",
    "content.image=white.png style.images=[black.png] optimizer.warm_start=colors",
    "content.image=white.png style.images=[black.png] log.distances=true",
    "content.image=white.png style.images=[white.png] log.distances=true",
]


@pytest.mark.parametrize("pictures", FLAT)
def test_flat_pictures_make_a_picture(pictures, here):
    for colour in ("white", "black", "gray"):
        Image.new("RGB", (40, 30), colour).save(f"{colour}.png")
    assert made(*pictures.split())["status"] == "completed"


@pytest.mark.parametrize("value", ["-1", "-1e-320", "nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("key", ["loss.content_weight", "loss.style_weight", "loss.tv_weight", "style.weights"])
def test_a_weight_that_is_none_is_refused(key, value):
    listed = f"[{value}]" if key == "style.weights" else value
    with pytest.raises(ConfigError, match=f"^{re.escape(key)}=.*expected a finite number, at least 0"):
        compose([*TINY, f"{key}={listed}"])


def test_what_no_number_can_hold_is_refused_before_the_run():
    for overrides, told in (
        (["style=strokes_and_waves", "style.weights=[1e308,1e308]"], "style.weights=.*their sum"),
        (["optimizer=adam", "optimizer.learning_rate=1e38"], "optimizer.learning_rate=1e38: expected .*at most 1e.30"),
    ):
        with pytest.raises(ConfigError, match=f"^{told}"):
            compose([*TINY, *overrides])


# Sizes: what is too small is refused with the least that is not.

ADVICE = re.compile(r"needs at least \d+ on each side; choose a ([\w.\[\]]+) of at least (\d+) or shallower layers$")
sides = st.integers(1, 90)


def changed(config: Config, key: str, value: int) -> Config:
    """The configuration with another size of the result or of its style."""
    config = deepcopy(config)
    if key == "size":
        config.size = value
    elif key == "style.size":
        config.style.size = value
    else:
        config.style.sizes = [value]
    return config


@pytest.fixture(scope="module")
def tiny() -> Config:
    return compose(TINY)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(
    st.sampled_from(list(LAYERS)),
    st.sampled_from(["zeros", "replicate", "reflect"]),
    st.sampled_from(["longer", "shorter", "height", "area", "exact"]),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.tuples(st.integers(1, 40), st.none() | st.integers(1, 40), st.none() | st.integers(1, 40)),
    st.sampled_from([1.0, 0.5, 0.3]),
)
def test_the_least_size_that_a_refusal_names_works_and_no_smaller_one(
    tiny, layer, padding, rule, content, style, values, factor
):
    config = deepcopy(tiny)
    config.layers.style, config.model.padding, config.size_rule = [layer, "relu1_1"], padding, rule
    config.size, config.style.size = values[:2]
    config.style.sizes = None if values[2] is None else [values[2]]

    def refusal(tried: Config) -> str | None:
        try:
            sizes_at(content, {"starry_strokes": style}, None, tried, factor)
        except ConfigError as error:
            return str(error)
        return None

    advised: list[str] = []
    while (line := refusal(config)) is not None:
        key, least = ADVICE.search(line).groups()
        advised.append(key)
        less = refusal(changed(config, key, int(least) - 1))
        assert less is not None
        assert ADVICE.search(less).groups() == (key, least)
        config = changed(config, key, int(least))
    assert len(advised) == len(set(advised)) <= 2  # the result's size, and that of the style if it has one


def test_a_style_that_is_not_enlarged_is_told_to_need_shallower_layers(tiny):
    config = deepcopy(tiny)
    config.layers.style, config.style.upscale = ["relu4_1", "relu1_1"], False
    with pytest.raises(ConfigError, match=r"starry_strokes becomes 1x32 .*each side; choose shallower layers$"):
        sizes_at((90, 90), {"starry_strokes": (90, 3)}, None, config)


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize(("padding", "layer"), [("zeros", "relu4_1"), ("reflect", "relu3_1"), ("replicate", "pool3")])
def test_the_least_size_really_makes_a_picture(pooling, padding, layer):
    content, style = (
        torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) for size in ((20, 31), (9, 40))
    )
    overrides = [*TINY, f"model.padding={padding}", f"model.pooling={pooling}", f"layers.style=[{layer}]"]
    with pytest.raises(ConfigError) as caught:
        transfer(content, [style], compose([*overrides, "size=2"]))
    key, least = ADVICE.search(str(caught.value)).groups()
    result = transfer(content, [style], compose([*overrides, f"{key}={least}"]))
    assert result.evaluations == 4
    assert all(map(math.isfinite, result.history))
    assert result.image.isfinite().all()
    with pytest.raises(ConfigError, match=f"a size of at least {least} or"):
        transfer(content, [style], compose([*overrides, f"{key}={int(least) - 1}"]))
