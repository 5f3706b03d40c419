"""Every starting image by its formula."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nst_lab import compose
from nst_lab.config.schema import Init
from nst_lab.images.pictures import resize
from nst_lab.optimisation.initial import initial_image, noise_image

GENERATOR = torch.Generator().manual_seed(0)
PICTURES = {name: torch.rand(1, 3, 9, 12, generator=GENERATOR) for name in ("content", "style", "file")}


def init(**changes: object) -> Init:
    return replace(compose().init, **changes)


def start(settings: Init, height: int = 9, width: int = 12, seed: int = 0) -> Tensor:
    return initial_image(settings, torch.Generator().manual_seed(seed), height, width, **PICTURES)


@pytest.mark.parametrize("kind", ["content", "style", "file"])
def test_a_picture_of_the_right_size_is_copied(kind: str) -> None:
    image = start(init(kind=kind))
    assert torch.equal(image, PICTURES[kind])
    assert image.data_ptr() != PICTURES[kind].data_ptr()


@pytest.mark.parametrize("kind", ["content", "style", "file"])
def test_a_picture_of_another_size_is_resized_whatever_its_aspect(kind: str) -> None:
    assert torch.equal(start(init(kind=kind), 14, 5), resize(PICTURES[kind], 14, 5))


def test_gray_is_a_half() -> None:
    assert torch.equal(start(init(kind="gray"), 4, 6), torch.full((1, 3, 4, 6), 0.5))


def test_normal_noise_has_its_mean_and_deviation_and_is_not_clipped() -> None:
    noise = start(init(kind="noise", noise="normal", noise_mean=0.3, noise_std=0.4), 120, 130)
    assert noise.shape == (1, 3, 120, 130)
    assert noise.mean().item() == pytest.approx(0.3, abs=0.01)
    assert noise.std().item() == pytest.approx(0.4, abs=0.01)
    assert noise.min() < 0
    assert noise.max() > 1


def test_uniform_noise_has_its_mean_and_deviation_and_stays_within_root_three_of_it() -> None:
    noise = start(init(kind="noise", noise="uniform", noise_mean=0.5, noise_std=0.1), 120, 130)
    assert noise.mean().item() == pytest.approx(0.5, abs=0.005)
    assert noise.std().item() == pytest.approx(0.1, abs=0.005)
    assert (noise - 0.5).abs().max().item() == pytest.approx(0.1 * 3**0.5, rel=1e-3)
    assert (noise - 0.5).abs().max() <= 0.1 * 3**0.5 + 1e-6


@pytest.mark.parametrize("form", ["normal", "uniform"])
def test_noise_follows_the_seed_and_nothing_else(form: str) -> None:
    settings = init(kind="noise", noise=form)
    first = start(settings, seed=4)
    torch.manual_seed(99)
    assert torch.equal(start(settings, seed=4), first)
    assert not torch.equal(start(settings, seed=5), first)


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_mix_is_the_share_of_noise_in_the_content(share: float) -> None:
    settings = init(kind="mix", mix=share)
    for height, width in ((9, 12), (5, 7)):
        expected = (1 - share) * resize(PICTURES["content"], height, width)
        expected = expected + share * noise_image(height, width, settings, torch.Generator().manual_seed(3))
        torch.testing.assert_close(start(settings, height, width, seed=3), expected)
