"""The preconditioner of L-BFGS: curvature of the content loss by its closed form, and what it is worth."""

import pytest
import torch
from torch import Tensor

import nst_lab
from nst_lab.errors import ConfigError
from nst_lab.losses.guidance import Masks
from nst_lab.losses.objective import Objective
from nst_lab.memory import Memory
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.preconditioner import LEAST_FLOOR, content_preconditioner
from nst_lab.optimisation.synthesis import Synthesis, own_network

BASE = ("size=48", "model.weights=random", "model.normalized=false", "device=cpu", "content=camera", "style=mosaic",
        "size_rule=exact")  # fmt: skip
CONTENT, STYLE = (torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(k)) ** (1 + 2 * k) for k in range(2))

NETWORK = own_network(nst_lab.compose([*BASE, "layers.content=[relu3_1,relu4_2,conv4_2]"]))


def objective(*overrides: str, masks: Masks | None = None, in_strips: bool = False) -> Objective:
    config = nst_lab.compose([*BASE, *overrides])
    network = own_network(config).requires_grad_(False)
    return Objective(network, CONTENT, {"mosaic": STYLE}, config, masks=masks, in_strips=in_strips)


def pairs_of(*overrides: str, inputs: Inputs | None = None) -> Tensor:
    """The preconditioner that a run's L-BFGS begins with."""
    config = nst_lab.compose([*BASE, "optimizer.evaluations=2", *overrides])
    synthesis = Synthesis(inputs or Inputs(CONTENT, {"mosaic": STYLE}), config)
    synthesis.step()
    return synthesis.pairs().preconditioner


def test_the_curvature_of_a_convolution_by_its_closed_form():
    """Inside, every pixel of a channel is held by the sum of squares of all filters there."""
    one = objective("layers.content=[conv1_1]", "loss.style_weight=0")
    weight, *_ = one.network.filters("conv1_1")
    squares = weight.square().sum((0, 2, 3))
    found = content_preconditioner(one, CONTENT)[0, :, 6:-6, 6:-6]
    mean = (1 / found - LEAST_FLOOR).mean()
    expected = 1 / (mean * squares / squares.mean() + LEAST_FLOOR)
    torch.testing.assert_close(found.mean((1, 2)), expected, rtol=0.05, atol=0)
    assert found.std((1, 2)).div(found.mean((1, 2))).max() < 0.15
    assert mean == pytest.approx(1, abs=0.15)  # the borders are held by fewer filters


def test_the_more_the_style_weighs_the_less_pixels_differ():
    """ρ is proportional to β / α."""
    floors = []
    for weight in (1e6, 1e5, 1e4):
        alpha = f"loss.content_weight={weight}"
        both, alone = (objective("layers.content=[relu3_1]", alpha, f"loss.style_weight={beta}") for beta in (1e9, 0))
        raised = 1 / content_preconditioner(both, CONTENT) - 1 / content_preconditioner(alone, CONTENT)
        floors.append((raised.mean() + LEAST_FLOOR).item())
        assert raised.std() < 1e-3 * floors[-1]  # for all pixels alike
    assert floors[1] == pytest.approx(10 * floors[0], rel=1e-3)
    assert floors[2] == pytest.approx(100 * floors[0], rel=1e-3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "overrides", [[], ["loss.style_reduction=sum", "loss.gram_divisor=none"], ["loss.style_scale=target"]]
)
def test_gram_matrices_count_as_in_the_loss(overrides, masked):
    left = torch.zeros(1, 1, 48, 48)
    left[..., :24] = 1
    one = objective("layers.content=[relu3_1]", *overrides, masks=Masks({"mosaic": left}) if masked else None)
    picture = (STYLE + CONTENT) / 2
    _, measured = one.represent(picture)
    errors = {place: gram - one.style_targets["mosaic"][place[1]][0] for place, (gram,) in measured.items()}
    total = sum(one.gram_weights()[place] * error.square().sum() for place, error in errors.items())
    torch.testing.assert_close(total, one(picture).style, rtol=1e-4, atol=0)


def test_styles_that_see_the_whole_picture_weigh_together():
    weights = []
    for images, own in (("[mosaic]", "null"), ("[mosaic,ink_wash]", "[1,3]")):
        config = nst_lab.compose([*BASE, "layers.content=[relu3_1]", f"style.images={images}", f"style.weights={own}"])
        network = own_network(config).requires_grad_(False)
        pictures = dict(zip(("mosaic", "ink_wash"), (STYLE, CONTENT), strict=True))
        used = {name: pictures[name] for name in ("mosaic", "ink_wash") if name in images}
        weights.append(Objective(network, CONTENT, used, config).gram_weights())
    assert weights[1] == pytest.approx(weights[0])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
def test_layers_count_as_in_the_loss(reduction, masked):
    layers = "layers.content=[conv1_1,relu3_1]", "layers.content_weights=[3,0.5]"
    masks = Masks(content=torch.linspace(0, 1, 48).expand(1, 1, 48, 48)) if masked else None
    one = objective(*layers, f"loss.content_reduction={reduction}", masks=masks)
    represented, _ = one.represent(STYLE)
    errors = {layer: (value - one.content_targets[layer]).square().sum() for layer, value in represented.items()}
    total = sum(one.content_weights()[layer] * error for layer, error in errors.items())
    torch.testing.assert_close(total, one(STYLE).content)


def test_where_the_content_does_not_count_steps_are_longest():
    mask = torch.ones(1, 1, 48, 48)
    mask[..., :24] = 0
    masked = objective("layers.content=[relu2_1]", "loss.style_weight=0", masks=Masks(content=mask))
    found = content_preconditioner(masked, CONTENT)
    assert torch.equal(found[..., :8], torch.full_like(found[..., :8], 1 / LEAST_FLOOR))
    assert found[..., 36:].mean() == pytest.approx(1, rel=0.3)  # and elsewhere they are as ever


@pytest.mark.parametrize("content", ["content_weight", "flat", "style"])
def test_without_a_content_it_is_the_identity(content):
    if content == "content_weight":
        assert pairs_of("loss.content_weight=0").shape == (1, 1)
    elif content == "style":
        none = Inputs(None, {"mosaic": STYLE})
        assert pairs_of("loss.content_weight=0", "content.image=null", "init=noise", inputs=none).shape == (1, 1)
    else:
        dead = objective("layers.content=[relu1_1]")
        dead.content_guides = {"relu1_1": torch.zeros(())}
        assert content_preconditioner(dead, CONTENT).unique().numel() == 1  # no curvature anywhere: the same everywhere


@pytest.mark.parametrize("shallow", [True, False])
def test_it_is_the_same_strip_by_strip(shallow):
    layers = "layers.content=[relu2_2]" if shallow else "layers.content=[relu4_2]"
    whole, strips = (content_preconditioner(objective(layers, in_strips=way), CONTENT) for way in (False, True))
    torch.testing.assert_close(strips, whole, rtol=1e-4, atol=1e-5)


def test_it_does_not_depend_on_the_seed_and_leaves_the_draws_alone():
    before = torch.get_rng_state()
    one, other = (pairs_of("layers.content=[relu3_1]", f"seed={seed}") for seed in (0, 1))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_measured_is_measured_once_for_cells_with_one_content():
    memory = Memory(2**24)
    for count, overrides in enumerate([
        ("loss.content_weight=1e4",), ("loss.content_weight=1e5", "layers.content_weights=[7]"),
        ("layers.content=[relu3_1]",), ("layers.style_weights=[1,2,3,4,5]",),
    ]):  # fmt: skip
        config = nst_lab.compose([*BASE, *overrides])
        Synthesis(Inputs(CONTENT, {"mosaic": STYLE}), config, NETWORK, memory=memory).step()
        assert sum(key[0] == "curvatures" for key in memory.kept) == max(1, count)


def test_one_grey_channel_has_one_value_a_pixel():
    grey = pairs_of("color=luminance", "layers.content=[relu3_1]")
    assert grey.shape == (1, 48 * 48)
    assert grey.std() > 0.02
    one = objective("layers.content=[conv1_1]", "loss.style_weight=0")
    weight, *_ = one.network.filters("conv1_1")
    weight.copy_(
        weight.mean(dim=1, keepdim=True) - weight.mean()
    )  # all channels alike: the curvature of grey is nine times
    grey, colours = content_preconditioner(one, CONTENT, grey=True), content_preconditioner(one, CONTENT)
    assert grey.shape == (1, 1, 48, 48)
    torch.testing.assert_close(
        grey, colours[:, :1], rtol=1e-4, atol=1e-5
    )  # … which P, relative to the mean, does not see


@pytest.mark.parametrize(
    "other",
    [
        "optimizer=adam", "optimizer=lbfgs_torch", "parametrisation=fourier", "loss.statistic=bn", "init=noise",
        "init=gray", "init=mix", "init=style",
    ],
)  # fmt: skip
def test_others_do_without_it(other):
    runs = []
    for kind in ("none", "content"):
        config = nst_lab.compose([*BASE, "optimizer.evaluations=3", other, f"optimizer.preconditioner={kind}"])
        runs.append([step.image for step in Synthesis(Inputs(CONTENT, {"mosaic": STYLE}), config)])
    for plain, same in zip(*runs, strict=True):
        assert torch.equal(plain, same)


def test_it_saves_evaluations():
    """Real weights; the larger the picture, the more."""
    pictures = nst_lab.load_image("chelsea"), [nst_lab.load_image("starry_strokes")]
    best = {}
    for kind in ("none", "content"):
        config = nst_lab.compose(
            [
                "content=chelsea",
                "style=starry_strokes",
                "size=128",
                "size_rule=exact",
                "device=cpu",
                "optimizer.evaluations=50",
                f"optimizer.preconditioner={kind}",
            ]
        )
        best[kind] = min(nst_lab.transfer(*pictures, config).history)
    assert best["content"] < 0.93 * best["none"]


def test_a_wrong_one_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer.preconditioner=jacobi: expected one of none, content"):
        nst_lab.compose(["optimizer.preconditioner=jacobi"])
