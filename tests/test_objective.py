"""The objective against its formulas in plain torch, and its gradient against differences."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nst_lab import compose
from nst_lab.config.schema import Config
from nst_lab.losses.guidance import Masks
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.network.vgg import build_network
from nst_lab.network.weights import Weights, load_weights

SHALLOW = ["layers.content=[relu2_1]", "layers.style=[relu1_1,relu2_1]", "layers.style_weights=[0.25,0.75]"]
TWO_STYLES = ["style.images=[starry_strokes,woodcut_waves]"]
NAMES = ("starry_strokes", "woodcut_waves")
STYLE_WEIGHTS = {"relu1_1": 0.25, "relu2_1": 0.75}
KERNELS = load_weights("random", 2).kernels


@cache
def configuration(*overrides: str) -> Config:
    return compose(["model.weights=random", "model.normalized=false", *SHALLOW, *overrides])


def picture(seed: int, height: int = 16, width: int = 20) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def styles_of(config: Config) -> dict[str, Tensor]:
    return {name: picture(100 + k, 16, 18 + k) for k, name in enumerate(config.style.images)}


def objective_of(config: Config, content: Tensor | None) -> Objective:
    network = build_network(config.model, Weights(KERNELS, None), needed_taps(config)).double()
    return Objective(network, content, styles_of(config), config)


def plain_features(image: Tensor) -> dict[str, Tensor]:
    """relu1_1 and relu2_1 of the random network in the `gatys` convention: ImageNet input, average pooling."""
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    weights = {name: (kernel.weight.double(), kernel.bias.double()) for name, kernel in KERNELS.items()}
    relu1_1 = F.conv2d(x, *weights["conv1_1"], padding=1).relu()
    pool1 = F.avg_pool2d(F.conv2d(relu1_1, *weights["conv1_2"], padding=1).relu(), 2)
    return {"relu1_1": relu1_1, "relu2_1": F.conv2d(pool1, *weights["conv2_1"], padding=1).relu()}


def inner_products(features: Tensor) -> Tensor:
    flat = features[0].flatten(1)
    return torch.einsum("ip,jp->ij", flat, flat)


def gram_per_position(features: Tensor) -> Tensor:
    return inner_products(features) / features[0, 0].numel()


def style_errors(image: Tensor, styles: dict[str, Tensor]) -> list[float]:
    """S_s = Σ w_l mean((ΔG/M)²) of each style."""
    ours, errors = plain_features(image), []
    for style in styles.values():
        theirs = plain_features(style)
        differences = {layer: gram_per_position(ours[layer]) - gram_per_position(theirs[layer]) for layer in ours}
        errors.append(sum(STYLE_WEIGHTS[layer] * d.square().mean().item() for layer, d in differences.items()))
    return errors


def test_total_is_the_sum_of_content_style_and_tv() -> None:
    losses = objective_of(configuration("loss.tv_weight=3", *TWO_STYLES), picture(0))(picture(1))
    assert min(losses.content, losses.style, losses.tv) > 0
    torch.testing.assert_close(losses.total, losses.content + losses.style + losses.tv)
    floats = losses.to_floats()
    assert floats["total"] == pytest.approx(floats["content"] + floats["style"] + floats["tv"])
    assert set(floats["terms"]) == {"content/relu2_1", "tv"} | {
        f"style/{name}/{layer}" for name in NAMES for layer in ("relu1_1", "relu2_1")
    }


def test_the_gatys_loss_by_its_formula() -> None:
    config, image, content = configuration("loss.content_weight=7", "loss.style_weight=1e3"), picture(1), picture(0)
    losses = objective_of(config, content)(image)
    content_error = (plain_features(image)["relu2_1"] - plain_features(content)["relu2_1"]).square().mean().item()
    (style_error,) = style_errors(image, styles_of(config))
    assert losses.content.item() == pytest.approx(7 * content_error, rel=1e-5)
    assert losses.style.item() == pytest.approx(1e3 * style_error, rel=1e-5)
    assert losses.total.item() == pytest.approx(7 * content_error + 1e3 * style_error, rel=1e-5)


def test_the_printed_loss_by_its_formula() -> None:
    """½ Σ (F−P)² and Σ w_l / (4 N² M²) Σ (G−A)² with plain sums for Gram matrices (equal sizes, so one M)."""
    forms = ["loss.content_reduction=sum", "loss.content_factor=0.5", "loss.style_factor=0.25"]
    config = configuration(*forms, "loss.content_weight=5", "loss.style_weight=1e4")
    image, content, style = picture(1), picture(0), picture(2)
    network = build_network(config.model, Weights(KERNELS, None), needed_taps(config)).double()
    losses = Objective(network, content, {"starry_strokes": style}, config)(image)
    x, p, a = plain_features(image), plain_features(content), plain_features(style)
    printed = 0.0
    for layer, weight in STYLE_WEIGHTS.items():
        filters, positions = x[layer].shape[1], x[layer][0, 0].numel()
        error = (inner_products(x[layer]) - inner_products(a[layer])).square().sum().item()
        printed += weight * error / (4 * filters**2 * positions**2)
    content_error = 0.5 * (x["relu2_1"] - p["relu2_1"]).square().sum().item()
    assert losses.content.item() == pytest.approx(5 * content_error, rel=1e-5)
    assert losses.style.item() == pytest.approx(1e4 * printed, rel=1e-5)


def test_the_tv_term_by_its_formula() -> None:
    image = picture(1)
    loss = ["loss.tv_weight=11", "loss.tv_form=squared", "loss.tv_reduction=mean"]
    losses = objective_of(configuration(*loss), picture(0))(image)
    right, down = image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]
    assert losses.tv.item() == pytest.approx(11 * (right.square().mean() + down.square().mean()).item())


def blended(blend: str, weights: Sequence[float]) -> Objective:
    config = configuration(*TWO_STYLES, f"style.blend={blend}", "loss.content_weight=0")
    return objective_of(replace(config, style=replace(config.style, weights=list(weights))), None)


def test_the_blends_by_their_formulas() -> None:
    image, v, beta = picture(1), (3.0, 0.5), 1e9
    s = style_errors(image, styles_of(configuration(*TWO_STYLES)))
    shares = [a * b for a, b in zip(v, s, strict=True)]
    expected = {
        "weighted": sum(shares) / sum(v),
        "sum": sum(shares),
        "loss_share": sum(share**2 for share in shares) / sum(shares),
    }
    for blend, value in expected.items():
        assert blended(blend, v)(image).style.item() == pytest.approx(beta * value, rel=1e-5), blend


def test_the_blend_of_targets_by_its_formula() -> None:
    image, v = picture(1), (3.0, 0.5)
    x = plain_features(image)
    styles = [plain_features(style) for style in styles_of(configuration(*TWO_STYLES)).values()]
    expected = 0.0
    for layer, weight in STYLE_WEIGHTS.items():
        grams = [gram_per_position(style[layer]) for style in styles]
        target = (v[0] * grams[0] + v[1] * grams[1]) / sum(v)
        expected += weight * (gram_per_position(x[layer]) - target).square().mean().item()
    losses = blended("targets", v)(image)
    assert losses.style.item() == pytest.approx(1e9 * expected, rel=1e-5)
    assert set(losses.terms) == {"style/blended/relu1_1", "style/blended/relu2_1"}


def gradient(objective: Objective, image: Tensor) -> Tensor:
    image = image.clone().requires_grad_()
    objective(image).total.backward()
    return image.grad


@settings(deadline=None, max_examples=10)
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=2), st.integers(0, 1000))
def test_weighted_and_targets_have_the_same_gradient(weights: list[float], seed: int) -> None:
    weighted, targets = (gradient(blended(blend, weights), picture(seed)) for blend in ("weighted", "targets"))
    torch.testing.assert_close(targets, weighted, rtol=1e-7, atol=1e-9 * weighted.abs().max().item())


def test_equal_weights_of_one_style_are_that_style_alone() -> None:
    image, style = picture(1), picture(5)
    both, one = configuration(*TWO_STYLES), configuration()
    network = build_network(both.model, Weights(KERNELS, None), needed_taps(both)).double()
    twice = Objective(network, picture(0), dict.fromkeys(NAMES, style), both)(image)
    once = Objective(network, picture(0), {"starry_strokes": style}, one)(image)
    torch.testing.assert_close(twice.total, once.total)


@pytest.mark.parametrize("blend", ["weighted", "targets", "sum", "loss_share"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_perfect_match_has_loss_zero_and_gradient_zero(blend: str, dtype: torch.dtype) -> None:
    config = configuration(*TWO_STYLES, f"style.blend={blend}")
    image = picture(3).to(dtype)
    network = build_network(config.model, Weights(KERNELS, None), needed_taps(config)).to(dtype)
    objective = Objective(network, image, dict.fromkeys(NAMES, image), config)
    assert objective(image).total.item() == pytest.approx(0, abs=1e-6)
    assert gradient(objective, image).abs().max() < 1e-3


def test_terms_of_weight_zero_are_not_built() -> None:
    nothing_but_style = objective_of(configuration("loss.content_weight=0"), None)(picture(1))
    assert set(nothing_but_style.terms) == {"style/starry_strokes/relu1_1", "style/starry_strokes/relu2_1"}
    assert nothing_but_style.content.item() == nothing_but_style.tv.item() == 0
    nothing_but_content = objective_of(configuration("loss.style_weight=0"), picture(0))(picture(1))
    assert set(nothing_but_content.terms) == {"content/relu2_1"}
    assert nothing_but_content.style.item() == 0
    one_layer = objective_of(configuration("layers.style_weights=[1,0]"), picture(0))(picture(1))
    assert set(one_layer.terms) == {"content/relu2_1", "style/starry_strokes/relu1_1"}
    variation = configuration("loss.content_weight=0", "loss.style_weight=0", "loss.tv_weight=1")
    assert set(objective_of(variation, None)(picture(1)).terms) == {"tv"}


@pytest.mark.parametrize("blend", ["weighted", "sum", "loss_share"])
def test_a_style_image_of_weight_zero_is_not_built_and_the_other_keeps_its_name(blend: str) -> None:
    objective = blended(blend, (0.0, 2.0))
    assert set(objective.style_targets) == {"woodcut_waves"}
    assert set(objective(picture(1)).terms) == {"style/woodcut_waves/relu1_1", "style/woodcut_waves/relu2_1"}


@pytest.mark.parametrize(
    ("overrides", "deepest"),
    [
        ([], "relu2_1"),
        (["loss.content_weight=0", "layers.style_weights=[1,0]"], "relu1_1"),
        (["loss.style_weight=0", "layers.content=[conv1_2,relu5_1]", "layers.content_weights=[1,0]"], "conv1_2"),
        (["layers.content=[conv1_2,relu3_1]", "layers.content_weights=[0,1]"], "relu3_1"),
    ],
)
def test_the_network_is_cut_after_the_deepest_layer_of_positive_weight(overrides: list[str], deepest: str) -> None:
    config = configuration(*overrides)
    network = build_network(config.model, Weights(KERNELS, None), needed_taps(config))
    assert network.layers[-1].name == deepest


@pytest.mark.parametrize("convention", ["gatys", "seed"])
def test_the_gradient_of_a_whole_convention_equals_finite_differences(convention: str) -> None:
    weights = ["model.weights=random", "model.normalized=false"]
    config = compose([f"convention={convention}", "loss.tv_weight=1e3", *weights, *TWO_STYLES])
    objective, image = objective_of(config, picture(0)), picture(1)
    exact, step = gradient(objective, image), 1e-6
    for seed in range(2):
        direction = picture(10 + seed) - 0.5
        with torch.no_grad():
            ahead, behind = (objective(image + sign * step * direction).total for sign in (1, -1))
        assert ((ahead - behind) / (2 * step)).item() == pytest.approx((exact * direction).sum().item(), rel=1e-5)


def test_what_revives_by_its_formula_under_a_mask() -> None:
    """α f Σ u_l mean(2 g² P max(−z, 0)) beside the losses as they are."""
    config = configuration("loss.content_weight=7", "loss.content_factor=3", "content.mask=rocket_sky")
    image, content = picture(1).requires_grad_(), picture(0)
    mask = torch.rand(1, 1, 16, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    network = build_network(config.model, Weights(KERNELS, None), needed_taps(config)).double()
    objective = Objective(network, content, styles_of(config), config, masks=Masks(content=mask))
    losses, more = objective.reviving(image)
    assert losses.to_floats() == objective(image).to_floats()
    guide, before, target = objective.content_guides["relu2_1"], network(image)["conv2_1"], network(content)["relu2_1"]
    assert (guide < 0.99).any()
    torch.testing.assert_close(more, 7 * 3 * (2 * guide**2 * target * (-before).relu()).mean())
    gradient = torch.autograd.grad(losses.content + more, image)[0]
    straight = torch.where(before > 0, (before - target).square(), target.square() - 2 * target * before)
    expected = torch.autograd.grad(7 * 3 * (guide**2 * straight).mean(), image)[0]
    torch.testing.assert_close(gradient, expected)
