"""Fine structures of one style on the coarse ones of another: what is mixed, and what it takes the place of."""

from dataclasses import replace

import pytest
import torch
from conftest import TINY

import nst_lab
from nst_lab.config.composition import compose
from nst_lab.errors import ConfigError
from nst_lab.images.pictures import resize
from nst_lab.losses.objective import needed_taps
from nst_lab.memory import Memory
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.scale_mixing import fine_size, mix_scales
from nst_lab.optimisation.scales import sizes_at
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import check_sizes, load_inputs
from nst_lab.running.networks import shared_network
from nst_lab.running.runs import identify
from nst_lab.sweeps import estimate

TWO = "style.images=[mosaic,ink_wash]"


def tiny(*overrides):
    return compose([*TINY, *overrides])


def random_picture(height, width, seed):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_mixing_is_a_style_transfer_from_the_coarse_image_on_the_fine_layers():
    coarse, fine = map(nst_lab.load_image, ("cubist_shards", "pointillist_garden"))
    config = tiny("style.images=[cubist_shards]", "style.fine=[pointillist_garden]", "style.fine_evaluations=6")
    mixed = Synthesis(load_inputs(config), config).inputs
    direct = tiny(
        "style.images=[pointillist_garden]", "content.image=cubist_shards", "loss.content_weight=0",
        "optimizer.evaluations=6", "optimizer.warm_start=none",
    )  # fmt: skip
    expected = nst_lab.transfer(coarse, [fine], direct)
    torch.testing.assert_close(mixed.styles["cubist_shards"], expected.image)
    assert mixed.fine == {}


def test_the_mixture_takes_the_place_of_the_style():
    config = tiny("style.images=[cubist_shards]", "style.fine=[pointillist_garden]", "style.fine_evaluations=6")
    content = nst_lab.load_image("chelsea")
    mixture = Synthesis(load_inputs(config), config).inputs.styles["cubist_shards"]
    by_hand = nst_lab.transfer(content, [mixture], tiny("style.images=[cubist_shards]"))
    styles = [nst_lab.load_image(name) for name in ("cubist_shards", "pointillist_garden")]
    mixed = nst_lab.transfer(content, styles[:1], config, fine=styles[1:])
    torch.testing.assert_close(mixed.image, by_hand.image)
    plain = nst_lab.transfer(content, styles[:1], tiny("style.images=[cubist_shards]"))
    assert not torch.allclose(mixed.image, plain.image)


def test_fine_layers_are_needed_only_where_something_is_mixed():
    deep = ["style.fine_layers=[relu3_1]", TWO]
    assert "relu3_1" not in needed_taps(tiny(*deep))
    assert "relu3_1" in needed_taps(tiny(*deep, "style.fine=[null,mosaic]"))
    assert "relu3_1" not in needed_taps(tiny(*deep, "style.fine=[null,mosaic]", "style.weights=[1,0]"))
    mixing = tiny(TWO, "style.fine=[null,mosaic]")
    assert estimate.seconds(mixing, 1e9) > 5 * estimate.seconds(tiny(TWO), 1e9)
    assert fine_size((100, 10), (24, 32)) == (32, 3)


def test_a_fine_image_that_is_too_narrow_is_told_before_any_work(here):
    nst_lab.save_image(torch.rand(1, 3, 2, 90), here / "narrow.png")
    with pytest.raises(ConfigError, match=r"the fine image of starry_strokes becomes 32x1 pixels"):
        check_sizes(tiny(f"style.fine=[{here}/narrow.png]"))


def test_fine_layers_alone_say_how_large_a_fine_image_must_be(here):
    nst_lab.save_image(torch.rand(1, 3, 10, 80), here / "narrow.png")  # 32x4 pixels
    check_sizes(tiny(f"style.fine=[{here}/narrow.png]", "layers.style=[relu1_1,relu4_1]"))
    deeper = tiny(f"style.fine=[{here}/narrow.png]", "style.fine_layers=[relu4_1]")
    with pytest.raises(ConfigError, match=r"becomes 32x4 pixels, but relu4_1 needs at least 8 on each side"):
        check_sizes(deeper)


@pytest.mark.parametrize(
    "overrides",
    [
        ["loss.style_weight=0", "init=style"],
        ["content=none", "loss.content_weight=0", "loss.style_weight=0", "loss.tv_weight=1", "init=style"],
    ],
)
def test_a_style_that_is_only_the_start_is_mixed_too(overrides):
    config = tiny("style.fine_evaluations=2", *overrides)
    content, style, fine = random_picture(24, 32, 0), random_picture(32, 32, 1), random_picture(32, 32, 2)
    steps = []
    nst_lab.transfer(
        None if "content=none" in overrides else content, [style], config, fine=[fine], on_step=steps.append
    )
    mixture = Synthesis(Inputs(None, {"starry_strokes": style}, fine={"starry_strokes": fine}), named(config))
    expected = mixture.inputs.styles["starry_strokes"]
    torch.testing.assert_close(steps[0].image, resize(expected, *steps[0].image.shape[-2:]))
    assert not torch.allclose(expected, style)


def named(config):
    return replace(config, style=replace(config.style, fine=["mosaic"]))


def test_fine_pictures_need_not_be_named():
    """The network reaches their layers all the same."""
    pictures = [random_picture(32, 32, seed) for seed in range(3)]
    plain = tiny("style.fine_layers=[relu1_1,relu3_1]", "style.fine_evaluations=2")
    unnamed, by_name = (
        nst_lab.transfer(pictures[0], pictures[1:2], config, fine=pictures[2:]) for config in (plain, named(plain))
    )
    assert torch.equal(unnamed.image, by_name.image)
    assert not torch.equal(unnamed.image, nst_lab.transfer(pictures[0], pictures[1:2], plain).image)
    with pytest.raises(ConfigError, match=r"style\.fine_layers=\[\]: at least one layer"):
        nst_lab.transfer(pictures[0], pictures[1:2], tiny("style.fine_layers=[]"), fine=pictures[2:])


@pytest.mark.parametrize("scales", ["null", "[{factor: 0.5, share: 1}, {factor: 1, share: 1}]"])
@pytest.mark.parametrize("rule", ["longer", "area"])
def test_the_sizes_of_a_texture_are_those_without_a_fine_image(rule, scales):
    """The style's own size counts, not that of the mixture, whose aspect is rounded."""
    config = tiny(
        "content=none", "loss.content_weight=0", "init=noise", "size=64", "style.sizes=[16]", f"size_rule={rule}",
        "style.fine_evaluations=1", f"scales={scales}",
    )  # fmt: skip
    style, fine = random_picture(36, 100, 0), random_picture(32, 32, 1)
    sizes = []
    for given in (None, [fine]):
        steps = []
        nst_lab.transfer(None, [style], config, fine=given, on_step=steps.append)
        sizes.append([step.image.shape[-2:] for step in steps])
    assert sizes[0] == sizes[1]
    assert sizes[0][-1] == sizes_at(None, {"starry_strokes": (36, 100)}, None, config)[0]


def test_a_sweep_mixes_once():
    config = tiny("style.fine=[mosaic]", "style.fine_evaluations=2")
    network, memory, _ = shared_network(config, identify(config).hashes)
    pictures = [torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    first = mix_scales(pictures[0], pictures[1], config, network, memory)
    again = mix_scales(
        pictures[0], pictures[1], tiny("style.fine=[mosaic]", "style.fine_evaluations=2"), network, memory
    )
    assert again is first
    assert mix_scales(pictures[0], pictures[2], config, network, memory) is not first
    longer = tiny("style.fine=[mosaic]", "style.fine_evaluations=3")
    assert mix_scales(pictures[0], pictures[1], longer, network, memory) is not first
    assert torch.equal(mix_scales(pictures[0], pictures[1], config, network, Memory(0)), first)
