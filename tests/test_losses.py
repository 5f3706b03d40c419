"""The terms of the loss against values computed by hand and against their gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nst_lab.losses.terms import gram_matrix, revival, squared_error, total_variation

DIVISORS = ("positions", "channels_positions", "none")
seeds = st.integers(0, 2**31)
sides = st.integers(1, 7)


def random_features(channels: int, height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("divisor", "expected"), [("positions", 1), ("channels_positions", 1 / 3), ("none", 8)])
def test_gram_of_ones(divisor: str, expected: float) -> None:
    gram = gram_matrix(torch.ones(1, 3, 2, 4), divisor)
    torch.testing.assert_close(gram, torch.full((1, 3, 3), float(expected)))


@pytest.mark.parametrize(("divisor", "scale"), [("positions", 4), ("channels_positions", 8), ("none", 1)])
def test_gram_of_two_channels_by_hand(divisor: str, scale: float) -> None:
    features = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, -1.0], [2.0, 0.5]]]).unsqueeze(0)
    expected = torch.tensor([[[30.0, 6.0], [6.0, 5.25]]]) / scale  # 1+4+9+16, 0-2+6+2, 0+1+4+0.25
    torch.testing.assert_close(gram_matrix(features, divisor), expected)


def test_gram_of_a_batch_is_each_pictures_own() -> None:
    features = torch.cat([random_features(3, 4, 5, seed) for seed in (0, 1)])
    expected = torch.cat([gram_matrix(one[None], "positions") for one in features])
    torch.testing.assert_close(gram_matrix(features, "positions"), expected)


@settings(deadline=None)
@given(st.integers(1, 6), sides, sides, seeds, st.sampled_from(DIVISORS))
def test_gram_is_symmetric_positive_semidefinite(
    channels: int, height: int, width: int, seed: int, divisor: str
) -> None:
    gram = gram_matrix(random_features(channels, height, width, seed), divisor)[0]
    assert gram.shape == (channels, channels)
    torch.testing.assert_close(gram, gram.T)
    assert torch.linalg.eigvalsh(gram).min() >= -1e-12 * gram.trace()


@settings(deadline=None)
@given(st.integers(1, 6), sides, sides, seeds, st.sampled_from(DIVISORS))
def test_gram_does_not_know_where_things_are(channels: int, height: int, width: int, seed: int, divisor: str) -> None:
    features = random_features(channels, height, width, seed)
    order = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed))
    shuffled = features.flatten(2)[:, :, order].view_as(features)
    torch.testing.assert_close(gram_matrix(shuffled, divisor), gram_matrix(features, divisor))


@settings(deadline=None)
@given(sides, sides, seeds)
def test_gram_per_position_does_not_know_the_size_of_a_repeated_texture(height: int, width: int, seed: int) -> None:
    features = random_features(3, height, width, seed)
    torch.testing.assert_close(gram_matrix(features.tile(1, 1, 2, 3)), gram_matrix(features))


@pytest.mark.parametrize(("reduction", "expected"), [("mean", 3.5), ("sum", 14.0)])
def test_squared_error_by_hand(reduction: str, expected: float) -> None:
    value, target = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert squared_error(value, target, reduction).item() == expected
    assert squared_error(target, value, reduction).item() == expected
    assert squared_error(value, value, reduction).item() == 0


FORMS = [(form, reduction) for form in ("l1", "squared") for reduction in ("mean", "sum")]


@pytest.mark.parametrize(("form", "reduction"), FORMS)
def test_total_variation_of_a_constant_is_zero(form: str, reduction: str) -> None:
    assert total_variation(torch.full((1, 3, 5, 4), 0.7), form, reduction).item() == 0


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.floats(0.01, 1), st.sampled_from(FORMS))
def test_total_variation_of_a_checkerboard(height: int, width: int, contrast: float, kind: tuple[str, str]) -> None:
    form, reduction = kind
    board = (torch.arange(height)[:, None] + torch.arange(width)) % 2
    image = (contrast * board.double()).expand(1, 3, height, width)
    neighbours = 3 * (height * (width - 1) + (height - 1) * width)
    step = contrast if form == "l1" else contrast**2
    expected = step * (2 if reduction == "mean" else neighbours)
    assert math.isclose(total_variation(image, form, reduction).item(), expected, rel_tol=1e-9)


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.25]]).expand(1, 3, 2, 3)
    # to the right 0.5, 0, 1, 0.25 and down 1, 0.5, 0.25
    assert total_variation(image, "l1", "sum").item() == pytest.approx(3 * (1.75 + 1.75))
    assert total_variation(image, "l1", "mean").item() == pytest.approx(1.75 / 4 + 1.75 / 3)
    assert total_variation(image, "squared", "sum").item() == pytest.approx(3 * (1.3125 + 1.3125))
    assert total_variation(image, "squared", "mean").item() == pytest.approx(1.3125 / 4 + 1.3125 / 3)


@pytest.mark.parametrize(("form", "reduction"), FORMS)
@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_a_picture_one_pixel_wide_has_the_variation_of_its_length(
    shape: tuple[int, int], form: str, reduction: str
) -> None:
    line = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0]).view(1, 1, *shape).expand(1, 3, *shape)
    assert total_variation(line, form, reduction).item() == (0.5 if reduction == "mean" else 6)


@pytest.mark.parametrize(("form", "reduction"), FORMS)
def test_a_single_pixel_has_no_variation_and_a_finite_gradient(form: str, reduction: str) -> None:
    pixel = torch.rand(1, 3, 1, 1, requires_grad=True)
    variation = total_variation(pixel, form, reduction)
    assert variation.item() == 0
    (variation + 0 * pixel.sum()).backward()
    assert pixel.grad.isfinite().all()


@pytest.mark.parametrize("divisor", DIVISORS)
def test_gradient_of_the_gram_matrix(divisor: str) -> None:
    features = random_features(3, 2, 4, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gram_matrix(x, divisor), features)


ISOTROPIC = [("l2", 1.0), ("power", 1.0), ("power", 1.5), ("power", 2.0), ("power", 3.0)]


def test_a_gradient_in_bfloat16_is_that_gradient_rounded():
    features = torch.rand(2, 16, 9, 7, generator=torch.Generator().manual_seed(0)).bfloat16().float().requires_grad_()
    target = torch.eye(16)
    values, gradients = [], []
    for kind in (None, torch.bfloat16):
        value = (gram_matrix(features, "positions", kind) - target).square().sum()
        values.append(value.item())
        gradients.append(torch.autograd.grad(value, features)[0])
    assert values[0] == values[1]
    assert gradients[1].dtype == torch.float32
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=0.01 * gradients[0].abs().max().item())
    assert not torch.equal(*gradients)


@pytest.mark.parametrize(("form", "exponent"), ISOTROPIC)
def test_the_isotropic_forms_by_hand(form: str, exponent: float) -> None:
    image = torch.tensor([[0.0, 3.0], [4.0, 4.0]], dtype=torch.float64).view(1, 1, 2, 2)
    # differences to the right and down: (3, 4) and (0, 1) above, (0, 0) and (0, 0) below
    expected = 5**exponent + 1
    assert total_variation(image, form, "sum", exponent).item() == pytest.approx(expected)
    assert total_variation(image, form, "mean", exponent).item() == pytest.approx(expected / 4)


@settings(deadline=None)
@given(sides, sides, seeds)
def test_the_power_of_two_is_the_squared_sum_and_that_of_one_the_root(height: int, width: int, seed: int) -> None:
    image = random_features(3, height, width, seed)
    squared = total_variation(image, "squared", "sum")
    torch.testing.assert_close(total_variation(image, "power", "sum", 2), squared)
    root = total_variation(image, "l2", "sum")
    torch.testing.assert_close(total_variation(image, "power", "sum", 1), root)
    assert root - 1e-9 <= total_variation(image, "l1", "sum") <= math.sqrt(2) * root + 1e-9  # √(a² + b²) ≤ |a| + |b|


def test_an_edge_costs_the_isotropic_form_its_length() -> None:
    """Of a step along the rising diagonal the anisotropic form counts both legs."""
    step = (torch.arange(40)[:, None] + torch.arange(40) >= 40).double().view(1, 1, 40, 40)
    isotropic, anisotropic = (total_variation(step, form, "sum").item() for form in ("l2", "l1"))
    assert anisotropic == 2 * 38 + 2
    assert isotropic == pytest.approx(math.sqrt(2) * 38 + 2)  # at the border one of the two neighbours is missing


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("form", "exponent"), ISOTROPIC)
def test_gradient_of_the_isotropic_forms(form: str, exponent: float, reduction: str) -> None:
    image = random_features(3, 4, 5, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: total_variation(x, form, reduction, exponent), image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 6)])
@pytest.mark.parametrize("step", [0.0, 1e-30, 1e-20])
@pytest.mark.parametrize(("form", "exponent"), ISOTROPIC)
def test_the_isotropic_forms_have_a_finite_gradient_on_flat_pictures(
    form: str, exponent: float, step: float, shape: tuple[int, int]
) -> None:
    image = torch.zeros(1, 3, *shape)
    image[..., -1, -1] = step
    image.requires_grad_()
    value = total_variation(image, form, "sum", exponent)
    value.backward()
    assert value.isfinite()
    assert image.grad.abs().max() <= (2.001 if step else 0)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_of_the_squared_error(reduction: str) -> None:
    value, target = random_features(3, 2, 4, 0).requires_grad_(), random_features(3, 2, 4, 1)
    assert torch.autograd.gradcheck(lambda x: squared_error(x, target, reduction), value)


@pytest.mark.parametrize(("form", "reduction"), FORMS)
def test_gradient_of_the_total_variation(form: str, reduction: str) -> None:
    image = random_features(3, 4, 5, 0).requires_grad_()  # no two neighbours are equal, so |d| is smooth here
    assert torch.autograd.gradcheck(lambda x: total_variation(x, form, reduction), image)


def test_the_nine_point_form_by_its_stencil() -> None:
    """⅔ of each straight and ⅙ of each diagonal difference; the border's replicas add to the diagonals."""
    spot = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    spot[0, 0, 2, 2] = 3.0
    assert total_variation(spot, "nine_point", "sum").item() == pytest.approx(9 * (4 * 2 / 3 + 4 / 6))
    assert total_variation(torch.full((1, 3, 4, 6), 0.7), "nine_point", "mean").item() == 0
    corner = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    corner[0, 0, 0, 0] = 1.0
    # Of the diagonals one lies inside and four join the corner, or a replica of it, to another pixel's replica.
    assert total_variation(corner, "nine_point", "sum").item() == pytest.approx(2 * 2 / 3 + 5 / 6)


def test_the_squared_gradient_form_takes_pairs_where_both_neighbours_exist() -> None:
    image = torch.arange(12, dtype=torch.float64).view(1, 1, 3, 4).square()
    block = image[..., :-1, :-1]
    right, lower = image[..., :-1, 1:] - block, image[..., 1:, :-1] - block
    expected = (right.square() + lower.square()).sum().item() / 2
    assert total_variation(image, "squared_gradient", "sum").item() == pytest.approx(expected)


@settings(deadline=None)
@given(sides, sides, seeds, st.sampled_from(["mean", "sum"]))
def test_revival_continues_the_content_loss_in_a_straight_line_below_zero(h: int, w: int, seed: int, form: str) -> None:
    z, target = random_features(3, h, w, seed), random_features(3, h, w, seed + 1).relu()
    z.requires_grad_()
    loss = squared_error(z.relu(), target, form) + revival(z, target, form)
    straight = torch.where(z > 0, (z - target).square(), target.square() - 2 * target * z)
    torch.testing.assert_close(loss, straight.mean() if form == "mean" else straight.sum())
    (gradient,) = torch.autograd.grad(loss, z)
    expected = 2 * (z.relu() - target) / (z.numel() if form == "mean" else 1)
    torch.testing.assert_close(gradient, expected)


def test_nothing_is_to_be_revived_where_the_content_is_off_or_the_picture_on() -> None:
    z, target = torch.tensor([[[[-2.0, 3.0]]]]), torch.tensor([[[[0.0, 7.0]]]])
    assert revival(z, target, "sum") == 0
