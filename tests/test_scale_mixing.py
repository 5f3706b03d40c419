"""Fine structures of one style on the coarse ones of another: what is mixed, and what it takes the place of."""

import pytest
import torch
from conftest import TINY

import nst_lab
from nst_lab.config.composition import compose
from nst_lab.errors import ConfigError
from nst_lab.losses.objective import needed_taps
from nst_lab.memory import Memory
from nst_lab.optimisation.scale_mixing import fine_size, mix_scales
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import check_sizes, load_inputs
from nst_lab.running.networks import shared_network
from nst_lab.running.runs import identify
from nst_lab.sweeps import estimate

TWO = "style.images=[mosaic,ink_wash]"


def tiny(*overrides):
    return compose([*TINY, *overrides])


def test_mixing_is_a_style_transfer_from_the_coarse_image_on_the_fine_layers():
    coarse, fine = map(nst_lab.load_image, ("cubist_shards", "pointillist_garden"))
    config = tiny("style.images=[cubist_shards]", "style.fine=[pointillist_garden]", "style.fine_evaluations=6")
    mixed = Synthesis(load_inputs(config), config).inputs
    direct = tiny(
        "style.images=[pointillist_garden]", "content.image=cubist_shards", "loss.content_weight=0",
        "optimizer.evaluations=6",
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
