"""Strip by strip: the same losses and gradients as of the whole picture."""

from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nst_lab
from nst_lab.losses.guidance import Masks
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.network import strips
from nst_lab.network.architecture import layers_up_to
from nst_lab.network.vgg import VGG19
from nst_lab.optimisation.synthesis import own_network

BASE = ("model.weights=random", "model.normalized=false", "device=cpu", "content=camera", "style=mosaic")
USUAL = {
    "defaults": (),
    "max pooling, reflected": ("model.pooling=max", "model.padding=reflect", "model.padding_first=replicate"),
    "sums of products": ("loss.gram_divisor=none", "layers=style_to_3"),
    "pools as styles": ("layers.style=[pool1,pool2,conv1_2]",),
    "bn": ("loss.statistic=bn", "layers=style_to_3"),
    "swd": ("loss.statistic=swd", "layers=style_to_2"),
    "one block": ("layers.content=[relu1_2]", "layers.style=[relu1_1]"),
}
MORE = {
    "a divisor with channels, shifted": ("loss.gram_divisor=channels_positions", "loss.gram_shift=-1"),
    "shallow contents": ("layers.content=[relu1_1,relu2_2,pool1]",),
    "moments": ("loss.statistic=moments",),
    "w2": ("loss.statistic=w2", "layers=style_to_2"),
    "mmd_poly": ("loss.statistic=mmd_poly",),
    "mmd_gauss": ("loss.statistic=mmd_gauss",),
    "histogram": ("loss.statistic=histogram",),
}
CASES = [
    *(pytest.param(overrides, id=name) for name, overrides in USUAL.items()),
    *(pytest.param(overrides, id=name, marks=pytest.mark.slow) for name, overrides in MORE.items()),
]


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@lru_cache
def network_with(pooling: str, padding: str, padding_first: str) -> VGG19:
    settings = (f"model.pooling={pooling}", f"model.padding={padding}", f"model.padding_first={padding_first}")
    config = nst_lab.compose([*BASE, *settings, "layers.content=[relu5_1]"])
    return own_network(config).double().requires_grad_(False)


def both(overrides: tuple[str, ...], height: int, width: int, masks: Masks | None = None):
    """Losses and gradients in float64: of the whole picture, and in strips."""
    config = nst_lab.compose([*BASE, *overrides])
    model = config.model
    network = network_with(model.pooling, model.padding, model.padding_first).up_to(needed_taps(config))
    results = []
    for in_strips in (False, True):
        pictures = picture(height, width, 1), {"mosaic": picture(height, width, 2)}
        objective = Objective(network, *pictures, config, masks=masks, in_strips=in_strips)
        image = picture(height, width).requires_grad_()
        losses, more = objective.reviving(image)
        (losses.total + more).backward()
        results.append((losses.to_floats()["terms"], image.grad))
    return results


@pytest.mark.parametrize("overrides", CASES)
def test_terms_and_gradients_are_those_of_the_whole_picture(overrides, monkeypatch):
    monkeypatch.setattr(strips, "STRIP_VALUES", 64 * 33 * 6)  # six rows of the first block, four of the second
    (terms, gradient), (same, other) = both(overrides, 37, 33)
    assert same == pytest.approx(terms, rel=1e-9, abs=1e-18)
    torch.testing.assert_close(other, gradient, rtol=1e-8, atol=1e-10 * gradient.abs().max().item())


def test_regions_are_cut_into_strips_too(monkeypatch):
    monkeypatch.setattr(strips, "STRIP_VALUES", 64 * 40 * 8)
    ramp = torch.linspace(0, 1, 40, dtype=torch.float64).expand(1, 1, 40, 40)
    masks = Masks({"mosaic": ramp}, {"mosaic": ramp.mT}, ramp.mT)
    (terms, gradient), (same, other) = both((), 40, 40, masks)
    assert same == pytest.approx(terms, rel=1e-10)
    torch.testing.assert_close(other, gradient, rtol=1e-8, atol=1e-10 * gradient.abs().max().item())


@given(st.integers(1, 300), st.integers(1, 4000), st.sampled_from(["relu1_2", "pool1", "relu1_1"]))
@settings(max_examples=200)
def test_strips_cover_every_row_once_and_see_far_enough(height, width, deepest):
    layers = layers_up_to([deepest])
    cut = strips.strips(height, width, layers)
    convolutions = sum(layer.kind == "conv" for layer in layers)
    for layer in layers:
        rows = [row for strip in cut for row in range(*strip.own(layer).indices(height))]
        assert rows == list(range(height // (2 if layer.kind == "pool" else 1)))
    for strip in cut:
        assert strip.low % 2 == strip.start % 2 == 0
        assert strip.low == 0 or strip.start - strip.low >= convolutions
        assert strip.high == height or strip.high - strip.stop >= convolutions
