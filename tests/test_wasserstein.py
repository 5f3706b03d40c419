"""Wasserstein-2 against scipy's matrix square root, its gradient against differences, and the Newton-Schulz form."""

from dataclasses import replace

import numpy
import pytest
import scipy.linalg
import torch
from torch import Tensor

from nst_lab import compose
from nst_lab.config.schema import Loss
from nst_lab.errors import ConfigError
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.losses.statistics.gram import Gram
from nst_lab.losses.statistics.wasserstein import Wasserstein2, newton_schulz
from nst_lab.network.vgg import build_network
from nst_lab.network.weights import load_weights

LOSS = compose(["loss.statistic=w2"]).loss
EPS = LOSS.w2_eps


def settings(**changes: object) -> Loss:
    return replace(LOSS, **changes)


def activations(channels: int, height: int, width: int, seed: int, scale: float = 1.0) -> Tensor:
    """Correlated and not negative, as after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(channels, height * width, generator=generator, dtype=torch.float64)
    return (scale * (mixing @ noise / channels**0.5).relu()).view(1, channels, height, width)


def gaussian(features: Tensor) -> tuple[numpy.ndarray, numpy.ndarray]:
    flat = features[0].flatten(1).double().numpy()
    return flat.mean(1), numpy.cov(flat, bias=True).reshape(len(flat), -1) + EPS * numpy.eye(len(flat))


def by_scipy(features: Tensor, others: Tensor) -> float:
    """‖μ − ν‖² + tr(Σ + T − 2 (T^½ Σ T^½)^½)."""
    (mean, covariance), (other_mean, other_covariance) = gaussian(features), gaussian(others)
    root = scipy.linalg.sqrtm(other_covariance).real
    cross = scipy.linalg.sqrtm(root @ covariance @ root).real
    return ((mean - other_mean) ** 2).sum() + numpy.trace(covariance + other_covariance - 2 * cross)


def distance(features: Tensor, others: Tensor, loss: Loss = LOSS) -> Tensor:
    statistic = Wasserstein2(loss)
    return statistic.distance(statistic.measure(features), statistic.target(statistic.measure(others)))


SHAPES = {"more positions": (6, 9, 8), "more channels": (40, 3, 4), "one position": (5, 1, 1), "one channel": (1, 4, 4)}


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_distance_is_scipys(shape: tuple[int, int, int], scale: float, dtype: torch.dtype) -> None:
    features, others = activations(*shape, 0, scale).to(dtype), activations(*shape, 1, scale).to(dtype)
    expected = by_scipy(features, others)
    assert distance(features, others, settings(style_reduction="sum")).item() == pytest.approx(expected, rel=1e-6)
    assert distance(features, others).item() == pytest.approx(expected / shape[0], rel=1e-6)


def test_channels_far_above_positions_with_large_activations_stay_exact() -> None:
    features, others = activations(256, 4, 5, 0, 500), activations(256, 5, 5, 1, 500)
    expected = by_scipy(features, others) / 256
    assert distance(features.float(), others.float()).item() == pytest.approx(expected, rel=1e-5)


def test_pictures_of_different_sizes_compare_and_the_same_one_has_distance_zero() -> None:
    features = activations(6, 9, 8, 0)
    doubled = torch.cat([features, features], dim=3)
    assert distance(features, doubled).item() == pytest.approx(0, abs=1e-9)


def test_moved_features_are_apart_by_the_square_of_the_move() -> None:
    features = activations(6, 9, 8, 0)
    assert distance(features + 3, features, settings(style_reduction="sum")).item() == pytest.approx(6 * 9)


@pytest.mark.parametrize("root", ["exact", "newton_schulz12"])
@pytest.mark.parametrize("shape", [(3, 3, 3), (5, 1, 2), (4, 2, 4)], ids=str)
def test_the_gradient_equals_finite_differences(shape: tuple[int, int, int], root: str) -> None:
    loss, others = settings(w2_sqrt=root), activations(*shape, 1)
    features = activations(*shape, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(x, others, loss), features, atol=1e-5)


def test_degenerate_eigenvalues_have_a_finite_and_right_gradient() -> None:
    """Both covariances have repeated eigenvalues."""
    corners = torch.eye(4, dtype=torch.float64).view(1, 4, 2, 2)
    features = (3 * corners).requires_grad_()
    statistic = Wasserstein2(LOSS)
    target = statistic.target(statistic.measure(corners))
    assert torch.autograd.gradcheck(lambda x: statistic.distance(statistic.measure(x), target), features)
    constant = torch.full((1, 4, 2, 2), 0.5, dtype=torch.float64).requires_grad_()  # no variance at all
    statistic.distance(statistic.measure(constant), target).backward()
    assert constant.grad.isfinite().all()


def test_a_gradient_in_float32_with_more_channels_than_positions_is_finite_and_near_float64s() -> None:
    features, others = activations(64, 3, 3, 0, 100), activations(64, 3, 4, 1, 100)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        x = features.to(dtype).requires_grad_()
        distance(x, others.to(dtype)).backward()
        gradients.append(x.grad.double())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4 * gradients[1].abs().max().item())


def test_newton_schulz_is_the_root_where_it_has_converged_and_stays_below_it_elsewhere() -> None:
    vectors = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    values = torch.tensor([4.0, 1.0, 0.5, 0.1, 1e-7], dtype=torch.float64)
    found = vectors.T @ newton_schulz((vectors * values) @ vectors.T) @ vectors
    torch.testing.assert_close(found[:4, :4], values[:4].sqrt().diag(), rtol=1e-6, atol=1e-6)
    assert 0 < found[4, 4] < 0.5 * values[4].sqrt()
    torch.testing.assert_close(newton_schulz(values[:4].diag(), 40), values[:4].sqrt().diag())


def crowson_w2(features: Tensor, others: Tensor, eps: float = 1e-4) -> Tensor:
    """The formula of crowsonkb/style-transfer-pytorch, its root by the iteration of Higham 2008 (eq. 6.35)."""

    def root(a: Tensor) -> Tensor:
        size = a.square().sum().sqrt()
        y, z, eye = a / size, torch.eye(len(a), dtype=a.dtype), torch.eye(len(a), dtype=a.dtype)
        for _ in range(12):
            y, z = 0.5 * y @ (3 * eye - z @ y), 0.5 * (3 * eye - z @ y) @ z
        return y * size.sqrt()

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x[0].flatten(1)
        mean = flat.mean(1)
        return mean, flat @ flat.T / flat.shape[1] - torch.outer(mean, mean) + eps * torch.eye(len(flat), dtype=x.dtype)

    (mean, covariance), (other_mean, other_covariance) = moments(features), moments(others)
    other_root = root(other_covariance)
    gap = covariance + other_covariance - 2 * root(other_root @ covariance @ other_root)
    return (mean - other_mean).square().mean() + gap.diagonal().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_twelve_iterations_give_crowsons_value_and_not_the_exact_one(dtype: torch.dtype) -> None:
    features, others = activations(64, 9, 9, 0).to(dtype), activations(64, 8, 8, 1).to(dtype)
    found = distance(features, others, settings(w2_sqrt="newton_schulz12"))
    assert found.dtype == dtype
    assert found.item() == pytest.approx(crowson_w2(features, others).item(), rel=1e-5)
    assert abs(found.item() / distance(features, others).item() - 1) > 1e-3


def test_several_styles_are_blended_by_their_moments() -> None:
    """Means and second moments are averaged; covariances, which may not be, follow from them."""
    features, one, two = (activations(6, 5, 5, seed) for seed in range(3))
    statistic = Wasserstein2(LOSS)
    measured = [statistic.measure(each) for each in (one, two)]
    blended = statistic.target(tuple(0.25 * a + 0.75 * b for a, b in zip(*measured, strict=True)))
    both = torch.cat([one, two, two, two], dim=3)  # a picture made of the two in these shares
    found = statistic.distance(statistic.measure(features), blended)
    assert found.item() == pytest.approx(distance(features, both).item(), rel=1e-9)


@pytest.mark.parametrize("blend", ["weighted", "targets", "sum", "loss_share"])
def test_w2_runs_under_every_blend_in_the_objective(blend: str) -> None:
    config = compose([
        "model=random", "loss.statistic=w2", f"style.blend={blend}", "style=strokes_and_waves",
        "layers.style=[relu1_1,relu2_1]", "layers.content=[relu1_1]",
    ])  # fmt: skip
    network = build_network(config.model, load_weights("random", 0), needed_taps(config))
    styles = {name: torch.rand(1, 3, 16, 16 + index) for index, name in enumerate(config.style.images)}
    image = torch.rand(1, 3, 12, 12, requires_grad=True)
    losses = Objective(network, torch.rand(1, 3, 12, 12), styles, config)(image)
    losses.total.backward()
    assert losses.total.dtype == torch.float32
    assert image.grad.isfinite().all()
    assert losses.style > 0
    names = ["blended"] if blend == "targets" else config.style.images
    assert {f"style/{name}/relu2_1" for name in names} <= set(losses.terms)


def test_what_is_not_finite_reaches_the_loss_instead_of_an_error() -> None:
    features = activations(4, 3, 3, 0)
    features[0, 1, 1, 1] = torch.nan
    assert distance(features, activations(4, 3, 3, 1)).isnan()


def test_an_eps_lost_in_rounding_is_one_line() -> None:
    flat = 1e9 * torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(ConfigError, match=r"loss\.w2_eps=1e-30: .*choose a larger one"):
        distance(flat.expand(1, 8, 4, 4), activations(8, 4, 4, 1), settings(w2_eps=1e-30))


def test_gram_and_w2_give_what_the_objective_needs() -> None:
    features = activations(3, 4, 4, 0)
    for statistic in (Gram(LOSS), Wasserstein2(LOSS)):
        measured = statistic.measure(features)
        assert statistic.distance(measured, statistic.target(measured)).item() == pytest.approx(0, abs=1e-9)
