"""The loop and its optimisers: exact counts, known trajectories, minima, reasons for stopping."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nst_lab import compose, transfer
from nst_lab.config.schema import Optimizer
from nst_lab.losses.objective import Losses
from nst_lab.optimisation.optimize import OPTIMIZERS, Optimisation, Step

ENDLESS = {"tolerance": 0.0, "window": 10**6}


def options(name: str, **changes: object) -> Optimizer:
    return replace(compose([f"optimizer={name}"]).optimizer, **ENDLESS | changes)


def as_losses(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Losses]:
    def objective(image: Tensor) -> Losses:
        total, zero = function(image), image.new_zeros(())
        return Losses(total, total, zero, zero, {"content/f": total})

    return objective


CURVATURES = torch.logspace(0, 4, 12, dtype=torch.float64).view(1, 3, 2, 2)
MINIMUM = torch.linspace(0.1, 0.9, 12, dtype=torch.float64).view(1, 3, 2, 2)


def quadratic(image: Tensor) -> Tensor:
    """Condition number 1e4, minimum 0 at MINIMUM."""
    return (CURVATURES * (image - MINIMUM).square()).sum() / 2


def rosenbrock(image: Tensor) -> Tensor:
    """The chained valley of Rosenbrock in twelve dimensions, minimum 0 at ones."""
    x = image.flatten()
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


FUNCTIONS = {"quadratic": quadratic, "rosenbrock": rosenbrock}
START = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64) - 0.1 * MINIMUM


def run(function: Callable[[Tensor], Tensor], evaluations: int, settings: Optimizer) -> list[Step]:
    return list(Optimisation(as_losses(function), START, settings, evaluations))


@pytest.mark.parametrize("budget", [1, 2, 17])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_budget_of_n_is_n_evaluations_and_n_steps(name: str, budget: int) -> None:
    seen = []

    def counted(image: Tensor) -> Tensor:
        seen.append(image.detach().clone())
        return quadratic(image)

    steps = run(counted, budget, options(name, learning_rate=1e-3))
    assert len(seen) == budget
    assert [step.evaluation for step in steps] == list(range(1, budget + 1))
    assert [step.stop and step.stop.reason for step in steps] == [None] * (budget - 1) + ["budget"]
    for step, image in zip(steps, seen, strict=True):
        assert torch.equal(step.image, image)
        assert step.losses.total.item() == quadratic(image).item()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_the_start_and_the_start_is_left_alone(name: str) -> None:
    before = START.clone()
    first = run(rosenbrock, 3, options(name, learning_rate=1e-3))[0]
    assert torch.equal(first.image, START)
    assert torch.equal(START, before)
    gradient = torch.autograd.functional.jacobian(rosenbrock, START)
    assert first.gradient_norm.item() == pytest.approx(gradient.norm().item())


@pytest.mark.parametrize("name", ["quadratic", "rosenbrock"])
def test_lbfgs_torch_evaluates_the_points_of_torchs_lbfgs_with_its_default_step(name: str) -> None:
    function, points, variable = FUNCTIONS[name], [], START.clone().requires_grad_()
    reference = torch.optim.LBFGS([variable], lr=0.5, history_size=7)

    def closure() -> Tensor:
        points.append(variable.detach().clone())
        reference.zero_grad()
        loss = function(variable)
        loss.backward()
        return loss

    for _ in range(3):
        reference.step(closure)
    assert len(points) == 60  # three steps of max_iter=20
    steps = run(function, 60, options("lbfgs_torch", learning_rate=0.5, history=7))
    for step, point in zip(steps, points, strict=True):
        assert torch.equal(step.image, point)


@pytest.mark.parametrize("name", ["quadratic", "rosenbrock"])
def test_lbfgs_reaches_the_minimum(name: str) -> None:
    steps = run(FUNCTIONS[name], 400, options("lbfgs", history=20))
    accepted = [step for step in steps if step.accepted]
    assert accepted[-1].losses.total.item() < 1e-20 * steps[0].losses.total.item()
    minimum = MINIMUM if name == "quadratic" else torch.ones_like(MINIMUM)
    torch.testing.assert_close(accepted[-1].image, minimum, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["quadratic", "rosenbrock"])
@pytest.mark.parametrize("learning_rate", [1, 4])
def test_accepted_losses_of_lbfgs_never_rise_and_rejected_ones_are_above(name: str, learning_rate: float) -> None:
    steps = run(FUNCTIONS[name], 150, options("lbfgs", learning_rate=learning_rate))
    best, rejected = float("inf"), 0
    for step in steps:
        total = step.losses.total.item()
        if step.accepted:
            assert total <= best
            best = total
        else:
            rejected += 1
            assert total > best * (1 - 1e-3)  # not the decrease that the slope promised
    if learning_rate == 4:
        assert rejected > 0


def test_steps_of_lbfgs_are_bounded_per_pixel() -> None:
    steps = [step for step in run(rosenbrock, 60, options("lbfgs")) if step.accepted]
    moves = [(b.image - a.image).square().mean().sqrt().item() for a, b in pairwise(steps)]
    assert moves[0] == pytest.approx(0.01)
    assert max(moves) <= 0.25 + 1e-9


@pytest.mark.parametrize("factor", [2.0**20, 1e6, 1e-6])
@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_lbfgs_does_not_depend_on_the_scale_of_the_loss(function: Callable[[Tensor], Tensor], factor: float) -> None:
    plain = run(function, 40, options("lbfgs"))
    scaled = run(lambda image: factor * function(image), 40, options("lbfgs"))
    tolerance = 0 if factor == 2.0**20 else 1e-6
    for a, b in zip(plain, scaled, strict=True):
        assert a.accepted == b.accepted
        torch.testing.assert_close(b.image, a.image, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_a_finished_run_has_lowered_the_loss(name: str) -> None:
    steps = run(quadratic, 100, options(name, learning_rate=1 if name == "lbfgs" else 0.05))
    assert steps[-1].losses.total < 0.01 * steps[0].losses.total


def last_stop(function: Callable[[Tensor], Tensor], evaluations: int, settings: Optimizer) -> tuple[int, str, str]:
    last = run(function, evaluations, settings)[-1]
    return last.evaluation, last.stop.reason, last.stop.detail


def test_a_zero_gradient_has_converged() -> None:
    assert last_stop(lambda image: (image - START).square().sum(), 50, options("lbfgs"))[:2] == (1, "converged")


def test_a_small_relative_gain_has_converged_whatever_the_scale() -> None:
    for factor in (1.0, 1e-12, 1e12):
        settings = options("sgd", learning_rate=1e-8 / factor, momentum=0.0, tolerance=1e-2, window=5)
        evaluation, reason, detail = last_stop(lambda image, k=factor: k * quadratic(image), 50, settings)
        assert (evaluation, reason) == (6, "converged")
        assert "0.01" in detail


def test_a_large_relative_gain_goes_on_to_the_end_of_the_budget() -> None:
    settings = options("sgd", learning_rate=1e-4, momentum=0.0, tolerance=1e-2, window=5)
    assert last_stop(quadratic, 20, settings) == (20, "budget", "all 20 evaluations used")


def test_no_new_best_in_the_window_has_stalled() -> None:
    settings = options("sgd", learning_rate=2.0, momentum=0.0, window=5)  # jumps from side to side for ever
    evaluation, reason, _ = last_stop(lambda image: (image - 1).square().sum() / 2, 50, settings)
    assert (evaluation, reason) == (6, "stalled")


def test_an_optimiser_that_no_longer_moves_has_stalled() -> None:
    assert last_stop(quadratic, 50, options("sgd", learning_rate=1e-30))[:2] == (1, "stalled")


def test_a_term_that_is_not_finite_is_named_with_its_evaluation() -> None:
    def breaks_at_the_third(image: Tensor) -> Tensor:
        calls.append(1)
        return quadratic(image) * (float("nan") if len(calls) == 3 else 1)

    for name in OPTIMIZERS:
        calls: list[int] = []
        steps = run(breaks_at_the_third, 10, options(name, learning_rate=1e-3))
        assert [step.accepted for step in steps][0::2] == [True, False]
        assert steps[-1].stop.reason == "not_finite"
        assert steps[-1].stop.detail == "content/f is nan at evaluation 3"


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_huge_learning_rate_on_a_real_objective_ends_as_not_finite_with_the_last_good_picture(name: str) -> None:
    network = ["model.weights=random", "model.normalized=false", "layers.content=[relu1_1]", "layers.style=[relu1_1]"]
    config = compose([f"optimizer={name}", "optimizer.learning_rate=1e30", "size=32", *network])
    content, style = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(k)) for k in range(2))
    result = transfer(content, [style], config)
    assert (result.stop.reason, result.evaluations) == ("not_finite", 2)
    assert result.stop.detail.endswith("at evaluation 2")
    assert result.stop.detail.split(" is ")[0] in ("content/relu1_1", "style/starry_strokes/relu1_1")
    assert torch.equal(result.image, content)
    assert result.losses["total"] == result.history[0]


def distance_to_a_fifth(image: Tensor) -> Tensor:
    return (image - 0.2).square().sum() / 2


def test_straight_through_evaluates_the_clipped_picture_and_lets_the_gradient_pass() -> None:
    settings = options("sgd", learning_rate=0.25, momentum=0.0, bounds="straight_through")
    start = torch.tensor([1.5, -0.5, 0.6]).view(1, 3, 1, 1)
    steps = list(Optimisation(as_losses(distance_to_a_fifth), start, settings, 4))
    # 1.5 sees the gradient at 1, which is 0.8: 1.5, 1.3, 1.1, 0.9; -0.5 sees the one at 0, which is -0.2
    seen = torch.stack([step.image.flatten() for step in steps])
    torch.testing.assert_close(seen[:, 0], torch.tensor([1.0, 1.0, 1.0, 0.9]))
    torch.testing.assert_close(seen[:, 1], torch.zeros(4))
    assert [step.losses.total.item() for step in steps] == [distance_to_a_fifth(step.image).item() for step in steps]


def test_without_bounds_the_picture_is_evaluated_as_it_is() -> None:
    start = torch.tensor([1.5, -0.5, 0.6]).view(1, 3, 1, 1)
    settings = options("sgd", learning_rate=0.25, momentum=0.0, bounds="none")
    first, second = Optimisation(as_losses(distance_to_a_fifth), start, settings, 2)
    assert torch.equal(first.image, start)
    torch.testing.assert_close(second.image, start - 0.25 * (start - 0.2))


def test_the_learning_rate_is_in_units_of_the_pixel_scale() -> None:
    adam = run(quadratic, 2, options("adam", learning_rate=10.0, pixel_scale=255.0))
    moved = adam[1].image - adam[0].image
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 10 / 255), rtol=1e-4, atol=0)
    sgd = run(quadratic, 2, options("sgd", learning_rate=1e-3, momentum=0.0, pixel_scale=255.0))
    gradient = CURVATURES * (START - MINIMUM)
    torch.testing.assert_close(sgd[1].image, START - 1e-3 * gradient / 255**2)
    assert sgd[0].gradient_norm.item() == pytest.approx(gradient.norm().item())  # of the picture in [0, 1]


def test_lbfgs_does_not_depend_on_the_pixel_scale() -> None:
    one, many = (run(rosenbrock, 40, options("lbfgs", pixel_scale=scale)) for scale in (1.0, 255.0))
    for a, b in zip(one, many, strict=True):
        torch.testing.assert_close(b.image, a.image, rtol=1e-6, atol=1e-6)
