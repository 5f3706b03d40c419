"""Masks at the layers of the network, and the terms that they confine, against closed forms and the network itself."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nst_lab import compose
from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.errors import ConfigError
from nst_lab.images.pictures import resize_mask
from nst_lab.losses.guidance import Masks, at_layers, guides_of
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.losses.style import statistic
from nst_lab.losses.terms import gram_matrix
from nst_lab.memory import Memory
from nst_lab.network.vgg import build_network
from nst_lab.network.weights import Weights, load_weights

KERNELS = load_weights("random", 2).kernels
TAPS = ["layers.content=[relu2_1]", "layers.style=[relu1_1,relu2_1]"]
TWO = "style.images=[starry_strokes,woodcut_waves]"
NAMES = ("starry_strokes", "woodcut_waves")
GUIDABLE = [name for name, traits in STATISTICS.items() if traits.guidable]


def configuration(*overrides: str) -> Config:
    return compose(["model.weights=random", "model.normalized=false", *TAPS, *overrides])


def picture(seed: int, height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def halves(height: int = 16, width: int = 24) -> tuple[Tensor, Tensor]:
    left = (torch.arange(width) < width // 2).float().expand(1, 1, height, width)
    return left, 1 - left


def network_of(config: Config) -> torch.nn.Module:
    return build_network(config.model, Weights(KERNELS, None), needed_taps(config)).double()


def objective_of(config: Config, masks: Masks | None = None, memory: Memory | None = None) -> Objective:
    styles = {name: picture(100 + k, 16, 20 + 2 * k) for k, name in enumerate(config.style.images)}
    return Objective(network_of(config), picture(0), styles, config, memory, masks)


# From pixels to layers


def test_resampling_averages_the_pixels_that_a_position_stands_for() -> None:
    mask = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    guides = at_layers(mask, ["relu1_2", "relu2_1", "pool3"], "resample")
    assert torch.equal(guides["relu1_2"], mask)
    torch.testing.assert_close(guides["relu2_1"], F.avg_pool2d(mask, 2))
    torch.testing.assert_close(guides["pool3"], F.avg_pool2d(mask, 8))


def test_inside_takes_the_minimum_of_every_window_by_hand() -> None:
    mask = torch.ones(1, 1, 8, 12)
    mask[..., 5] = 0  # one column is out
    guides = at_layers(mask, ["conv1_1", "conv1_2", "pool1", "conv2_1"], "inside")
    out = {
        name: [column for column, value in enumerate(guide[0, 0, 0]) if value == 0] for name, guide in guides.items()
    }
    assert out == {"conv1_1": [4, 5, 6], "conv1_2": [3, 4, 5, 6, 7], "pool1": [1, 2, 3], "conv2_1": [0, 1, 2, 3, 4]}
    assert all(torch.equal(guide, guide[..., :1, :].expand_as(guide)) for guide in guides.values())  # no edge above


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("layer", ["relu1_2", "relu2_1", "relu2_2", "relu3_1"])
def test_inside_agrees_with_the_receptive_fields_of_the_network(layer: str, pooling: str) -> None:
    """A position has weight exactly where no pixel outside of the region can alter its features."""
    config = configuration(f"layers.style=[{layer}]", f"model.pooling={pooling}", "loss.content_weight=0")
    network, image = network_of(config), picture(3, 32, 48)
    region = torch.zeros(1, 1, 32, 48)
    region[..., :25, 8:41] = 1
    guide = at_layers(region, [layer], "inside")[layer]
    moved = torch.zeros(guide.shape, dtype=torch.bool)
    for seed in range(20):  # a ReLU hides some of the changes
        noise = (torch.rand(image.shape, generator=torch.Generator().manual_seed(seed)).double() - 0.5) * (1 - region)
        changed = (network(image + 4 * noise)[layer] - network(image)[layer]).abs().amax(1, keepdim=True)
        moved |= changed > 0
    assert guide.sum() > 0
    assert torch.equal(guide == 0, moved)


@pytest.mark.slow
@pytest.mark.parametrize("guidance", ["resample", "inside"])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), height=st.integers(8, 33), width=st.integers(8, 33))
def test_a_mask_at_a_layer_has_its_size_and_stays_in_range(guidance: str, seed: int, height: int, width: int) -> None:
    mask = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    taps = ["conv1_1", "relu2_1", "pool3"]
    config = configuration(f"layers.style=[{','.join(taps)}]", "loss.content_weight=0")
    features = network_of(config)(picture(1, height, width))
    for layer, guide in at_layers(mask, taps, guidance).items():
        assert guide.shape[-2:] == features[layer].shape[-2:]
        assert mask.min() <= guide.min()
        assert guide.max() <= mask.max()


def test_a_guide_has_mean_square_one_whatever_the_scale_of_its_mask() -> None:
    mask = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    for guidance in ("resample", "inside"):
        for layer, guide in guides_of(mask, ["relu1_1", "relu2_1"], guidance, "it").items():
            assert guide.square().mean().item() == pytest.approx(1, rel=1e-6)
            for power in (2, 70, 120):
                fainter = guides_of(0.5**power * mask, ["relu1_1", "relu2_1"], guidance, "it")[layer]
                torch.testing.assert_close(fainter, guide)
        with pytest.raises(ConfigError, match="it vanishes at relu1_1"):
            guides_of(torch.full((1, 1, 4, 4), 1e-40), ["relu1_1"], guidance, "it")


def test_a_region_that_vanishes_is_named_with_what_to_do() -> None:
    mask = torch.zeros(1, 1, 16, 24)
    mask[..., :3] = 1
    masks = Masks(regions={"woodcut_waves": mask})
    config = configuration(TWO, "style.masks=[null,rocket_sky]", "style.guidance=inside")
    with pytest.raises(ConfigError) as caught:
        objective_of(config, masks)
    assert str(caught.value) == (
        "style.masks=rocket_sky: the region of woodcut_waves vanishes at relu2_1, where no receptive field lies inside "
        "of it at 24x16 pixels; choose style.guidance=resample, shallower layers or a larger size"
    )
    objective_of(configuration(TWO), masks)  # resampled, it is there
    with pytest.raises(
        ConfigError, match=r"style\.guides: the part taken from woodcut_waves vanishes.* is black there"
    ):
        objective_of(configuration(TWO), Masks(parts={"woodcut_waves": torch.zeros(1, 1, 16, 22)}))
    with pytest.raises(ConfigError, match=r"content\.mask: .* is black there; expected one with some white"):
        objective_of(configuration(), Masks(content=torch.zeros(1, 1, 16, 24)))


# Terms


@pytest.mark.parametrize("name", GUIDABLE)
@pytest.mark.parametrize("guidance", ["resample", "inside"])
def test_masks_of_ones_are_no_masks(name: str, guidance: str) -> None:
    config = configuration(TWO, f"loss.statistic={name}", f"style.guidance={guidance}")
    ones = {style: torch.ones(1, 1, 16, 24) for style in NAMES}
    parts = {style: torch.ones(1, 1, 16, 20 + 2 * k) for k, style in enumerate(NAMES)}
    masked = objective_of(config, Masks(ones, parts, torch.ones(1, 1, 16, 24)))(picture(1)).to_floats()
    assert masked == objective_of(config)(picture(1)).to_floats()


def test_half_masks_measure_the_halves() -> None:
    """Scaled to mean square 1, a half counts as if it were all there is."""
    features = torch.rand(1, 5, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name in GUIDABLE:
        measure = statistic(compose([f"loss.statistic={name}"]), "relu1_1").measure
        for mask, half in zip(halves(6, 8), (features[..., :4], features[..., 4:]), strict=True):
            guide = guides_of(mask, ["relu1_1"], "resample", "it")["relu1_1"]
            for guided, alone in zip(measure(features, guide), measure(half), strict=True):
                torch.testing.assert_close(guided, alone, rtol=1e-6, atol=1e-12)


def test_the_terms_are_those_of_the_guided_grams() -> None:
    config = configuration(TWO, "loss.content_weight=0", "style.weights=[3,1]")
    left, right = halves()
    part = torch.rand(1, 1, 16, 22, generator=torch.Generator().manual_seed(5))
    losses = objective_of(config, Masks({NAMES[0]: left, NAMES[1]: right}, {NAMES[1]: part}))(picture(1))
    network, expected = network_of(config), 0.0
    styles = [network(picture(100, 16, 20)), network(picture(101, 16, 22))]
    ours = network(picture(1))
    for layer in ("relu1_1", "relu2_1"):
        for share, name, mask, theirs in zip((0.75, 0.25), NAMES, (left, right), styles, strict=True):
            t = mask if layer == "relu1_1" else F.avg_pool2d(mask, 2)
            guided = gram_matrix(ours[layer] * t / t.square().mean().sqrt())
            own = theirs[layer]
            if name == NAMES[1]:
                u = part if layer == "relu1_1" else F.avg_pool2d(part, 2)
                own = own * u / u.square().mean().sqrt()
            error = (guided - gram_matrix(own)).square().mean().item()
            assert losses.terms[f"style/{name}/{layer}"].item() == pytest.approx(error, rel=1e-6)
            expected += 1e9 * share * 0.5 * error
    assert losses.total.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_content_mask_weighs_squared_differences(reduction: str) -> None:
    config = configuration("loss.style_weight=0", f"loss.content_reduction={reduction}", "loss.content_weight=1")
    mask = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(5))
    total = objective_of(config, Masks(content=mask))(picture(1)).total
    network = network_of(config)
    difference = network(picture(1))["relu2_1"] - network(picture(0))["relu2_1"]
    weighed = F.avg_pool2d(mask, 2) * difference.square()
    assert total.item() == pytest.approx((weighed.mean() if reduction == "mean" else weighed.sum()).item(), rel=1e-6)


def test_where_the_content_mask_is_black_the_content_is_free() -> None:
    config = configuration("loss.style_weight=0")
    left, _ = halves()
    image = picture(1).requires_grad_()
    objective_of(config, Masks(content=left))(image).total.backward()
    assert (image.grad[..., 20:] == 0).all()  # beyond the receptive fields of the left half
    assert image.grad[..., :8].abs().min() > 0


@pytest.mark.parametrize("name", GUIDABLE)
def test_the_gradient_through_guided_statistics_is_right(name: str) -> None:
    config = configuration(
        TWO, f"loss.statistic={name}", "loss.style_weight=1", "layers.style=[relu1_1]", "layers.content=[relu1_1]",
        "loss.content_weight=1", "loss.w2_eps=0.01",
    )  # fmt: skip
    left, right = halves(6, 8)
    styles = {style: picture(100 + k, 6, 8) for k, style in enumerate(NAMES)}
    soft = 0.2 + 0.6 * right
    masks = Masks({NAMES[0]: left, NAMES[1]: soft}, {NAMES[1]: soft}, soft)
    objective = Objective(network_of(config), picture(0, 6, 8), styles, config, None, masks)
    image = picture(7, 6, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: objective(x).total, (image,), eps=1e-6, atol=1e-4, rtol=1e-3)


def test_targets_of_one_memory_are_kept_apart_by_their_guides() -> None:
    memory, config = Memory(2**24), configuration(TWO, "loss.content_weight=0")
    left, right = halves(16, 22)
    values = {}
    for name, part in (
        ("none", None),
        ("left", left),
        ("right", right),
        ("soft", resize_mask(left, 16, 22) * 0.5 + 0.5),
    ):
        parts = {} if part is None else {NAMES[1]: part}
        remembered, alone = (
            objective_of(config, Masks(parts=parts), each)(picture(1)).total for each in (memory, None)
        )
        assert remembered.item() == alone.item()
        values[name] = alone.item()
    assert len(set(values.values())) == 4


# Layers of every style


def test_every_style_counts_on_its_own_layers() -> None:
    lists = "style.layers=[[relu1_1],[relu2_1,relu3_1]]"
    config = configuration(TWO, lists, "layers.style_profile=geometric", "loss.content_weight=0")
    losses = objective_of(config)(picture(1))
    first, second = f"style/{NAMES[0]}/relu1_1", f"style/{NAMES[1]}/relu"
    assert set(losses.terms) == {first, f"{second}2_1", f"{second}3_1"}
    expected = 0.5 * losses.terms[first] + 0.5 * (losses.terms[f"{second}2_1"] * 2 + losses.terms[f"{second}3_1"]) / 3
    assert losses.total.item() == pytest.approx(1e9 * expected.item())
    assert needed_taps(config) == ["relu1_1", "relu2_1", "relu3_1"]
    alone = [
        objective_of(configuration(f"style.images=[{name}]", f"layers.style={layers}", "loss.content_weight=0"))
        for name, layers in zip(NAMES, ("[relu1_1]", "[relu2_1,relu3_1]"), strict=True)
    ]
    assert losses.terms[first].item() == pytest.approx(alone[0](picture(1)).terms[first].item())


def test_the_same_layers_for_each_are_those_for_all() -> None:
    each = objective_of(configuration(TWO, "style.layers=[[relu1_1,relu2_1],[relu1_1,relu2_1]]"))(picture(1))
    assert each.to_floats() == objective_of(configuration(TWO))(picture(1)).to_floats()


def test_a_style_of_weight_zero_needs_no_layers() -> None:
    config = configuration(TWO, "style.layers=[[relu1_1],[relu5_4]]", "style.weights=[1,0]", "loss.content_weight=0")
    assert needed_taps(config) == ["relu1_1"]
