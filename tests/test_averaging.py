"""The average of iterates, pixels kept in bounds, and Adam's moments carried from one scale to the next."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab import compose, transfer
from nst_lab.config.schema import Config, Optimizer
from nst_lab.images.pictures import resize
from nst_lab.losses.objective import Losses
from nst_lab.optimisation.averaging import Average, resize_moments
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Optimisation, Step
from nst_lab.optimisation.scales import at_scale, schedule
from nst_lab.optimisation.synthesis import Synthesis

TINY = ["model=random", "size=32", "layers.content=[relu2_1]", "layers.style=[relu1_1,relu2_1]"]
CROWSON = ["convention=crowson", *TINY, "optimizer.evaluations=9"]
TWO_SCALES = "scales=[{factor: 0.5, share: 5},{factor: 1, share: 4}]"


def picture(height: int, width: int, seed: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


CONTENT, STYLE = picture(24, 40, 0), picture(36, 30, 1)
GOAL = torch.tensor([1.7, -0.5, 0.4], dtype=torch.float64).view(1, 3, 1, 1)
START = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64)


def options(*overrides: str) -> Optimizer:
    return compose(["optimizer=adam", "optimizer.tolerance=0", "optimizer.learning_rate=0.1", *overrides]).optimizer


def towards_goal(image: Tensor) -> Losses:
    total, zero = (image - GOAL).square().sum(), image.new_zeros(())
    return Losses(total, total, zero, zero, {"content/f": total})


def run(*overrides: str, evaluations: int = 12) -> list[Step]:
    return list(Optimisation(towards_goal, START, options(*overrides), evaluations))


def record(config: Config) -> list[Step]:
    return list(Synthesis(Inputs(CONTENT, {"starry_strokes": STYLE}), config))


def test_the_average_is_the_weighted_mean_of_all_pictures() -> None:
    pictures = [picture(3, 4, seed) for seed in range(6)]
    average = Average(0.7, pictures[0])
    assert torch.equal(average.value, pictures[0])
    for each in pictures[1:]:
        average.update(each)
    weights = [0.7 ** (5 - index) for index in range(6)]
    expected = sum(weight * each for weight, each in zip(weights, pictures, strict=True)) / sum(weights)
    torch.testing.assert_close(average.value, expected)


def test_a_run_averages_its_start_and_every_iterate_after_it() -> None:
    steps = run("optimizer.averaging=0.9")
    iterates = [step.image for step in run(evaluations=13)]  # one more evaluates the last iterate
    for count, step in enumerate(steps, start=2):
        weights = [0.9 ** (count - 1 - index) for index in range(count)]
        expected = sum(w * x for w, x in zip(weights, iterates[:count], strict=True)) / sum(weights)
        torch.testing.assert_close(step.average, expected)
        assert torch.equal(step.picture, step.average)


def test_without_averaging_the_result_is_the_last_accepted_picture() -> None:
    last = run()[-1]
    assert last.average is None
    assert torch.equal(last.picture, last.image)


def test_a_picture_that_is_not_finite_does_not_enter_the_average() -> None:
    def breaks(image: Tensor) -> Losses:
        losses = towards_goal(image)
        return losses if image.max() < 0.75 else replace(losses, total=losses.total * torch.inf)

    last = list(Optimisation(breaks, START, options("optimizer.averaging=0.9"), 50))[-1]
    assert last.stop.reason == "not_finite"
    assert last.picture.isfinite().all()


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("unit", [1, 255])
def test_clipping_keeps_every_iterate_in_bounds(name: str, unit: int) -> None:
    rate = 0.1 * unit ** (2 if name == "sgd" else 1)
    scaled = (f"optimizer.name={name}", f"optimizer.pixel_scale={unit}", f"optimizer.learning_rate={rate}")
    assert not all(0 <= step.image.min() <= step.image.max() <= 1 for step in run(*scaled))
    steps = run(*scaled, "optimizer.bounds=clip")
    assert all(0 <= step.image.min() <= step.image.max() <= 1 for step in steps)


def test_clipping_leaves_lbfgs_alone() -> None:
    lbfgs = ("optimizer.name=lbfgs_torch", "optimizer.learning_rate=0.5")
    for free, clipped in zip(run(*lbfgs), run(*lbfgs, "optimizer.bounds=clip"), strict=True):
        assert torch.equal(free.image, clipped.image)


def test_moments_are_resized_and_stay_valid() -> None:
    optimisation = Optimisation(towards_goal, START, options(), 12)
    list(optimisation)
    state = optimisation.optimizer.state_dict()
    larger = resize_moments(state, 5, 7)
    [moments], [before] = larger["state"].values(), state["state"].values()
    assert moments["exp_avg"].shape == moments["exp_avg_sq"].shape == (1, 3, 5, 7)
    assert moments["step"] == before["step"] == 12
    assert moments["exp_avg_sq"].min() >= 0
    torch.testing.assert_close(moments["exp_avg"], F.interpolate(before["exp_avg"], (5, 7), mode="bicubic"))


def test_carried_moments_continue_a_run_as_if_it_had_not_stopped() -> None:
    whole = run(evaluations=12)
    first = Optimisation(towards_goal, START, options(), 7)
    list(first)
    second = Optimisation(towards_goal, whole[7].image, options(), 5, used=7)
    second.optimizer.load_state_dict(resize_moments(first.optimizer.state_dict(), 2, 2))
    for step, expected in zip(second, whole[7:], strict=True):
        torch.testing.assert_close(step.image, expected.image)


def test_a_scale_starts_from_the_average_clipped_with_the_moments_of_the_one_before() -> None:
    steps = record(compose([*CROWSON, TWO_SCALES]))
    assert [step.scale for step in steps] == [0] * 5 + [1] * 4
    start = steps[5].image
    torch.testing.assert_close(start, resize(steps[4].average, 19, 32, clip=True))
    fresh = record(compose([*CROWSON, TWO_SCALES, "optimizer.carry_state=false"]))
    assert torch.equal(fresh[5].image, start)
    # Adam's very first step moves every pixel by the learning rate; one with moments does not.
    inside = (start > 0.1) & (start < 0.9)
    moved = [(each[6].image - start)[inside].abs() for each in (fresh, steps)]
    assert moved[0].median().item() == pytest.approx(0.02, rel=1e-2)
    assert moved[1].median().item() < 0.019


def test_the_result_of_a_transfer_is_the_average() -> None:
    seen: list[Step] = []
    result = transfer(CONTENT, [STYLE], compose(CROWSON), on_step=seen.append)
    assert torch.equal(result.image, seen[-1].average.clamp(0, 1))


def test_a_budget_below_the_number_of_scales_leaves_out_the_coarsest() -> None:
    config = compose(["experiment=peers/crowson", *TINY])
    assert [scale.factor for scale in schedule(config)] == pytest.approx([0.25, 0.125**0.5, 0.5, 0.5**0.5, 1])
    single = compose(["experiment=peers/crowson", *TINY, "optimizer.evaluations=1"])
    steps = record(single)
    assert [(step.scale, step.image.shape[-1], step.last) for step in steps] == [(0, 32, True)]


def test_crowsons_sizes_are_its_pyramids() -> None:
    config = compose(["experiment=peers/crowson"])
    square = Inputs(picture(600, 600, 0), {})
    config.loss.style_weight = 0.0
    sizes = [at_scale(square, config, scale.factor)[2] for scale in schedule(config)]
    assert sizes == [(128, 128), (181, 181), (256, 256), (362, 362), (512, 512)]


@pytest.mark.parametrize(("size", "expected"), [(20, (20, 17)), (36, (36, 30)), (100, (36, 30))])
def test_without_upscaling_a_small_style_keeps_its_size(size: int, expected: tuple[int, int]) -> None:
    config = compose([*CROWSON, f"style.size={size}"])
    _, styles, result = at_scale(Inputs(CONTENT, {"starry_strokes": STYLE}), config, 1.0)
    assert tuple(styles["starry_strokes"].shape[-2:]) == expected
    assert result == (19, 32)  # the content may be enlarged
