"""The network: every tap against torchvision, pooling and padding against numpy, gradients against differences."""

from copy import deepcopy
from functools import cache

import numpy
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from nst_lab import compose, load_image
from nst_lab.images.pictures import resize
from nst_lab.network.architecture import CONVOLUTIONS, LAYERS
from nst_lab.network.vgg import VGG19, build_network
from nst_lab.network.weight_files import caffe_file, read_means
from nst_lab.network.weights import Kernel, Weights, load_weights, normalize

SHIPPED = read_means("caffe", 0, None)
IDENTITY = {"mean": (0, 0, 0), "std": (1, 1, 1)}
NUMPY_PADDING = {"zeros": "constant", "replicate": "edge", "reflect": "reflect"}


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@cache
def random_kernels() -> dict[str, Kernel]:
    return load_weights("random", 1).kernels


def random_network(taps: list[str], **options: object) -> VGG19:
    defaults = {"pooling": "max", "padding": "zeros", "padding_first": "zeros"} | IDENTITY
    return VGG19(random_kernels(), taps, **defaults | options)


@pytest.fixture(scope="module")
def features() -> nn.Sequential:
    """torchvision's own VGG-19 with random parameters (its classifier is never allocated)."""
    with torch.device("meta"):
        model = torchvision.models.vgg19(init_weights=False)
    features = model.features.to_empty(device="cpu").requires_grad_(False)
    torch.manual_seed(5)
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=0.1)
    return features


@pytest.fixture(scope="module")
def from_file(features: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)
    return load_weights(str(path))


@pytest.fixture(scope="module")
def caffe() -> Weights:
    return load_weights("caffe")


def torchvision_taps(features: nn.Sequential, x: Tensor) -> dict[str, Tensor]:
    taps, block, index = {}, 1, 0
    for module in features:
        x = module(x.clone())
        if isinstance(module, nn.Conv2d):
            index += 1
            taps[f"conv{block}_{index}"] = x
        elif isinstance(module, nn.ReLU):
            taps[f"relu{block}_{index}"] = x
        else:
            taps[f"pool{block}"] = x
            block, index = block + 1, 0
    return taps


def test_all_37_taps_equal_torchvision(features: nn.Sequential, from_file: Weights) -> None:
    image = picture(45, 38).double()  # odd, so that poolings drop a row; in single precision CPUs differ
    transform = torchvision.models.VGG19_Weights.IMAGENET1K_V1.transforms()
    normalize_input = torchvision.transforms.Normalize(transform.mean, transform.std)
    expected = torchvision_taps(deepcopy(features).double(), normalize_input(image))
    model = compose(["model.weights=random", "model.normalized=false", "model.pooling=max"]).model
    found = build_network(model, from_file, list(LAYERS)).double()(image)
    assert len(expected) == 37
    assert set(found) == set(expected)
    for name, activation in expected.items():
        torch.testing.assert_close(
            found[name], activation, rtol=1e-6, atol=2e-6, msg=lambda text, name=name: name + text
        )


def numpy_convolution(x: numpy.ndarray, kernel: Kernel, padding: str) -> numpy.ndarray:
    padded = numpy.pad(x, ((0, 0), (1, 1), (1, 1)), mode=NUMPY_PADDING[padding])
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    weight, bias = kernel.weight.double().numpy(), kernel.bias.double().numpy()
    return numpy.einsum("ihwab,oiab->ohw", windows, weight, optimize=True) + bias[:, None, None]


def numpy_average_pooling(x: numpy.ndarray) -> numpy.ndarray:
    channels, height, width = x.shape
    even = x[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


def assert_same(found: Tensor, expected: numpy.ndarray) -> None:
    torch.testing.assert_close(found[0].double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_average_pooling_is_the_mean_of_four() -> None:
    taps = ["relu1_2", "pool1", "conv2_1", "relu2_2", "pool2"]
    found = random_network(taps, pooling="avg")(picture(11, 14))
    assert found["pool2"].shape[-2:] == (2, 3)
    for before, after in (("relu1_2", "pool1"), ("relu2_2", "pool2")):
        assert_same(found[after], numpy_average_pooling(found[before][0].double().numpy()))
    kernel = random_kernels()["conv2_1"]
    assert_same(found["conv2_1"], numpy_convolution(found["pool1"][0].double().numpy(), kernel, "zeros"))


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("padding_first", ["zeros", "replicate", "reflect"])
def test_first_padding_is_for_conv1_1_and_padding_for_all_others(padding_first: str, padding: str) -> None:
    image = picture(7, 6)
    taps = ["conv1_1", "relu1_1", "conv1_2", "pool1", "conv2_1"]
    found = random_network(taps, padding=padding, padding_first=padding_first)(image)
    kernels = random_kernels()
    inputs = {"conv1_1": image, "conv1_2": found["relu1_1"], "conv2_1": found["pool1"]}
    for name, x in inputs.items():
        mode = padding_first if name == "conv1_1" else padding
        assert_same(found[name], numpy_convolution(x[0].double().numpy(), kernels[name], mode))


def test_a_tapped_convolution_is_before_the_relu_and_stays_so() -> None:
    network = random_network(["conv1_1", "relu1_1", "conv2_1", "relu3_1"])
    found = network(picture(16, 16))
    assert found["conv1_1"].min() < 0
    assert found["conv2_1"].min() < 0
    assert torch.equal(found["relu1_1"], found["conv1_1"].clamp_min(0))


@pytest.mark.parametrize("name", LAYERS)
def test_a_tap_does_not_depend_on_which_others_are_tapped(name: str, every_tap: dict[str, Tensor]) -> None:
    alone = random_network([name])(picture(32, 32))
    assert list(alone) == [name]
    assert torch.equal(alone[name], every_tap[name])


@pytest.fixture(scope="module")
def every_tap() -> dict[str, Tensor]:
    return random_network(list(LAYERS))(picture(32, 32))


@pytest.mark.parametrize(("deepest", "count"), [("conv1_1", 1), ("pool2", 4), ("relu3_1", 5), ("relu5_1", 13)])
def test_only_the_kernels_up_to_the_deepest_tap_are_held(deepest: str, count: int) -> None:
    network = random_network([deepest, "relu1_1"] if deepest != "conv1_1" else [deepest])
    needed = {f"{name}_{part}" for name in CONVOLUTIONS[:count] for part in ("weight", "bias")}
    assert {name for name, _ in network.named_buffers()} == needed | {"mean"}
    assert network.layers[-1].name == deepest


def test_the_network_is_frozen_and_the_gradient_reaches_the_image() -> None:
    network, image = random_network(["conv1_1", "relu2_1"]), picture(8, 8).requires_grad_()
    assert not any(tensor.requires_grad for tensor in [*network.parameters(), *network.buffers()])
    network(image)["relu2_1"].sum().backward()
    assert image.grad.isfinite().all()
    assert image.grad.abs().min() > 0
    assert all(tensor.grad is None for tensor in network.buffers())


def test_forward_leaves_the_image_as_it_was() -> None:
    image = picture(8, 8)
    before = image.clone()
    random_network(["relu1_1"])(image)
    assert torch.equal(image, before)


def test_caffe_sees_rgb_in_0_1_as_the_original_sees_bgr_in_0_255_minus_the_mean(caffe: Weights) -> None:
    image = picture(9, 9)
    stored = torch.load(caffe_file(), weights_only=True)
    weight = stored["block1_conv1_W_table"][stored["block1_conv1_W_q"].long()]
    bgr = 255 * image.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    expected = F.conv2d(bgr, weight, stored["block1_conv1_b"], padding=1)
    model = compose(["model.weights=caffe"]).model
    found = build_network(model, caffe, ["conv1_1"])(image)["conv1_1"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2)  # activations reach hundreds


def caffe_network(weights: Weights, pooling: str) -> VGG19:
    return build_network(compose([f"model.pooling={pooling}"]).model, weights, list(LAYERS)).double()


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_normalised_network_divides_every_filter_by_one_constant(caffe: Weights, pooling: str) -> None:
    image = resize(load_image("chelsea"), 48, 40).double()
    original, normalised = (caffe_network(weights, pooling)(image) for weights in (caffe, normalize(caffe, SHIPPED)))
    constants = {}
    for name, activation in original.items():
        a, b = activation[0].flatten(1), normalised[name][0].flatten(1)
        factor = (a * b).sum(1) / b.square().sum(1)
        seen = b.abs().amax(1) > 0  # a filter that is silent on this picture says nothing
        assert seen.float().mean() > (0.99 if name.startswith("conv") else 0.1), name
        error = (a - factor[:, None] * b)[seen].abs().amax(1) / a[seen].abs().amax(1)
        assert error.max() < 1e-4, name
        assert (factor[seen] > 0).all()
        constants[name] = torch.where(seen, factor, torch.nan)
    for name, conv in constants.items():
        if name.startswith("conv"):
            relu = constants[name.replace("conv", "relu")]
            both = ~relu.isnan()
            torch.testing.assert_close(relu[both], conv[both], rtol=1e-3, atol=0)


def test_the_normalised_filters_have_a_mean_activation_near_one_on_photographs(caffe: Weights) -> None:
    network = caffe_network(normalize(caffe, SHIPPED), "avg")
    photographs = [resize(load_image(name), 96, 96).double() for name in ("chelsea", "astronaut", "coffee")]
    activations = [network(photograph) for photograph in photographs]
    for name in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2"):
        means = torch.stack([activation[name].mean((0, 2, 3)) for activation in activations])
        assert 0.5 < means.mean() < 2, name


@pytest.mark.parametrize("tap", ["conv1_1", "pool1"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_gradient_equals_finite_differences(pooling: str, tap: str) -> None:
    network = random_network(
        [tap], pooling=pooling, padding="reflect", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)
    ).double()
    image = picture(4, 4, seed=2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x)[tap], image)


def test_bfloat16_returns_float32_close_to_full_precision() -> None:
    image = picture(16, 16)
    full, half = (random_network(["relu2_1"], bfloat16=b)(image)["relu2_1"] for b in (False, True))
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    assert (half - full).norm() < 0.02 * full.norm()
