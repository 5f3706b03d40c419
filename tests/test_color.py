"""Colour control: moments in closed form, chroma that survives, degenerate pictures, and every mode as a run."""

import numpy as np
import pytest
import torch
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from resuming import resumed
from torch import Tensor

import nst_lab
from nst_lab import compose, transfer
from nst_lab.config.schema import Color
from nst_lab.errors import ConfigError
from nst_lab.images.color import (
    ColorControl,
    luminance,
    match_histograms,
    match_moments,
    moments,
    with_luminance_of,
)  # fmt: skip
from nst_lab.images.pictures import load_image, resize, to_bytes
from nst_lab.metrics import distances
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.synthesis import Synthesis

FORMS = ("cholesky", "pca", "symmetric")
MODES = ("luminance", "match", "histogram", "content_chroma")
# What the standard says of YIQ: rows are Y, I, Q.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def picture(height: int, width: int, seed: int) -> Tensor:
    """Correlated colours of unequal spread, inside [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.rand(3, 3, generator=random) / 3
    return torch.einsum("dc,bchw->bdhw", mixing, torch.rand(1, 3, height, width, generator=random))


CONTENT, STYLE = picture(24, 40, 0), picture(36, 30, 1)
GREY = luminance(STYLE).expand(1, 3, 36, 30)
FLAT = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 8, 6)
TWO_COLOURS = torch.where(torch.arange(48).view(1, 1, 8, 6) % 5 == 0, FLAT, 1 - FLAT)
DEGENERATE = {"grey": GREY, "flat": FLAT, "one pixel": FLAT[..., :1, :1], "two colours": TWO_COLOURS}


def to_yiq(image: Tensor) -> Tensor:
    return torch.einsum("dc,bchw->bdhw", YIQ.to(image), image)


@pytest.mark.parametrize("form", FORMS)
def test_a_matched_style_has_the_contents_mean_and_covariance(form: str) -> None:
    matched = match_moments(STYLE.double(), CONTENT.double(), form)
    assert matched.shape == STYLE.shape
    for value, expected in zip(moments(matched), moments(CONTENT), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)


def applied(form: str) -> Tensor:
    """The linear map of a form, read off what it does to the style."""
    colors = [image[0].double().flatten(1) for image in (STYLE, match_moments(STYLE.double(), CONTENT, form))]
    before, after = (each - each.mean(1, keepdim=True) for each in colors)
    return after @ torch.linalg.pinv(before)


def test_each_form_is_its_own_map() -> None:
    cholesky, pca, symmetric = map(applied, FORMS)
    torch.testing.assert_close(cholesky, cholesky.tril(), atol=1e-8, rtol=0)
    assert (cholesky.diagonal() > 0).all()
    roots = []
    for image in (CONTENT, STYLE):
        values, vectors = np.linalg.eigh(moments(image)[1].numpy())
        roots.append(vectors @ np.diag(np.sqrt(values)) @ vectors.T)
    np.testing.assert_allclose(pca.numpy(), roots[0] @ np.linalg.inv(roots[1]), atol=1e-8)
    torch.testing.assert_close(symmetric, symmetric.mT, atol=1e-8, rtol=0)
    assert torch.linalg.eigvalsh(symmetric).min() > 0


def test_the_symmetric_form_moves_colours_the_least() -> None:
    moved = [(match_moments(STYLE, CONTENT, form) - STYLE).square().mean().item() for form in FORMS]
    assert moved[2] < min(moved[:2])


@pytest.mark.parametrize("form", FORMS)
def test_a_style_matched_to_itself_is_itself(form: str) -> None:
    torch.testing.assert_close(match_moments(STYLE, STYLE, form), STYLE, atol=1e-6, rtol=0)


def test_luminance_is_matched_by_mean_and_deviation() -> None:
    y, target = luminance(STYLE).double(), luminance(CONTENT).double()
    expected = (y - y.mean()) * (target.std(correction=0) / y.std(correction=0)) + target.mean()
    for form in FORMS:
        torch.testing.assert_close(match_moments(y, target, form), expected)


def test_histograms_are_the_contents_channel_by_channel() -> None:
    content = CONTENT[..., torch.randperm(40, generator=torch.Generator().manual_seed(3))]
    same_size = picture(24, 40, 5)
    matched = match_histograms(same_size, content)
    for channel in range(3):
        torch.testing.assert_close(matched[0, channel].flatten().sort()[0], content[0, channel].flatten().sort()[0])
        order = same_size[0, channel].flatten().argsort()
        assert (matched[0, channel].flatten()[order].diff() >= 0).all()


def test_a_content_recombined_with_itself_is_itself() -> None:
    torch.testing.assert_close(with_luminance_of(CONTENT, CONTENT), CONTENT, rtol=0, atol=1e-7)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6))
def test_a_recombined_picture_has_this_luminance_and_that_chroma(seed: int, height: int, width: int) -> None:
    chroma, image = (picture(height, width, seed + k).double() for k in range(2))
    result = to_yiq(with_luminance_of(chroma, image))
    torch.testing.assert_close(result[:, :1], to_yiq(image)[:, :1])
    torch.testing.assert_close(result[:, 1:], to_yiq(chroma)[:, 1:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("style", [*DEGENERATE, "ordinary"])
@pytest.mark.parametrize("content", [*DEGENERATE, "ordinary"])
def test_degenerate_colours_are_matched_without_nan(style: str, content: str, form: str) -> None:
    pictures = DEGENERATE | {"ordinary": STYLE}
    style, content = pictures[style], pictures[content]
    matched = match_moments(style, content, form)
    assert matched.isfinite().all()
    (mean, covariance), (expected, most) = moments(matched), moments(content)
    torch.testing.assert_close(mean, expected, atol=1e-6, rtol=0)
    assert covariance.trace() <= most.trace() * (1 + 1e-4) + 1e-9  # colours that do not vary are not blown up
    assert match_histograms(style, content).isfinite().all()


def test_the_noise_of_a_nearly_grey_style_is_not_stretched_to_colours() -> None:
    noise = torch.randn(1, 3, 36, 30, generator=torch.Generator().manual_seed(0)) * 0.001
    for form in FORMS:
        clean, noisy = (match_moments(style, CONTENT, form) for style in (GREY, GREY + noise))
        assert (clean - noisy).abs().max() < 0.05


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=3, max_size=12),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=12),
    st.sampled_from(MODES),
    st.sampled_from(FORMS),
)
def test_every_picture_of_few_colours_has_a_controlled_style_in_range(
    style: list[float], content: list[float], mode: str, form: str
) -> None:
    pictures = [torch.tensor(values[: len(values) // 3 * 3]).view(1, 3, 1, -1) for values in (style, content)]
    control = ColorControl(Color(mode=mode, match=form), pictures[1], "bicubic")
    for result in (control.content, control.style(pictures[0]), control.finish(pictures[1]).clamp(0, 1)):
        assert 0 <= result.min() <= result.max() <= 1


def tiny(*overrides: str):
    return compose([*TINY, *overrides])


def steps_of(*overrides: str, content: Tensor = CONTENT) -> list[Step]:
    return list(Synthesis(Inputs(content, {"starry_strokes": STYLE}), tiny(*overrides)))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_through_the_real_entry_point(mode: str, here) -> None:
    run = nst_lab.run(tiny(f"color={mode}", "name=colours", "log.distances=true"))
    assert run.manifest["status"] == "completed"
    assert run.manifest["config"]["color"] == {"mode": mode, "match": "pca"}
    saved, content = run.image(), load_image("chelsea")
    assert run.manifest["distances"] == distances(saved, content, {"starry_strokes": load_image("starry_strokes")})
    seen = resize(content, *saved.shape[-2:])
    if mode in ("luminance", "content_chroma"):
        inside = ((saved > 0) & (saved < 1)).all(1, keepdim=True).expand_as(saved)
        difference = (saved - seen - (luminance(saved) - luminance(seen)))[inside]
        assert difference.abs().max() < 1.01 / 255  # the content's chroma, but for rounding


def test_what_is_shown_on_the_way_is_what_would_be_saved() -> None:
    plain, pasted = steps_of(), steps_of("color=content_chroma")
    for step, other in zip(plain, pasted, strict=True):
        assert torch.equal(step.image, other.image)  # the run itself is the same
        torch.testing.assert_close(other.shown, with_luminance_of(resize(CONTENT, 19, 32), step.image))
        assert torch.equal(step.shown, step.image)
    assert torch.equal(pasted[-1].picture, pasted[-1].finish(pasted[-1].result.image))


@pytest.mark.parametrize("start", ["content", "noise", "mix", "style"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_on_luminance_every_picture_is_grey(start: str, optimizer: str) -> None:
    settings = ("color=luminance", f"init={start}", f"optimizer={optimizer}", "init.noise_std=0.1")
    steps = steps_of(*settings)
    for step in steps:
        assert torch.equal(step.image, step.image[:, :1].expand_as(step.image))
    deviation = steps[0].image.std().item()
    if start == "noise":
        assert deviation == pytest.approx(0.1, rel=0.1)  # not that of a mean of three channels
    torch.testing.assert_close(luminance(steps[-1].picture), luminance(steps[-1].result.image))


def test_on_luminance_a_run_without_a_step_gives_the_content_back() -> None:
    result = transfer(CONTENT, [STYLE], tiny("color=luminance", "optimizer.evaluations=1", "init=content"))
    torch.testing.assert_close(result.image, resize(CONTENT, 19, 32), atol=1e-6, rtol=0)


def test_a_file_to_start_from_is_seen_as_its_luminance() -> None:
    config = tiny("color=luminance", "init=file", "init.image=chelsea", "optimizer.evaluations=1")
    [step] = Synthesis(Inputs(CONTENT, {"starry_strokes": STYLE}, STYLE), config)
    torch.testing.assert_close(step.image[:, :1], resize(luminance(STYLE), 19, 32))


TWO_SCALES = "scales=[{factor: 0.5, share: 0.5},{factor: 1, share: 0.5}]"


def test_scales_and_averages_are_finished_at_their_own_size() -> None:
    steps = steps_of("color=luminance", TWO_SCALES, "optimizer=adam", "optimizer.averaging=0.9")
    assert [tuple(step.shown.shape[-2:]) for step in steps] == [(10, 16), (10, 16), (19, 32), (19, 32)]
    for step in steps:
        content = resize(CONTENT, *step.image.shape[-2:])
        torch.testing.assert_close(to_yiq(step.picture)[:, 1:], to_yiq(content)[:, 1:], atol=1e-6, rtol=0)
    assert torch.equal(steps[2].image, resize(steps[1].average, 19, 32, clip=False))


@pytest.mark.parametrize("mode", ["luminance", "match"])
def test_a_run_resumed_is_the_same_to_the_last_bit(mode: str) -> None:
    config, inputs = tiny(f"color={mode}", TWO_SCALES), Inputs(CONTENT, {"starry_strokes": STYLE})
    for step, expected in resumed(inputs, config, 1, 3):
        assert torch.equal(step.shown, expected.shown)


def test_the_saved_picture_and_the_results_are_one(here) -> None:
    overrides = ("color=luminance", "content.image=content.png", "style.images=[style.png]", "init=noise")
    for name, image in (("content", CONTENT), ("style", STYLE)):
        Image.fromarray(to_bytes(image).permute(1, 2, 0).numpy()).save(f"{name}.png")
    saved = nst_lab.run(tiny(*overrides, "name=one")).image()
    result = transfer(load_image("content.png"), [load_image("style.png")], tiny(*overrides)).image
    assert torch.equal(to_bytes(saved), to_bytes(result))


@pytest.mark.parametrize("mode", MODES)
def test_a_grey_flat_content_and_style_go_through(mode: str) -> None:
    grey = torch.full((1, 3, 16, 16), 0.5)
    result = transfer(grey, [grey], tiny(f"color={mode}", "optimizer.evaluations=2"))
    assert result.image.isfinite().all()


@pytest.mark.parametrize("mode", MODES)
def test_a_texture_has_no_colours_to_keep(mode: str) -> None:
    with pytest.raises(ConfigError, match=rf"color.mode={mode}: takes the colours of content.image, which is null"):
        tiny("content=none", "loss.content_weight=0", "init=noise", f"color={mode}")
    config = tiny("loss.content_weight=0", "init=noise", f"color={mode}")
    with pytest.raises(ConfigError, match=f"content is None while color.mode={mode}"):
        transfer(None, [STYLE], config)
