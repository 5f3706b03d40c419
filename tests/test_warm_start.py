"""How our L-BFGS begins: from a content in the style's colours, and reviving units of the content that are off."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab import compose
from nst_lab.errors import ConfigError
from nst_lab.losses.objective import needed_taps
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.synthesis import Synthesis, own_network
from nst_lab.running.runner import load_inputs

CONTENT, STYLE = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(k)) ** (1 + 2 * k) for k in range(2))
TINY = ("size=32", "model.weights=random", "model.normalized=false", "layers.content=[relu1_1]",
        "layers.style=[relu1_1]", "optimizer.evaluations=4")  # fmt: skip


def pictures(*overrides: str, styles: int = 1) -> list[Tensor]:
    config = compose([*TINY, *overrides])
    given = dict(zip(("starry_strokes", "mosaic"), (STYLE, STYLE.flip(1)), strict=True))
    inputs = Inputs(CONTENT, {name: given[name] for name in list(given)[:styles]})
    return [step.image for step in Synthesis(inputs, config)]


def covariance(image: Tensor) -> Tensor:
    return image[0].double().flatten(1).cov(correction=0)


def test_a_warm_start_is_the_content_in_the_colours_of_the_style():
    start, leap, *_ = pictures()
    assert torch.equal(start, CONTENT)
    torch.testing.assert_close(leap.mean((2, 3)), STYLE.mean((2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(covariance(leap), covariance(STYLE), rtol=1e-4, atol=1e-6)


def test_several_styles_give_their_colours_together():
    two = ("style.images=[starry_strokes,mosaic]", "style.weights=[3,1]", "style.profile=null")
    leap = pictures(*two, styles=2)[1]
    both = torch.cat([STYLE, STYLE, STYLE, STYLE.flip(1)], dim=3)
    torch.testing.assert_close(leap.mean((2, 3)), both.mean((2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(covariance(leap), covariance(both), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "cold",
    ["optimizer.warm_start=none", "init=noise", "init=gray", "optimizer=adam", "init=style"],
)
def test_without_a_warm_start_the_first_step_is_a_small_one(cold):
    start, second, *_ = pictures(cold)
    assert (second - start).square().mean().sqrt() < 0.03


@pytest.mark.parametrize("revive", [0, 1, 2, 30])
def test_a_warm_start_that_costs_more_than_it_gains_is_given_up(revive):
    start, leap, third, *_ = pictures("loss.content_weight=1e14", f"optimizer.revive={revive}")
    assert (leap - start).square().mean().sqrt() > 0.05
    assert (third - start).square().mean().sqrt() < 0.011


def revived(*overrides: str) -> list[Step]:
    config = compose([*TINY, "optimizer.evaluations=30", "optimizer.tolerance=0", *overrides])
    return list(Synthesis(Inputs(CONTENT, {"starry_strokes": STYLE}), config))


def test_reviving_changes_the_way_and_not_the_losses_told():
    plain, other = revived("init=noise", "optimizer.revive=0"), revived("init=noise", "optimizer.revive=5")
    assert plain[0].losses.to_floats() == other[0].losses.to_floats()
    assert not torch.equal(plain[1].image, other[1].image)
    network = own_network(compose([*TINY, "optimizer.revive=0"]))
    with torch.no_grad():
        target = network(CONTENT)["relu1_1"]
        for step in other:
            error = F.mse_loss(network(step.image)["relu1_1"], target)
            torch.testing.assert_close(step.losses.terms["content/relu1_1"], error, rtol=1e-4, atol=0)


@pytest.mark.parametrize("revive", [1, 2, 3, 10, 1000])
def test_a_larger_budget_begins_alike(revive):
    shorter, longer = (revived(f"optimizer.revive={revive}", f"optimizer.evaluations={n}") for n in (8, 16))
    for one, same in zip(shorter, longer, strict=False):
        assert torch.equal(one.image, same.image)


@pytest.mark.parametrize("done", [3, 5, 6, 7])
def test_a_run_is_taken_up_while_reviving_and_after(done):
    config = compose([*TINY, "optimizer.evaluations=12", "optimizer.tolerance=0", "optimizer.revive=6"])
    inputs = Inputs(CONTENT, {"starry_strokes": STYLE})
    whole = [step.image for step in Synthesis(inputs, config)]
    stopped = Synthesis(inputs, config)
    steps = iter(stopped)
    for _ in range(done):
        next(steps)
    other = Synthesis(inputs, config)
    other.load_state_dict(stopped.state_dict())
    for one, same in zip(whole[done:], [step.image for step in other], strict=True):
        assert torch.equal(one, same)


@pytest.mark.slow
def test_revived_units_are_content_that_is_not_lost():
    """Without, the most active channel of relu4_2 is off, and what turns it on again comes late."""
    pair = ["content=astronaut", "style=composition_shapes", "size=128", "size_rule=exact"]
    noise = ["init=noise", "init.noise_std=0.25", "optimizer.evaluations=60"]
    totals = []
    for revive in (0, 30):
        config = compose([*pair, *noise, f"optimizer.revive={revive}"])
        totals.append(min(step.losses.total.item() for step in Synthesis(load_inputs(config), config)))
    assert totals[1] < 0.7 * totals[0]


def test_a_wrong_warm_start_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer.warm_start=colours: expected one of none, colors"):
        compose(["optimizer.warm_start=colours"])
    with pytest.raises(ConfigError, match=r"optimizer.revive=-1: expected a finite number, at least 0"):
        compose(["optimizer.revive=-1"])


def test_only_l_bfgs_with_a_content_reads_what_is_before_its_relus():
    assert needed_taps(compose([])) == ["relu4_2", "conv4_2", "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    for without in ("optimizer.revive=0", "optimizer=adam", "optimizer=lbfgs_torch", "loss.content_weight=0"):
        assert "conv4_2" not in needed_taps(compose([without]))
    assert needed_taps(compose(["layers.content=[pool4,conv4_2]", "loss.style_weight=0"])) == ["pool4", "conv4_2"]
