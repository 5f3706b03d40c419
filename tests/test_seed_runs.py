"""The run names of Multiple-style-transfer: what they become, what wins over them, what is not one."""

import pytest

from nst_lab import compose
from nst_lab.config.composition import Composer
from nst_lab.config.seed_runs import overrides
from nst_lab.errors import ConfigError
from nst_lab.sweeps.sweep import expand

TWO_STYLES = "pn-c1s1s4-a1b100w1-cl2_2sl1_11_22_12_23_1-oLBFGS"
RECONSTRUCTION = "pc-c10s8-a0b0_5w2-cl4_2sl1_12_13_14_15_1-oAdam"
PICTURES = ("content.image=chelsea", "style.images=[starry_strokes,woodcut_waves]")


def test_a_name_becomes_the_settings_that_it_stands_for():
    assert dict(line.split("=") for line in overrides(TWO_STYLES)) == {
        "convention": "seed",
        "size": "256",
        "content.image": "seed_c1",
        "style.images": "[seed_s1,seed_s4]",
        "style.blend": "sum",
        "layers.content": "[conv2_2]",
        "layers.style": "[conv1_1,conv1_2,conv2_1,conv2_2,conv3_1]",
        "loss.content_weight": "1",
        "loss.style_weight": "100",
        "init.kind": "noise",
        "optimizer.name": "lbfgs_torch",
    }
    other = dict(line.split("=") for line in overrides(RECONSTRUCTION))
    assert other["content.image"] == "seed_c10"
    assert other["style.images"] == "[seed_s8]"
    assert (other["loss.content_weight"], other["loss.style_weight"]) == ("0", "0.5")
    assert (other["style.blend"], other["init.kind"], other["optimizer.name"]) == ("loss_share", "content", "adam")


def test_a_name_composes_into_the_complete_convention():
    config = compose([f"seed_run={TWO_STYLES}", *PICTURES])
    assert (config.convention, config.size, config.size_rule) == ("seed", 256, "exact")
    assert config.layers.style_weights == [0.2] * 5
    assert (config.style.blend, config.style.weights, config.loss.style_weight) == ("sum", [1, 1], 100)
    assert (config.model.weights, config.model.mean, config.model.std) == ("torchvision", [0, 0, 0], [1, 1, 1])
    assert (config.init.kind, config.init.noise_mean, config.init.noise_std) == ("noise", 0, 1)
    assert (config.optimizer.name, config.optimizer.bounds) == ("lbfgs_torch", "straight_through")
    adam = compose([f"seed_run={RECONSTRUCTION}", PICTURES[0], "style=mosaic"])
    assert (adam.optimizer.learning_rate, adam.style.images) == (1e-3, ["mosaic"])


def test_whatever_is_given_beside_a_name_wins_wherever_it_stands():
    for lines in ([f"seed_run={TWO_STYLES}", *PICTURES, "size=64"], [*PICTURES, "size=64", f"seed_run={TWO_STYLES}"]):
        config = compose([*lines, "init=content", "optimizer=sgd", "layers=style_to_2", "loss.style_weight=5"])
        assert (config.size, config.init.kind, config.optimizer.name) == (64, "content", "sgd")
        assert config.layers.style == ["relu1_1", "relu2_1"]
        assert config.loss.style_weight == 5


def test_names_can_be_swept():
    cells = expand(Composer(), [f"seed_run={TWO_STYLES},{TWO_STYLES.replace('w1', 'w2')}", *PICTURES], multirun=True)
    assert [cell.config.style.blend for cell in cells] == ["sum", "loss_share"]
    assert all("convention=seed" in cell.overrides for cell in cells)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nonsense", "the start in 'nonsense'"),
        (TWO_STYLES.replace("pn", "px"), "the start in 'px'"),
        (TWO_STYLES.replace("c1s1s4", "c1"), "the images in 'c1'"),
        (TWO_STYLES.replace("c1s1s4", "c11s1"), "no image c11; the project has c1 to c10"),
        (TWO_STYLES.replace("c1s1s4", "c1s9"), "no image s9"),
        (TWO_STYLES.replace("w1", "w3"), "the weights in 'a1b100w3'"),
        (TWO_STYLES.replace("b100", "b1.5"), "the weights in"),
        (TWO_STYLES.replace("cl2_2", "cl"), "the layers in"),
        (TWO_STYLES.replace("cl2_2", "cl2_3"), "no layer conv2_3"),
        (TWO_STYLES.replace("LBFGS", "RMSprop"), "the optimiser in 'oRMSprop'"),
        (TWO_STYLES.rpartition("-")[0], "the optimiser in ''"),
        (f"{TWO_STYLES}-i10.png", "the end after"),
    ],
)
def test_a_name_that_is_not_one_is_one_line(name, what):
    with pytest.raises(ConfigError) as caught:
        compose([f"seed_run={name}", *PICTURES])
    line = str(caught.value)
    assert line.startswith(f"seed_run={name}: ")
    assert what in line
    assert "\n" not in line
