"""Our L-BFGS: torch's trajectory where no safeguard acts, every picture of a batch for itself, the leap."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nst_lab import compose, load_image, transfer
from nst_lab.errors import ConfigError
from nst_lab.losses.objective import Losses
from nst_lab.optimisation.bounds import BoundedLBFGS, Box
from nst_lab.optimisation.lbfgs import LBFGS, step_as_batch
from nst_lab.optimisation.optimize import Optimisation
from nst_lab.optimisation.pairs import Pairs

N, STEPS = 24, 14
CURVATURES = torch.logspace(0, 0.5, N, dtype=torch.float64).view(1, 3, 2, 4)


def quadratic(image: Tensor) -> Tensor:
    """One loss for each picture, condition number 3, minimum 0 at 0.3."""
    return (CURVATURES * (image - 0.3).square()).flatten(1).sum(1) / 2


def optimizer(start: Tensor, history: int = 5, **more) -> LBFGS:
    given = {"learning_rate": 1.0, "history": history, "pixel_range": 1.0} | more
    return LBFGS(start.clone().requires_grad_(), **given)


def trajectory(made: LBFGS, function: Callable[[Tensor], Tensor], steps: int) -> list[Tensor]:
    """The pictures evaluated."""
    seen = []

    def closure() -> Tensor:
        made.variable.grad = None
        seen.append(made.variable.detach().clone())
        losses = function(made.variable)
        losses.sum().backward()
        return losses

    for _ in range(steps):
        made.step(closure)
    return seen


@pytest.mark.parametrize("history", [1, 3, 30])
def test_the_trajectory_is_torchs_where_no_safeguard_acts(history):
    """On a mild quadratic full steps lower the loss; both then differ in nothing but the length of the first step.

    Large losses, for torch's least curvature is an absolute one.
    """

    def function(image: Tensor) -> Tensor:
        return 1e10 * quadratic(image)

    start = 0.3 + 0.1 * torch.randn(1, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = trajectory(optimizer(start, history), function, STEPS)
    losses = [function(picture).item() for picture in ours]
    assert losses == sorted(losses, reverse=True)  # none was rejected
    variable = start.clone().requires_grad_()
    gradient = torch.autograd.grad(function(variable).sum(), variable)[0]
    first_step = ((ours[1] - ours[0]).norm() / gradient.norm()).item()
    rate = first_step / min(1.0, 1 / gradient.abs().sum().item())
    theirs: list[Tensor] = []
    own = {"max_iter": 1, "history_size": history, "tolerance_grad": 0, "tolerance_change": 0}
    reference = torch.optim.LBFGS([variable], lr=rate, **own)

    def closure() -> Tensor:
        theirs.append(variable.detach().clone())
        reference.zero_grad()
        loss = function(variable).sum()
        loss.backward()
        return loss

    for index in range(STEPS):
        reference.step(closure)
        if index == 0:
            reference.param_groups[0]["lr"] = 1.0
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert (ours[-1] - 0.3).abs().max() < 1e-3 * (ours[0] - 0.3).abs().max()


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9), st.booleans(), st.sampled_from(["newest", "greatest"])
)
def test_the_direction_is_that_of_the_two_loop_recursion(
    seed: int, history: int, pairs: int, preconditioned: bool, scaling: str
):
    random = torch.Generator().manual_seed(seed)
    matrix = torch.randn(N, N, dtype=torch.float64, generator=random)
    hessian = matrix @ matrix.mT + torch.eye(N, dtype=torch.float64)
    moves = torch.randn(pairs, N, dtype=torch.float64, generator=random)
    gradient = torch.randn(N, dtype=torch.float64, generator=random)
    first = 0.1 + torch.rand(N, dtype=torch.float64, generator=random) if preconditioned else torch.ones(N).double()
    memory = Pairs(torch.zeros(1, N, dtype=torch.float64), history, first if preconditioned else None, scaling)
    for move in moves:
        memory.add(move[None], (hessian @ move)[None], wanted=torch.tensor([True]))
    found, told = memory.direction(gradient[None])
    assert told.item()
    kept = [(move, hessian @ move) for move in moves[-history:]]
    direction, shares = -gradient, []
    for move, change in reversed(kept):
        shares.append(move.dot(direction) / move.dot(change))
        direction = direction - shares[-1] * change
    ratios = [move.dot(change) / change.dot(first * change) for move, change in kept]
    direction = first * direction * (ratios[-1] if scaling == "newest" else max(ratios))
    for (move, change), share in zip(kept, reversed(shares), strict=True):
        direction = direction + (share - change.dot(direction) / move.dot(change)) * move
    torch.testing.assert_close(found[0], direction, rtol=1e-6, atol=1e-8)


def test_the_greatest_scaling_saves_evaluations():
    """Real weights."""
    pictures = load_image("chelsea"), [load_image("starry_strokes")]
    best = {}
    for scaling in ("newest", "greatest"):
        run = ["size=64", "size_rule=exact", "device=cpu", "init=noise", "init.noise_std=0.25"]
        config = compose([*run, "optimizer.evaluations=50", f"optimizer.scaling={scaling}"])
        best[scaling] = min(transfer(*pictures, config).history)
    assert best["greatest"] < 0.96 * best["newest"]


def test_a_wrong_scaling_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer.scaling=oldest: expected one of newest, greatest"):
        compose(["optimizer.scaling=oldest"])


@pytest.mark.parametrize("kind", [LBFGS, BoundedLBFGS])
def test_a_preconditioner_is_a_change_of_the_variable(kind):
    """L-BFGS of x from P goes as that of P^-1/2 x goes from the identity, whatever the curvature."""
    random = torch.Generator().manual_seed(5)
    start = 0.3 + 0.3 * torch.rand(1, 3, 2, 4, dtype=torch.float64, generator=random)
    roots = torch.logspace(-0.5, 0.5, N, dtype=torch.float64)[torch.randperm(N, generator=random)].view_as(start)

    def made(begin: Tensor, scale: Tensor | float, **more) -> LBFGS:
        given = {"learning_rate": 1.0, "history": 4, "pixel_range": 1.0} | more
        if kind is BoundedLBFGS:
            given["box"] = Box(0.1 / scale * torch.ones_like(start), 0.5 / scale * torch.ones_like(start))
        return kind((begin / scale).requires_grad_(), **given)

    ours = trajectory(made(start, 1.0, preconditioner=roots.square()), quadratic, 25)
    theirs = trajectory(made(start, roots, picture=lambda change: change * roots), lambda z: quadratic(roots * z), 25)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, roots * other, rtol=1e-6, atol=1e-9)
    assert quadratic(ours[-1]) < 1e-3 * quadratic(ours[0])


@pytest.mark.parametrize("room", [3, 6, 9])
def test_what_is_known_is_recalled_with_the_same_direction(room):
    random = torch.Generator().manual_seed(1)
    pairs, gradient = Pairs(torch.zeros(1, N, dtype=torch.float64), 6), torch.randn(1, N, generator=random).double()
    moves = torch.randn(8, 1, N, generator=random).double()
    for move in moves:
        pairs.add(move, move * CURVATURES.flatten(), torch.tensor([True]))
    known = pairs.known(torch.float64)
    torch.testing.assert_close(known[0], moves[-6:, 0], rtol=0, atol=0)  # the ring was filled more than once
    other = Pairs(torch.zeros(1, N, dtype=torch.float64), room)
    flat = torch.zeros(1, N, dtype=torch.float64)
    other.recall(*(torch.cat([flat, each, flat]) for each in known))  # what says nothing of the curvature is left out
    assert other.count.item() == min(room, 6)
    last = Pairs(torch.zeros(1, N, dtype=torch.float64), min(room, 6))
    for move in (*moves, moves[0]):
        last.add(move, move * CURVATURES.flatten(), torch.tensor([True]))
    other.add(moves[0], moves[0] * CURVATURES.flatten(), torch.tensor([True]))
    if room <= 6:
        torch.testing.assert_close(other.direction(gradient), last.direction(gradient))
    else:
        assert other.count.item() == 7
    empty = Pairs(torch.zeros(1, N, dtype=torch.float64), room)
    empty.recall(*Pairs(torch.zeros(1, N, dtype=torch.float64), 6).known(torch.float64))
    assert not empty.direction(gradient)[1]


def test_a_pair_without_positive_curvature_is_not_kept():
    memory = Pairs(torch.zeros(2, N, dtype=torch.float64), 3)
    move = torch.ones(2, N, dtype=torch.float64)
    memory.add(move, torch.stack([move[0], -move[0]]), wanted=torch.tensor([True, True]))
    assert memory.count.tolist() == [1, 0]
    direction, told = memory.direction(2 * move)
    assert told.tolist() == [True, False]
    assert torch.equal(direction[1], -2 * move[1])


def rosenbrock(image: Tensor) -> Tensor:
    x = image.flatten(1)
    return (100 * (x[:, 1:] - x[:, :-1].square()).square() + (1 - x[:, :-1]).square()).sum(1)


def test_every_picture_of_a_batch_goes_its_own_way():
    starts = torch.rand(4, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    batch = optimizer(starts, learning_rate=3.0)  # eager enough for pictures to be rejected at different steps
    rejected = []

    def function(images: Tensor) -> Tensor:
        rejected.append(batch.rejected.tolist())
        return rosenbrock(images)

    together = trajectory(batch, function, 60)
    assert any(len(set(each)) == 2 for each in rejected)
    for index in range(len(starts)):
        alone = trajectory(optimizer(starts[index : index + 1], learning_rate=3.0), rosenbrock, 60)
        for one, many in zip(alone[:30], together[:30], strict=True):
            torch.testing.assert_close(many[index : index + 1], one, rtol=1e-7, atol=1e-9)
        assert rosenbrock(alone[-1]) < 0.5 * rosenbrock(alone[0])


def in_a_box(start: Tensor, high: float) -> LBFGS:
    box = Box.unit(start).map(lambda end: end * high)
    return BoundedLBFGS(
        box.project(start).requires_grad_(), learning_rate=3.0, history=5, pixel_range=1.0, box=box, leap=start * 0.7
    )


@pytest.mark.parametrize("bounded", [False, True])
def test_optimisers_that_step_as_a_batch_go_as_they_do_alone_whoever_comes_and_leaves(bounded):
    starts = torch.rand(4, 1, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def made() -> list[LBFGS]:
        if bounded:
            return [in_a_box(start, 0.6 + 0.1 * index) for index, start in enumerate(starts)]
        return [optimizer(start, learning_rate=3.0) for start in starts]

    def evaluated(each: LBFGS) -> Tensor:
        each.variable.grad = None
        loss = rosenbrock(each.variable)[0]
        loss.backward()
        return loss

    together, alone, steps, wholes = made(), made(), [0] * 4, []
    for group in [[0, 1, 2]] * 5 + [[2, 0]] * 5 + [[0], [2]] + [[3]] * 8 + [[0, 2, 3], [3, 0, 2]] + [[0, 2, 3]] * 4:
        several = [together[index] for index in group]
        assert len({each.kind for each in several}) == 1
        step_as_batch(several, [evaluated(each) for each in several])
        wholes.append(several[0].whole)
        assert wholes[-1].whole is None  # no earlier batch is held on to
        for index in group:
            alone[index].step(lambda index=index: evaluated(alone[index]))
            steps[index] += 1
            torch.testing.assert_close(together[index].variable, alone[index].variable, rtol=1e-7, atol=1e-9)
            assert torch.equal(together[index].rejected, alone[index].rejected)
        for each in several:
            held = [value for value in each.state_dict().values() if isinstance(value, Tensor)]
            assert all(value.untyped_storage().nbytes() == value.nbytes for value in held)  # not the others' too
    assert steps == [17, 5, 17, 14]
    assert len(set(map(id, wholes[:5]))) == len(set(map(id, wholes[5:10]))) == 1  # joined once


def test_what_steps_together_is_of_one_kind():
    start = torch.rand(1, 3, 2, 4, dtype=torch.float64)
    begun = optimizer(start)
    trajectory(begun, rosenbrock, 1)
    different = [
        optimizer(start), optimizer(start, history=6), optimizer(start, learning_rate=0.5), optimizer(start.float()),
        optimizer(start, pixel_range=255.0), optimizer(start, leap=start), optimizer(start[..., :2]),
        optimizer(start, scaling="greatest"), in_a_box(start, 1), begun,
    ]  # fmt: skip
    assert len({each.kind for each in different}) == len(different)
    assert optimizer(start).kind == optimizer(start + 1).kind


@pytest.mark.parametrize("better", [True, False])
def test_a_leap_is_where_the_run_goes_on_if_its_loss_is_lower(better):
    start = torch.full((1, 3, 2, 4), 0.5, dtype=torch.float64)
    leap = torch.full_like(start, 0.35 if better else 0.9)
    seen = trajectory(optimizer(start, leap=leap), quadratic, 12)
    assert torch.equal(seen[0], start)
    assert torch.equal(seen[1], leap)
    origin = leap if better else start
    step = seen[2] - origin
    assert step.square().mean().sqrt().item() == pytest.approx(0.01)  # the first step along the gradient, from there
    gradient = CURVATURES * (origin - 0.3)
    torch.testing.assert_close(step / step.norm(), -gradient / gradient.norm())
    assert quadratic(seen[-1]) < quadratic(origin)


def test_another_loss_is_not_compared_with_the_one_before():
    start = torch.rand(1, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    made = optimizer(start)
    trajectory(made, quadratic, 5)
    made.begin_anew()
    there = made.variable.detach().clone()
    pairs = made.pairs.count.clone()
    [seen] = trajectory(made, lambda images: 1e6 + rosenbrock(images), 1)
    assert torch.equal(seen, there)
    assert not made.rejected.any()
    assert torch.equal(made.position.view_as(there), there)
    assert torch.equal(made.pairs.count, pairs)  # the change of the gradient says nothing of the curvature


def test_a_state_is_taken_up_to_the_last_bit_and_is_as_small_as_its_pairs():
    start = torch.rand(2, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    made = optimizer(start, history=50)
    trajectory(made, rosenbrock, 7)
    state = made.state_dict()
    assert state["pairs"]["moves"].shape[1] <= 6
    state = {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
    other = optimizer(made.variable.detach(), history=50)
    other.load_state_dict(state)
    for one, same in zip(trajectory(made, rosenbrock, 9), trajectory(other, rosenbrock, 9), strict=True):
        assert torch.equal(one, same)


def test_the_loop_waits_for_the_device_once_an_evaluation(monkeypatch):
    """Every way from a tensor to a number of Python's; the optimiser itself needs none."""
    waits = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__"):
        original = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda self, _o=original, _n=name: (waits.append(_n), _o(self))[1])

    def objective(image: Tensor) -> Losses:
        total, zero = rosenbrock(image)[0], image.new_zeros(())
        return Losses(total, total, zero, zero, {"content/f": total})

    options = replace(compose([]).optimizer, tolerance=0.0, window=10**6)
    optimisation = Optimisation(objective, torch.full((1, 3, 2, 4), 0.5), options, 20)
    for _ in range(20):
        waits.clear()
        optimisation.step()
        assert waits == ["tolist"]
