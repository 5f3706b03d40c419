"""Bounds on pixels: minima of bounded problems, the box at every evaluation, and what bounds do not change."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from resuming import resumed
from torch import Tensor

import nst_lab
from nst_lab import compose
from nst_lab.config.schema import Optimizer
from nst_lab.errors import ConfigError
from nst_lab.losses.objective import Losses
from nst_lab.optimisation.bounds import Box
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Optimisation, Step
from nst_lab.optimisation.synthesis import Synthesis

PROJECT = "optimizer.bounds=project"
SHAPE = (1, 3, 3, 4)


def picture(height: int, width: int, seed: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


CONTENT, STYLE = picture(24, 40, 0), picture(36, 30, 1) * 0.6 + 0.2


class Quadratic:
    """½ (x − m)ᵀ A (x − m) with a random positive A of condition about 10³ and m partly outside of [0, 1]."""

    def __init__(self, seed: int):
        random = torch.Generator().manual_seed(seed)
        size = 36
        basis, _ = torch.linalg.qr(torch.randn(size, size, generator=random, dtype=torch.float64))
        self.matrix = basis * torch.logspace(0, 3, size, dtype=torch.float64) @ basis.mT
        self.center = torch.randn(size, generator=random, dtype=torch.float64) * 0.4 + 0.5

    def __call__(self, image: Tensor) -> Losses:
        away = image.flatten() - self.center
        total, zero = away @ self.matrix @ away / 2, image.new_zeros(())
        return Losses(total, total, zero, zero, {"content/f": total})

    def minimum(self) -> Tensor:
        """By scipy's L-BFGS-B."""
        matrix, center = self.matrix.numpy(), self.center.numpy()

        def value(x: np.ndarray) -> tuple[float, np.ndarray]:
            return (x - center) @ matrix @ (x - center) / 2, matrix @ (x - center)

        found = scipy.optimize.minimize(
            value, np.full(36, 0.5), jac=True, method="L-BFGS-B", bounds=[(0, 1)] * 36,
            options={"maxiter": 5000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-10},
        )  # fmt: skip
        return torch.from_numpy(found.x).view(SHAPE)


def options(name: str, **changes: object) -> Optimizer:
    settings = {"tolerance": 0.0, "window": 10**6, "bounds": "project"} | changes
    return replace(compose([f"optimizer={name}"]).optimizer, **settings)


def run(objective: Quadratic, evaluations: int, settings: Optimizer, start: float = 0.5, **more) -> list[Step]:
    first = torch.full(SHAPE, start, dtype=torch.float64)
    return list(Optimisation(objective, first, settings, evaluations, **more))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("start", [0.5, 0.0])
def test_lbfgs_finds_the_minimum_in_the_box(seed: int, start: float) -> None:
    objective = Quadratic(seed)
    expected = objective.minimum()
    held = (expected == 0) | (expected == 1)
    assert 3 < held.sum() < 33  # a problem with an active set worth the name
    steps = run(objective, 600, options("lbfgs"), start)
    torch.testing.assert_close(steps[-1].result.image, expected, atol=1e-5, rtol=0)
    assert steps[-1].result.gradient_norm < 1e-6 * steps[0].gradient_norm


def test_separate_pixels_end_at_the_nearest_bound() -> None:
    center = torch.linspace(-0.5, 1.5, 36, dtype=torch.float64).view(SHAPE)

    def separate(image: Tensor) -> Losses:
        total, zero = (image - center).square().sum(), image.new_zeros(())
        return Losses(total, total, zero, zero, {"content/f": total})

    for name, rate in (("lbfgs", 1), ("sgd", 0.1), ("adam", 0.05)):
        steps = run(separate, 400, options(name, learning_rate=rate, momentum=0.0))
        torch.testing.assert_close(steps[-1].result.image, center.clamp(0, 1), atol=1e-4, rtol=0)
    at_the_minimum = Optimisation(separate, center, options("lbfgs"), 50)
    [step] = at_the_minimum
    assert torch.equal(step.image, center.clamp(0, 1))
    assert (step.stop.reason, step.stop.detail) == ("converged", "the gradient is zero")


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 255.0, 256.0]), st.sampled_from([1, 4]))
def test_no_value_leaves_the_box_and_accepted_losses_never_rise(seed: int, scale: float, rate: int) -> None:
    low, high = torch.tensor([0.1, 0.0, 1 / 3]), torch.tensor([0.9, 2 / 3, 1.0])
    box = Box(*(end.double().view(1, 3, 1, 1) for end in (low, high)))
    steps = run(Quadratic(seed), 40, options("lbfgs", pixel_scale=scale, learning_rate=rate), box=box)
    for step in steps:
        assert (step.image >= box.low).all()
        assert (step.image <= box.high).all()
    accepted = [step.losses.total.item() for step in steps if step.accepted]
    assert all(after <= before for before, after in pairwise(accepted))
    assert accepted[-1] < accepted[0]


@pytest.mark.parametrize("rate", [1, 4])
def test_far_bounds_change_nothing(rate: int) -> None:
    objective = Quadratic(0)
    far = Box(*(torch.full((1, 1, 1, 1), end, dtype=torch.float64) for end in (-1e9, 1e9)))
    bounded = run(objective, 60, options("lbfgs", learning_rate=rate), box=far)
    free = run(objective, 60, options("lbfgs", learning_rate=rate, bounds="none"))
    if rate == 4:
        assert not all(step.accepted for step in free)
    for one, other in zip(bounded, free, strict=True):
        assert one.accepted == other.accepted
        torch.testing.assert_close(one.image, other.image, rtol=1e-6, atol=1e-9)


def test_held_are_the_values_that_would_leave() -> None:
    box = Box.unit(torch.zeros(1))
    values = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 0.5])
    gradient = torch.tensor([1.0, -1.0, 0.0, 1.0, -1.0, 1.0])
    assert box.held(values, gradient).flatten().tolist() == [True, False, False, False, True, False]


def tiny(*overrides: str):
    return compose([*TINY, *overrides])


def steps_of(*overrides: str) -> list[Step]:
    return list(Synthesis(Inputs(CONTENT, {"starry_strokes": STYLE}), tiny(*overrides)))


NOISE = ("init=noise", "init.noise_std=0.6", "optimizer.evaluations=8")


@pytest.mark.parametrize("range_", ["unit", "style"])
@pytest.mark.parametrize("name", ["lbfgs", "adam", "sgd"])
@pytest.mark.parametrize("scale", [1, 255])
def test_a_real_run_stays_in_its_box(name: str, range_: str, scale: int) -> None:
    rate = {"lbfgs": 1, "adam": 0.05 * scale, "sgd": 1e-11 * scale**2}[name]
    settings = (f"optimizer={name}", f"optimizer.learning_rate={rate}", f"optimizer.pixel_scale={scale}")
    steps = steps_of(*NOISE, PROJECT, f"optimizer.bounds_range={range_}", *settings)
    box = Box.around(STYLE) if range_ == "style" else Box.unit(STYLE)
    for step in steps:
        assert (step.image >= box.low).all()
        assert (step.image <= box.high).all()
    assert steps[-1].result.losses.total < steps[0].losses.total


@pytest.mark.parametrize("bounds", ["clip", "straight_through"])
def test_the_range_of_the_style_holds_for_the_other_bounds_too(bounds: str) -> None:
    range_ = ("optimizer.bounds_range=style", f"optimizer.bounds={bounds}", "optimizer=adam")
    box = Box.around(STYLE)
    for step in steps_of(*NOISE, *range_)[1:]:
        assert (step.image >= box.low).all()
        assert (step.image <= box.high).all()


TWO_SCALES = "scales=[{factor: 0.5, share: 0.5},{factor: 1, share: 0.5}]"


@pytest.mark.parametrize("extra", [(), ("optimizer.learning_rate=6",), (TWO_SCALES,), ("color=luminance",)])
def test_a_bounded_run_resumed_is_the_same_to_the_last_bit(extra: tuple[str, ...]) -> None:
    config = tiny(*NOISE, PROJECT, "optimizer.bounds_range=style", *extra)
    inputs = Inputs(CONTENT, {"starry_strokes": STYLE})
    for step, expected in resumed(inputs, config, 3, 5):
        assert torch.equal(step.image, expected.image)


def test_bounds_through_the_real_entry_point(here) -> None:
    run = nst_lab.run(tiny(*NOISE, PROJECT, "optimizer.bounds_range=style"))
    assert run.manifest["status"] == "completed"
    style = nst_lab.load_image("starry_strokes")
    low, high = style.amin((0, 2, 3)), style.amax((0, 2, 3))
    result = run.image()
    assert (result.amin((0, 2, 3)) >= low - 0.5 / 255).all()
    assert (result.amax((0, 2, 3)) <= high + 0.5 / 255).all()


def test_what_bounds_cannot_do_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"optimizer.bounds=project: torch's L-BFGS knows no bounds"):
        tiny(PROJECT, "optimizer=lbfgs_torch")
    with pytest.raises(ConfigError, match=r"optimizer.bounds_range=style: no style image is in use"):
        tiny("style=none", "loss.style_weight=0", "optimizer.bounds_range=style", PROJECT)
