"""A convolution is the same by every implementation, up to rounding."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import nst_lab
from nst_lab.network import vgg
from nst_lab.network.convolutions import WINOGRAD_POSITIONS, WORKSPACE_BYTES, convolution, has_winograd, workspace_bytes
from nst_lab.network.weights import load_weights
from nst_lab.optimisation.numerics import numerics

needs_winograd = pytest.mark.skipif(not has_winograd(), reason="PyTorch has no NNPACK for this CPU")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network(**options: object) -> vgg.VGG19:
    return vgg.VGG19(
        load_weights("random", 1).kernels, ["relu1_1", "relu2_1", "pool3"], pooling="avg", padding="zeros",
        padding_first="zeros", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), **options,
    )  # fmt: skip


@needs_winograd
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(5, 60), st.integers(5, 60), st.sampled_from([0, 1, 2]),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_winograds_algorithm_gives_sums_of_products(channels, filters, height, width, margin, biased):
    x, weight = random(1, channels, height, width), random(filters, channels, 3, 3, seed=1)
    bias = random(filters, seed=2) if biased else None
    found = convolution(x, weight, bias, margin, workspace=WORKSPACE_BYTES)
    exact = F.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), padding=margin)
    assert found.shape == exact.shape
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() <= 1e-4 * exact.abs().max()


@needs_winograd
def test_small_results_are_sums_of_products_to_the_bit():
    weight, side = random(8, 8, 3, 3, seed=1), int(WINOGRAD_POSITIONS**0.5)
    small, large = random(1, 8, side, side), random(1, 8, side + 1, side + 1)
    for x, same in ((small, True), (large, False)):
        by_winograd, direct = (convolution(x, weight, None, 1, workspace=each) for each in (WORKSPACE_BYTES, 0))
        assert torch.equal(by_winograd, direct) is same


@needs_winograd
def test_a_picture_alone_is_the_same_to_the_bit_as_in_a_batch_and_with_any_number_of_threads():
    x, weight, bias = random(3, 24, 37, 41), random(40, 24, 3, 3, seed=1), random(40, seed=2)
    together = convolution(x, weight, bias, 1, workspace=WORKSPACE_BYTES)
    for threads in (1, 2, 3):
        with numerics(threads, tf32=False):
            for one, same in zip(x.split(1), together.split(1), strict=True):
                assert torch.equal(convolution(one, weight, bias, 1, workspace=WORKSPACE_BYTES), same)


@needs_winograd
@pytest.mark.parametrize("margin", [0, 1, 2])
def test_strip_by_strip_it_is_the_same_to_the_bit(margin):
    x, weight, bias = random(1, 9, 47, 50), random(11, 9, 3, 3, seed=1), random(11, seed=2)
    whole = convolution(x, weight, bias, margin, workspace=WORKSPACE_BYTES)
    for rows in (1, 6, 13, 24):
        workspace = workspace_bytes(20, rows, whole.shape[-1])
        assert torch.equal(convolution(x, weight, bias, margin, workspace=workspace), whole)


@needs_winograd
def test_activations_and_gradients_are_those_of_the_network_in_float64():
    def seen_by(one: vgg.VGG19, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        taps = one(image.requires_grad_())
        return taps, torch.autograd.grad(sum(tap.square().mean() for tap in taps.values()), image)[0]

    image = torch.rand(2, 3, 61, 46, generator=torch.Generator().manual_seed(3))
    taps, gradient = seen_by(network(winograd=True), image.clone())
    exact, exact_gradient = seen_by(network().double(), image.double())
    for name, tap in taps.items():
        assert (tap - exact[name]).abs().max() <= 1e-4 * exact[name].abs().max()
    # Units near 0 go on or off by rounding, each of which is a step of the gradient.
    assert (gradient - exact_gradient).norm() < 1e-3 * exact_gradient.norm()


@needs_winograd
def test_only_float32_on_a_cpu_is_by_winograds_algorithm():
    assert network(winograd=True).winograd
    assert not network().winograd
    assert not network(winograd=True, bfloat16=True).winograd
    moved, image = network(winograd=True), random(1, 3, 40, 40)
    moved(image)  # what it has prepared for float32 is of no use in float64
    moved = moved.double()
    assert not moved.winograd
    assert torch.equal(moved(image.double())["pool3"], network().double()(image.double())["pool3"])
    assert not network(winograd=True).to("meta").winograd


@needs_winograd
def test_a_run_differs_by_rounding_alone():
    overrides = [*TINY, "size=64", "optimizer.evaluations=3"]
    content, style = nst_lab.load_image("chelsea"), nst_lab.load_image("mosaic")
    totals = []
    for winograd in ("true", "false"):
        config = nst_lab.compose([*overrides, f"runner.winograd={winograd}"])
        totals.append(nst_lab.transfer(content, [style], config).history)
    by_winograd, direct = totals
    assert by_winograd != direct
    assert by_winograd == pytest.approx(direct, rel=1e-3)


@pytest.mark.parametrize(("before", "after"), [(None, "10000"), ("77", "77")])
def test_threads_with_nothing_to_do_give_way_unless_the_user_says_otherwise(before, after):
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    environment |= {"GOMP_SPINCOUNT": before} if before else {}
    shown = "import os, nst_lab; print(os.environ['GOMP_SPINCOUNT'])"
    done = subprocess.run([sys.executable, "-c", shown], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after
