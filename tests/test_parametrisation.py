"""What the optimiser's variable means: exact inverses, closed forms of the transform, and runs in Fourier space."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import nst_lab
from nst_lab import compose, transfer
from nst_lab.config.schema import Optimizer
from nst_lab.errors import ConfigError
from nst_lab.images.pictures import resize
from nst_lab.losses.objective import Losses
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Optimisation, Step
from nst_lab.optimisation.parametrisation import Fourier, Grey, Pixels, hartley, parametrisation
from nst_lab.optimisation.synthesis import Synthesis

sides = st.integers(1, 9)
seeds = st.integers(0, 2**31)
FOURIER = "parametrisation=fourier"
TWO_SCALES = "scales=[{factor: 0.5, share: 0.5},{factor: 1, share: 0.5}]"


def picture(height: int, width: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


CONTENT, STYLE = picture(24, 40, 0), picture(36, 30, 1)


def exact(height: int, width: int, channels: int = 3) -> Fourier:
    return Fourier(height, width, channels, dtype=torch.float64)


@settings(deadline=None)
@given(sides, sides, seeds)
def test_pictures_and_coefficients_are_each_others_inverse(height: int, width: int, seed: int) -> None:
    space, image = exact(height, width), picture(height, width, seed, torch.float64)
    torch.testing.assert_close(space.picture(space.variable(image)), image)
    torch.testing.assert_close(space.variable(space.picture(image)), image)


@pytest.mark.parametrize("size", [(256, 256), (171, 256), (1, 64), (1, 1), (7, 3)])
def test_the_inverse_holds_in_single_precision(size: tuple[int, int]) -> None:
    space, image = Fourier(*size), picture(*size, 0)
    torch.testing.assert_close(space.picture(space.variable(image)), image, atol=2e-6, rtol=0)


@settings(deadline=None)
@given(sides, sides, seeds)
def test_the_transform_is_orthonormal_and_its_own_inverse(height: int, width: int, seed: int) -> None:
    image = picture(height, width, seed, torch.float64)
    torch.testing.assert_close(hartley(hartley(image)), image)
    torch.testing.assert_close(hartley(image).norm(), image.norm())


def test_the_transform_by_hand() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]], dtype=torch.float64)
    expected = torch.zeros_like(values)
    for u in range(2):
        for v in range(3):
            for y in range(2):
                for x in range(3):
                    angle = 2 * math.pi * (u * y / 2 + v * x / 3)
                    expected[u, v] += values[y, x] * (math.cos(angle) + math.sin(angle)) / math.sqrt(6)
    torch.testing.assert_close(hartley(values), expected)


def test_one_coefficient_is_one_wave_of_the_amplitude_of_its_frequency() -> None:
    space = exact(8, 16, channels=1)
    variances = {}
    for row, column, frequency in ((0, 1, 1 / 16), (0, 4, 4 / 16), (2, 0, 2 / 8), (6, 12, math.hypot(2 / 8, 4 / 16))):
        coefficients = torch.zeros(1, 1, 8, 16, dtype=torch.float64)
        coefficients[..., row, column] = 1
        spectrum = torch.fft.fft2(space.picture(coefficients))[0, 0].abs()
        assert (spectrum > 1e-9).nonzero().tolist() == sorted([[row, column], [-row % 8, -column % 16]])
        variances[frequency] = space.picture(coefficients).norm().item() * frequency
    assert max(variances.values()) == pytest.approx(min(variances.values()))


@pytest.mark.parametrize("size", [(32, 32), (17, 40), (1, 1)])
def test_independent_changes_of_coefficients_change_the_picture_as_much(size: tuple[int, int]) -> None:
    space = exact(*size)
    basis = torch.eye(3 * size[0] * size[1], dtype=torch.float64) if size != (32, 32) else None
    if basis is not None:  # the mean over all coefficients of what one of them does, squared
        pictures = torch.cat([space.picture(row.view(1, 3, *size)) for row in basis])
        assert pictures.square().sum().item() == pytest.approx(len(basis))
    else:
        change = torch.randn(200, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert space.picture(change).square().mean().item() == pytest.approx(1, rel=0.05)


def test_grey_is_one_channel_of_any_parametrisation() -> None:
    for space in (Grey(Pixels()), Grey(Fourier(5, 4, channels=1))):
        variable = space.variable(CONTENT[..., :5, :4])
        assert variable.shape == (1, 1, 5, 4)
        torch.testing.assert_close(space.picture(variable), CONTENT[:, :1, :5, :4].expand(1, 3, 5, 4))
    assert isinstance(parametrisation("pixel", False, 4, 4, torch.device("cpu")), Pixels)


def options(name: str, **changes: object) -> Optimizer:
    return replace(compose([f"optimizer={name}"]).optimizer, tolerance=0.0, window=10**6, **changes)


def blurred_error(image: Tensor) -> Losses:
    """A quadratic that sees low frequencies a hundred times better than high ones."""
    spectrum = torch.fft.fft2(image - TARGET, norm="ortho")
    weights = 1 / (0.03 + torch.hypot(*torch.meshgrid([torch.fft.fftfreq(16)] * 2, indexing="ij")))
    total, zero = (spectrum.abs() * weights).square().sum(), image.new_zeros(())
    return Losses(total, total, zero, zero, {"content/f": total})


TARGET = picture(16, 16, 7)


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("name", ["lbfgs", "lbfgs_torch", "adam", "sgd"])
def test_every_optimiser_lowers_a_loss_in_coefficients(name: str, scale: int) -> None:
    rate = {"lbfgs": 1, "lbfgs_torch": 1, "adam": 0.02 * scale, "sgd": 1e-5 * scale**2}[name]
    space = Fourier(16, 16)
    settings = options(name, learning_rate=rate, pixel_scale=scale, momentum=0.0)
    start = torch.full((1, 3, 16, 16), 0.5)
    steps = list(Optimisation(blurred_error, start, settings, 40, parametrisation=space))
    torch.testing.assert_close(steps[0].image, start)
    assert steps[-1].result.losses.total < 0.9 * steps[0].losses.total


def test_step_lengths_of_lbfgs_count_in_pixels() -> None:
    for scale in (1.0, 255.0):
        settings = options("lbfgs", pixel_scale=scale)
        steps = list(Optimisation(blurred_error, TARGET * 0.5, settings, 2, parametrisation=Fourier(16, 16)))
        moved = (steps[1].image - steps[0].image).square().mean().sqrt().item()
        assert moved == pytest.approx(0.01, rel=1e-3)


def test_the_gradient_reaches_the_coefficients() -> None:
    space = exact(3, 5)
    variable = picture(3, 5, 2, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: space.picture(z).sin().sum(), variable)


def tiny(*overrides: str):
    return compose([*TINY, FOURIER, *overrides])


def steps_of(*overrides: str) -> list[Step]:
    return list(Synthesis(Inputs(CONTENT, {"starry_strokes": STYLE}, STYLE), tiny(*overrides)))


@pytest.mark.parametrize("kind", ["content", "style", "noise", "gray", "mix", "file"])
def test_every_start_is_the_first_picture_in_coefficients_too(kind: str) -> None:
    settings = (f"init={kind}", "init.image=chelsea", "optimizer.evaluations=1")
    config = compose([*TINY, *settings])
    [pixel] = Synthesis(Inputs(CONTENT, {"starry_strokes": STYLE}, STYLE), config)
    [fourier] = steps_of(*settings)
    torch.testing.assert_close(fourier.image, pixel.image, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", ["lbfgs", "adam", "lbfgs_torch", "sgd"])
def test_a_real_objective_falls_from_noise(name: str) -> None:
    rate = {"lbfgs_torch": "optimizer.learning_rate=0.1", "sgd": "optimizer.learning_rate=1e-13"}.get(name)
    extra = (rate,) if rate else ()
    steps = steps_of(f"optimizer={name}", "init=noise", "optimizer.evaluations=12", *extra)
    assert min(step.losses.total.item() for step in steps) < steps[0].losses.total.item()


def test_scales_go_on_from_the_resized_picture() -> None:
    steps = steps_of(TWO_SCALES, "optimizer.evaluations=6")
    before = [step for step in steps if step.scale == 0 and step.accepted][-1].image
    after = next(step for step in steps if step.scale == 1).image
    torch.testing.assert_close(after, resize(before, 19, 32, clip=False), atol=5e-6, rtol=0)


@pytest.mark.parametrize("extra", [("optimizer=lbfgs",), ("optimizer=adam", "optimizer.averaging=0.9"), (TWO_SCALES,)])
def test_a_run_resumed_in_coefficients_is_the_same_to_the_last_bit(extra: tuple[str, ...]) -> None:
    config, inputs = tiny(*extra, "optimizer.evaluations=6"), Inputs(CONTENT, {"starry_strokes": STYLE})
    whole = list(Synthesis(inputs, config))
    first, second = Synthesis(inputs, config), Synthesis(inputs, config)
    steps = iter(first)
    for _ in range(4):
        next(steps)
    second.load_state_dict(first.state_dict())
    for step, expected in zip(second, whole[4:], strict=True):
        assert torch.equal(step.image, expected.image)
        assert torch.equal(step.picture, expected.picture)


def test_straight_through_evaluates_the_clipped_picture() -> None:
    noisy = ("init=noise", "init.noise_std=1", "optimizer=adam")
    assert not all(0 <= step.image.min() <= step.image.max() <= 1 for step in steps_of(*noisy))
    for step in steps_of(*noisy, "optimizer.bounds=straight_through"):
        assert 0 <= step.image.min() <= step.image.max() <= 1


def test_on_luminance_the_coefficients_are_those_of_one_channel() -> None:
    for step in steps_of("color=luminance", "init=noise"):
        torch.testing.assert_close(step.image, step.image[:, :1].expand_as(step.image))


def test_fourier_through_the_real_entry_point(here) -> None:
    run = nst_lab.run(tiny("init=noise"))
    assert run.manifest["status"] == "completed"
    assert "fourier" in run.folder.name
    assert run.manifest["config"]["parametrisation"] == "fourier"
    assert run.manifest["convention_overrides"].count("parametrisation") == 1


def test_pixels_are_the_default_and_change_nothing() -> None:
    config = compose([*TINY, "parametrisation=pixel"])
    assert config == compose([*TINY])
    assert transfer(CONTENT, [STYLE], config).history == transfer(CONTENT, [STYLE], compose([*TINY])).history


@pytest.mark.parametrize("bounds", ["clip", "project"])
def test_bounds_on_pixels_are_refused_with_the_reason(bounds: str) -> None:
    with pytest.raises(ConfigError, match=rf"optimizer.bounds={bounds}: .* parametrisation=fourier; expected none or"):
        tiny(f"optimizer.bounds={bounds}", "optimizer=adam")


def test_carried_moments_are_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"optimizer.carry_state=true: .* parametrisation=fourier .* expected false"):
        tiny("optimizer.carry_state=true", "optimizer=adam")
