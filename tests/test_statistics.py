"""Every style statistic: the properties that all share, and closed forms of each."""

from collections.abc import Callable
from dataclasses import replace

import numpy
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nst_lab import compose
from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.losses.statistics.measuring import seed_of_layer
from nst_lab.losses.style import CONSTRUCTORS, Statistic, statistic

CONFIG = compose(["model=random", "loss.mmd_samples=64"])
LAYER = "relu1_1"  # where `histogram` has its histograms
seeds = st.integers(0, 2**31)
every = pytest.mark.parametrize("name", STATISTICS)


def configured(name: str, **changes: object) -> Config:
    return replace(CONFIG, loss=replace(CONFIG.loss, statistic=name, **changes))


def built(name: str, **changes: object) -> Statistic:
    return statistic(configured(name, **changes), LAYER)


def features(seed: int, channels: int = 4, height: int = 3, width: int = 5) -> Tensor:
    """Correlated and not negative, as after a ReLU, but without ties."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(channels, height * width, generator=generator, dtype=torch.float64)
    return torch.nn.functional.softplus(mixing @ noise).view(1, channels, height, width)


def distance(chosen: Statistic, picture: Tensor, style: Tensor, **guide: Tensor) -> Tensor:
    with torch.no_grad():
        target = chosen.target(chosen.measure(style, **guide))
    return chosen.distance(chosen.measure(picture, **guide), target)


def shuffled(value: Tensor, seed: int) -> Tensor:
    flat = value.flatten(2)
    return flat[..., torch.randperm(flat.shape[-1], generator=torch.Generator().manual_seed(seed))].view_as(value)


def test_every_statistic_has_its_traits_and_its_constructor() -> None:
    assert list(CONSTRUCTORS) == list(STATISTICS)


@every
@settings(deadline=None, max_examples=20)
@given(seed=seeds, channels=st.integers(1, 5), height=st.integers(1, 4), width=st.integers(1, 4))
def test_a_style_is_at_zero_of_itself_and_others_are_not(
    name: str, seed: int, channels: int, height: int, width: int
) -> None:
    style = features(seed, channels, height, width)
    itself, other = (distance(built(name), picture, style).item() for picture in (style, 2 * style + 1))
    assert itself == pytest.approx(0, abs=1e-9 * (1 + style.square().sum().item()))
    assert other > 1e-3


@every
@settings(deadline=None, max_examples=20)
@given(seed=seeds, height=st.integers(1, 5), width=st.integers(1, 5))
def test_positions_of_picture_and_style_may_change_places(name: str, seed: int, height: int, width: int) -> None:
    picture, style, chosen = features(seed, 3, height, width), features(seed + 1, 3, 4, 3), built(name)
    expected = distance(chosen, picture, style).item()
    assert distance(chosen, shuffled(picture, seed), style).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert distance(chosen, picture, shuffled(style, seed)).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@every
def test_a_style_tiled_to_twice_its_size_is_the_same_style(name: str) -> None:
    style = features(0)
    twice = torch.cat([style, style], dim=3)
    for picture, target in ((twice, style), (style, twice)):
        assert distance(built(name), picture, target).item() == pytest.approx(0, abs=1e-9)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 0.5, 1e3])
@pytest.mark.parametrize("size", [(1, 1), (4, 4)], ids=str)
def test_flat_features_have_finite_values_and_gradients(
    name: str, dtype: torch.dtype, level: float, size: tuple[int, int]
) -> None:
    flat = torch.full((1, 3, *size), level, dtype=dtype)
    for picture, style in ((flat, features(0, 3)), (features(0, 3), flat), (flat, flat), (flat + 1, flat)):
        x = picture.to(dtype).clone().requires_grad_()
        value = distance(built(name), x, style.to(dtype))
        value.backward()
        assert value.isfinite()
        assert x.grad.isfinite().all()


@every
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)], ids=str)
def test_the_gradient_equals_finite_differences(name: str, reduction: str, size: tuple[int, int]) -> None:
    chosen, style = built(name, style_reduction=reduction), features(1, 3)
    picture = features(0, 3, *size).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(chosen, x, style), picture, atol=1e-5)


@pytest.mark.parametrize("changes", [{"gram_shift": -1.0}, {"style_scale": "target"}], ids=str)
def test_the_gradient_of_gram_matrices_shifted_and_scaled_equals_finite_differences(changes: dict) -> None:
    chosen, style, picture = built("gram", **changes), features(1), features(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(chosen, x, style), picture)


@every
def test_what_is_not_finite_reaches_the_loss(name: str) -> None:
    broken = features(0)
    broken[0, 1, 1, 1] = torch.nan
    assert distance(built(name), broken, features(1)).isnan()


def moments_of(value: Tensor) -> tuple[Tensor, Tensor]:
    flat = value[0].flatten(1)
    return flat.mean(1), torch.cov(flat, correction=0).reshape(len(flat), -1)


def test_moments_are_means_and_covariances() -> None:
    picture, style = features(0), features(1)
    (mean, spread), (other_mean, other_spread) = moments_of(picture), moments_of(style)
    expected = (mean - other_mean).square().mean() + (spread - other_spread).square().mean()
    assert distance(built("moments"), picture, style).item() == pytest.approx(expected.item())
    moved = distance(built("moments"), style + 3, style)
    assert moved.item() == pytest.approx(9)  # covariances do not see a translation


def test_bn_compares_means_and_standard_deviations() -> None:
    picture, style = features(0), features(1)
    gap = sum(
        (own - wanted).square().sum()
        for own, wanted in (
            (picture.mean((2, 3)), style.mean((2, 3))),
            (picture.var((2, 3), correction=0).sqrt(), style.var((2, 3), correction=0).sqrt()),
        )
    )
    assert distance(built("bn"), picture, style).item() == pytest.approx(gap.item() / 4, rel=1e-3)  # ε is 1e-5
    assert distance(built("bn"), style + 2, style).item() == pytest.approx(4)
    centred = style - style.mean((2, 3), keepdim=True)
    deviations = style.var((2, 3), correction=0).sqrt()
    assert distance(built("bn"), 3 * centred, centred).item() == pytest.approx(
        4 * deviations.square().mean().item(), rel=1e-3
    )


def double_sum(
    kernel: Callable[[numpy.ndarray, numpy.ndarray], numpy.ndarray], picture: Tensor, style: Tensor
) -> float:
    """mean k(f, f′) + mean k(s, s′) − 2 mean k(f, s) over all pairs of positions."""
    f, s = (value[0].flatten(1).T.numpy() for value in (picture, style))
    return sum(sign * kernel(a, b).mean() for sign, a, b in ((1, f, f), (1, s, s), (-2, f, s)))


@pytest.mark.parametrize("constant", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(("reduction", "channels"), [("mean", 4), ("sum", 1)])
def test_polynomial_mmd_is_the_sum_over_all_pairs(constant: float, reduction: str, channels: int) -> None:
    picture, style = features(0), features(1, width=7)
    expected = double_sum(lambda a, b: (a @ b.T / channels + constant) ** 2, picture, style)
    found = distance(built("mmd_poly", mmd_c=constant, style_reduction=reduction), picture, style)
    assert found.item() == pytest.approx(expected)
    if constant == 0:
        gram = distance(built("gram", style_reduction=reduction), picture, style)
        assert found.item() == pytest.approx(gram.item())


def squared_distances(a: numpy.ndarray, b: numpy.ndarray) -> numpy.ndarray:
    return scipy.spatial.distance.cdist(a, b, "sqeuclidean")


def gaussian_double_sum(picture: Tensor, style: Tensor) -> float:
    positions = style[0].flatten(1).T.numpy()
    gamma = 1 / squared_distances(positions, positions).mean()
    return double_sum(lambda a, b: numpy.exp(-gamma * squared_distances(a, b)), picture, style)


def test_gaussian_mmd_approaches_the_sum_over_all_pairs_as_frequencies_grow() -> None:
    picture, style = features(0), features(1, width=7)
    expected = gaussian_double_sum(picture, style)
    found = distance(built("mmd_gauss", mmd_samples=100_000), picture, style).item()
    assert found == pytest.approx(expected, rel=0.02)
    few = [
        distance(statistic(replace(configured("mmd_gauss", mmd_samples=256), seed=seed), LAYER), picture, style).item()
        for seed in range(40)
    ]
    errors = torch.tensor(few) / expected - 1
    assert abs(errors.mean()) < 0.05  # it is unbiased
    assert errors.std() < 2 * (2 / 256) ** 0.5


def test_gaussian_mmd_of_far_pictures_is_two_kernel_means() -> None:
    style = features(0)
    far = style + 1e4  # no pair of positions across the two is near
    expected = gaussian_double_sum(far, style)
    assert distance(built("mmd_gauss", mmd_samples=100_000), far, style).item() == pytest.approx(expected, rel=0.05)


def test_a_translation_costs_the_sliced_distance_its_square() -> None:
    style, by = features(0), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64).view(1, 4, 1, 1)
    expected = by.square().sum().item()
    assert distance(built("swd"), style + by, style).item() == pytest.approx(expected / 4)
    assert distance(built("swd", style_reduction="sum"), style + by, style).item() == pytest.approx(expected)


def transport_cost(own: Tensor, wanted: Tensor) -> float:
    """Squared Wasserstein-2 distance in one dimension: both repeated to a common number of positions."""
    common = len(own) * len(wanted)
    stretched = [values.sort().values.repeat_interleave(common // len(values)) for values in (own, wanted)]
    return (stretched[0] - stretched[1]).square().mean().item()


@pytest.mark.parametrize("width", [1, 3, 6, 7, 12])
def test_with_one_filter_the_sliced_distance_is_wasserstein_but_for_what_no_picture_of_that_size_has(
    width: int,
) -> None:
    """Between two pictures of one size the difference of the distances is exact."""
    style, pictures = features(9, 1, 1, 6), [features(seed, 1, 1, width) for seed in range(2)]
    found = [distance(built("swd"), picture, style).item() for picture in pictures]
    exact = [transport_cost(picture.flatten(), style.flatten()) for picture in pictures]
    assert found[0] - found[1] == pytest.approx(exact[0] - exact[1])
    if width % 6 == 0:
        assert found[0] == pytest.approx(exact[0])
        ours, theirs = pictures[0].flatten(), style.flatten()
        assert scipy.stats.wasserstein_distance(ours, theirs) ** 2 <= found[0] + 1e-12  # W1 ≤ W2
    else:
        assert 0 <= found[0] < exact[0]


def test_the_sliced_distance_is_the_mean_over_its_directions() -> None:
    picture, style = features(0), features(1)
    chosen = built("swd")
    (ours, _), (theirs, _) = chosen.measure(picture), chosen.measure(style)
    expected = [transport_cost(own, wanted) for own, wanted in zip(ours[0], theirs[0], strict=True)]
    assert distance(chosen, picture, style).item() == pytest.approx(sum(expected) / 4)


def test_histograms_are_matched_filter_by_filter() -> None:
    picture, style = features(0), features(1)
    both, gram = built("histogram", histogram_weight=3.0), built("gram")
    costs = [transport_cost(a.flatten(), b.flatten()) for a, b in zip(picture[0], style[0], strict=True)]
    expected = distance(gram, picture, style).item() + 3 * sum(costs) / 4
    assert distance(both, picture, style).item() == pytest.approx(expected)
    matched = torch.stack([shuffled(style[:, k : k + 1], k)[0, 0] for k in range(4)])[None]  # its filters, torn apart
    assert distance(both, matched, style).item() == pytest.approx(distance(gram, matched, style).item())


def test_histograms_are_matched_in_their_layers_only() -> None:
    config = configured("histogram")
    picture, style = features(0), features(1)
    elsewhere = distance(statistic(config, "relu2_1"), picture, style)
    assert elsewhere == distance(built("gram"), picture, style)
    assert distance(statistic(config, "relu4_1"), picture, style) > elsewhere


def test_a_shift_is_added_before_the_gram_matrix() -> None:
    picture, style = features(0), features(1)
    shifted = distance(built("gram", gram_shift=-1.0), picture, style)
    assert shifted.item() == pytest.approx(distance(built("gram"), picture - 1, style - 1).item())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_layer_divided_by_its_target_does_not_know_its_scale(reduction: str) -> None:
    chosen, picture, style = built("gram", style_scale="target", style_reduction=reduction), features(0), features(1)
    assert distance(chosen, 0 * picture, style).item() == pytest.approx(1)
    expected = distance(chosen, picture, style).item()
    assert distance(chosen, 1e3 * picture, 1e3 * style).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name, traits in STATISTICS.items() if traits.guidable])
def test_a_guide_that_is_one_part_of_the_picture_sees_that_part_alone(name: str) -> None:
    """T² = 2 on the left half and 0 on the right: the statistic of the left half."""
    picture, style, chosen = features(0, 4, 3, 8), features(1, 4, 3, 8), built(name)
    guide = torch.zeros(1, 1, 3, 8, dtype=torch.float64)
    guide[..., :4] = 2**0.5
    found = distance(chosen, picture, style, guide=guide)
    assert found.item() == pytest.approx(distance(chosen, picture[..., :4], style[..., :4]).item(), rel=1e-6)
    everywhere = distance(chosen, picture, style, guide=torch.ones_like(guide))
    assert everywhere.item() == pytest.approx(distance(chosen, picture, style).item(), rel=1e-9)


@pytest.mark.parametrize("name", [name for name, traits in STATISTICS.items() if traits.blendable])
def test_averaged_measurements_are_those_of_the_pictures_side_by_side(name: str) -> None:
    picture, one, two, chosen = features(0), features(1), features(2), built(name)
    averaged = tuple((a + b) / 2 for a, b in zip(chosen.measure(one), chosen.measure(two), strict=True))
    found = chosen.distance(chosen.measure(picture), chosen.target(averaged))
    assert found.item() == pytest.approx(distance(chosen, picture, torch.cat([one, two], dim=3)).item())


@pytest.mark.parametrize("name", [name for name, traits in STATISTICS.items() if traits.random])
def test_draws_are_the_seeds_and_the_layers_and_nothing_elses(name: str) -> None:
    config, picture, style = configured(name), features(0), features(1)
    value = distance(statistic(config, "relu1_1"), picture, style)
    torch.manual_seed(5)
    assert distance(statistic(config, "relu1_1"), picture, style) == value
    assert distance(statistic(config, "relu2_1"), picture, style) != value
    assert distance(statistic(replace(config, seed=1), "relu1_1"), picture, style) != value
    assert len({seed_of_layer(seed, layer) for seed in range(10) for layer in ("relu1_1", "relu1_2")}) == 20
