"""Profiles, and what is set for each style of its own: layers, sizes, masks; checks, fingerprints, whole runs."""

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nst_lab
from nst_lab.app import command
from nst_lab.comparison import varying
from nst_lab.config.composition import Composer, compose
from nst_lab.config.grammar import override_value
from nst_lab.errors import ConfigError
from nst_lab.figures.plan import _stand_ins, _substitutes
from nst_lab.images import catalog
from nst_lab.losses.objective import needed_taps
from nst_lab.optimisation.scales import sizes_at
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running import runs
from nst_lab.running.inputs import check_sizes, load_inputs
from nst_lab.running.recorder import hyperparameter
from nst_lab.sweeps import estimate, sweep

TWO = "style.images=[mosaic,ink_wash]"
MASKS = "style.masks=[rocket_sky,rocket_ground]"
SKY = [*TINY, "content=rocket", TWO, MASKS]
FIVE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


def tiny(*overrides):
    return compose([*TINY, *overrides])


def fingerprint(*overrides):
    return runs.identify(tiny(*overrides)).fingerprint


def paint(path, mask):
    Image.fromarray((np.asarray(mask) * 255).astype(np.uint8)).save(path)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(here):
    """Runs go there."""


# Profiles


def test_layers_of_styles_are_told_apart_and_found_again() -> None:
    one, other = [["relu1_1", "relu2_1"], ["relu3_1"]], [["relu1_1"], ["relu2_1", "relu3_1"]]
    assert hyperparameter(one) != hyperparameter(other)
    row, another = (varying.settings_of({"config": {"style": {"layers": each}}}) for each in (one, other))
    key = "style.layers"
    for text in ("[[relu1_1,relu2_1],[relu3_1]]", "[relu1_1, relu2_1], [relu3_1]"):
        assert varying.matches(row[key], text)
        assert not varying.matches(another[key], text)
    assert varying.matches(("relu1_1", "relu2_1"), "[relu1_1,'relu2_1']")
    assert varying.matches((1e6, 2.0), "[1000000, 2]")


def test_a_null_in_a_list_is_what_all_have_and_a_list_of_nulls_is_null() -> None:
    two = ["style.images=[mosaic,ink_wash]", "layers.style=[relu1_1,relu2_1]"]
    own = compose([*two, "style.layers=[null,[relu3_1]]", "style.layer_weights=[null,[2]]"])
    assert own.style.layers == [["relu1_1", "relu2_1"], ["relu3_1"]]
    assert own.style.layer_weights == [[0.5, 0.5], [2.0]]
    nulls = [f"style.{key}=[null,null]" for key in ("layers", "sizes", "masks", "guides", "fine")]
    assert compose([*two, *nulls]) == compose(two)


def test_histograms_want_a_layer_of_a_style_that_counts() -> None:
    layers = ["style.images=[mosaic,ink_wash]", "style.layers=[[relu1_1],[relu2_1]]", "loss.statistic=histogram"]
    assert compose(layers)
    with pytest.raises(ConfigError, match=r"histogram_layers=.*\(relu2_1\)"):
        compose([*layers, "style.weights=[0,1]"])


def test_what_is_not_in_use_is_not_asked_for() -> None:
    assert compose(["style.layers=[[relu1_1]]", "layers.style=[]"]).style.layers == [["relu1_1"]]
    assert compose(["style=none", "style.layers=[]", "loss.style_weight=0"]).style.layer_weights == []
    assert compose(["convention=crowson", "optimizer=lbfgs", "parametrisation=fourier"]).optimizer.bounds == "clip"


def test_the_geometric_profile_halves_with_depth():
    style = [w / 31 for w in (16, 8, 4, 2, 1)]
    assert compose(["layers.style_profile=geometric"]).layers.style_weights == pytest.approx(style)
    content = ["layers.content_profile=geometric", "layers.content=[relu2_1,relu5_1,relu4_1]"]
    assert compose(content).layers.content_weights == pytest.approx([1 / 7, 4 / 7, 2 / 7])
    shuffled = compose(["layers.style_profile=geometric", "layers.style=[relu5_1,relu1_1,relu3_1]"])
    assert shuffled.layers.style_weights == pytest.approx([1 / 7, 4 / 7, 2 / 7])


def test_crowsons_name_for_quartering_is_the_same_run():
    named, given = (compose([f"layers.style_profile={name}"]) for name in ("quartering", "256:64:16:4:1"))
    assert named == given
    assert named.layers.style_weights == pytest.approx([w / 341 for w in (256, 64, 16, 4, 1)])
    assert runs.identify(named) == runs.identify(given)
    assert runs.run_folder(named, runs.identify(named)) == runs.run_folder(given, runs.identify(given))
    assert (
        "layers.style_profile"
        not in compose(["convention=crowson", "layers.style_profile=256:64:16:4:1"]).convention_overrides
    )


def test_the_name_with_colons_works_on_the_command_line_in_sweeps_and_in_files(tmp_path):
    for text in ("256:64:16:4:1", "'256:64:16:4:1'"):
        assert compose([f"layers.style_profile={text}"]).layers.style_profile == "quartering"
    cells = sweep.expand(Composer(), ["layers.style_profile=uniform,256:64:16:4:1"], multirun=True)
    assert [cell.config.layers.style_profile for cell in cells] == ["uniform", "quartering"]
    assert sweep.label(cells[1].overrides, sweep.swept_keys(cells)) == "layers.style_profile=256:64:16:4:1"
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers/mine.yaml").write_text("defaults: [convention]\nstyle_profile: 256:64:16:4:1\n")
    assert compose(["layers=mine"], tmp_path).layers.style_profile == "quartering"
    assert override_value("256:64:16:4:1") == "'256:64:16:4:1'"  # of a figure's settings


# Checks

MISTAKES = {
    "style.layers=[[relu1_1]]": "1 values, expected 2, one for each of style.images=[mosaic, ink_wash]",
    "style.layers=[relu1_1,relu2_1]": "[relu1_1, relu2_1]: expected a list of lists of texts such as [[a, b], [c]]",
    "style.layers=[[relu1_1],[relu9_1]]": "relu9_1 is not valid, expected layers among conv1_1, relu1_1",
    "style.layers=[[relu1_1],[relu1_1,relu1_1]]": "style.layers[1]=[relu1_1, relu1_1]: relu1_1 is listed twice",
    "style.layers=[[relu1_1],[]]": "style.layers[1]=[]: no layer of ink_wash has a weight",
    "style.layers=[[relu1_1],[relu2_1]] layers.style_weights=[2,1]": (
        "layers.style_weights=[2, 1]: these are the weights of layers.style, which style.layers replaces; give "
        "style.layer_weights, a list for each style, or layers.style_profile"
    ),
    "style.layers=[[relu1_1],[relu2_1]] style.layer_weights=[[1],[1,2]]": (
        "style.layer_weights[1]=[1, 2]: 2 values, expected 1, one for each of style.layers[1]=[relu2_1]"
    ),
    "style.layers=[[relu1_1],[relu2_1]] style.layer_weights=[[1],[-1]]": "-1 is not valid, expected a finite",
    "style.layers=[[relu1_1],[relu2_1]] style.layer_weights=[[1],[0]]": "no layer of ink_wash has a weight",
    "style.layer_weights=[[1],[1]]": "style.layer_weights=[[1], [1]]: needs style.layers, which is null",
    "style.layer_weights=[1,1]": "expected a list of lists of numbers such as [[1, 2], [1]] or null",
    "style.layers=[[relu1_1],[relu2_1]] style.blend=targets": "makes one style of all, with the same layers",
    "style.sizes=[32]": "style.sizes=[32]: 1 values, expected 2",
    "style.sizes=[32,0]": "style.sizes=[32, 0]: 0 is not valid, expected a finite number, at least 1",
    "style.sizes=[32,a]": "expected a list of whole numbers or nulls such as [256, null] or null",
    "style.masks=[rocket_sky]": "style.masks=[rocket_sky]: 1 values, expected 2",
    "style.masks=rocket_sky": "style.masks=rocket_sky: expected a list of texts or nulls such as [a, null] or null",
    "style.masks=[rocket_sky,rocket_grund]": "style.masks=rocket_grund: neither a file nor a name of the catalog",
    "style.guides=[null,nowhere.png]": "style.guides=nowhere.png: neither a file nor a name",
    "content.mask=nowhere.png": "content.mask=nowhere.png: neither a file nor a name",
    "style.masks=[rocket_sky,null] style.blend=targets": (
        "style.blend=targets: one style made of all has no region of its own, as style.masks asks; "
        "expected weighted, sum or loss_share"
    ),
    "style.guidance=outside": "style.guidance=outside: expected one of resample, inside",
    "style.fine=[mosaic]": "style.fine=[mosaic]: 1 values, expected 2",
    "style.fine=[null,nowhere.png]": "style.fine=nowhere.png: neither a file nor a name",
    "style.fine_layers=[relu1_1,relu1_1]": "style.fine_layers=[relu1_1, relu1_1]: relu1_1 is listed twice",
    "style.fine=[null,mosaic] style.fine_layers=[]": "style.fine_layers=[]: at least one layer is needed",
    "style.fine_evaluations=0": "style.fine_evaluations=0: expected a finite number, at least 1",
    "layers.style_profile=geometrical": "quartering, geometric, 256:64:16:4:1; did you mean geometric?",
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line_that_says_what_would_be_valid(overrides, message):
    with pytest.raises(ConfigError) as caught:
        compose([*TINY, TWO, *overrides.split()])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_region_that_vanishes_is_told_before_any_work(here, capsys):
    deep = ["layers.style=[relu1_1,relu4_1]", "style.guidance=inside"]
    assert command([*SKY, *deep, "dry_run=true"]) == 2
    assert "style.masks=rocket_sky: the region of mosaic vanishes at relu4_1" in capsys.readouterr().err
    paint(here / "corner.png", np.eye(64) * (np.arange(64) < 8))
    scales = "scales=[{factor: 0.5, share: 0.5}, {factor: 1, share: 0.5}]"
    corner = [f"style.masks=[{here}/corner.png,null]", "style.guidance=inside", scales]
    assert command([*TINY, TWO, *corner]) == 2
    assert "corner.png: the region of mosaic vanishes at" in capsys.readouterr().err
    assert not (here / "outputs").exists()


def test_layers_of_styles_are_needed_taps_and_count_in_sizes_and_estimate():
    base, deep = tiny(TWO), tiny(TWO, "style.layers=[[relu1_1],[relu4_1]]")
    assert needed_taps(deep) == ["relu2_1", "conv2_1", "relu1_1", "relu4_1"]
    assert estimate.seconds(deep, 1e9) > 2 * estimate.seconds(base, 1e9)
    with pytest.raises(ConfigError, match=r"relu5_1 needs at least 16"):
        check_sizes(tiny(TWO, "style.layers=[[relu1_1],[relu5_1]]", "style.sizes=[null,15]"))
    check_sizes(tiny(TWO, "style.layers=[[relu1_1],[relu5_1]]", "style.weights=[1,0]", "size=8"))


def test_every_style_may_have_its_size():
    sizes = {"mosaic": (60, 80), "ink_wash": (80, 60)}
    _, styled = sizes_at((40, 80), sizes, None, tiny(TWO, "style.size=24", "style.sizes=[16,null]"))
    assert styled == {"mosaic": (12, 16), "ink_wash": (24, 18)}
    _, half = sizes_at((40, 80), sizes, None, tiny(TWO, "style.sizes=[16,null]"), 0.5)
    assert half == {"mosaic": (6, 8), "ink_wash": (16, 12)}


# Fingerprints


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (["style.guidance=resample"], True),
        (["content.mask=null", "style.masks=null"], True),
        (["style.sizes=[32,32]"], False),
        (["style.layers=[[relu1_1],[relu2_1]]"], False),
        ([MASKS], False),
        (["content.mask=rocket_sky"], False),
        (["style.fine=[null,mosaic]"], False),
        (["style.guides=[rocket_sky,null]"], False),
    ],
)
def test_the_fingerprint_covers_what_is_set_for_each_style(overrides, same):
    assert (fingerprint(TWO) == fingerprint(TWO, *overrides)) is same


def test_the_fingerprint_follows_the_weights_of_the_layers_of_styles():
    lists = [TWO, "style.layers=[[relu1_1,relu2_1],[relu2_1]]", "layers.style=[relu1_1]"]
    geometric = fingerprint(*lists, "layers.style_profile=geometric")
    assert fingerprint(*lists) != geometric
    assert fingerprint(*lists, "style.layer_weights=[[1,2],[1]]") != fingerprint(*lists)
    weights = [2 / 3, 1 / 3]
    assert fingerprint(*lists, f"style.layer_weights=[[{weights[0]},{weights[1]}],[1]]") == geometric


def test_the_fingerprint_follows_the_bytes_of_a_mask_not_its_name(here):
    left = np.tile([1.0, 1, 0, 0], (4, 1))
    for name in ("one.png", "two.png"):
        paint(here / name, left)
    of = [fingerprint(f"style.masks=[{name}]") for name in ("one.png", "two.png")]
    paint(here / "two.png", 1 - left)
    assert of[0] == of[1] != fingerprint("style.masks=[two.png]")
    assert fingerprint("content.mask=one.png") not in (of[0], fingerprint("content.mask=two.png"))


def test_masks_of_unused_styles_and_terms_are_not_read(here):
    config = tiny(TWO, MASKS, "style.weights=[1,0]", "content.mask=rocket_sky", "loss.content_weight=0")
    inputs = load_inputs(config)
    assert set(inputs.masks.by_name()) == {"style/mosaic"}
    assert runs.identify(config).hashes["masks"] == [catalog.sha256("rocket_sky"), None]
    assert "content_mask" not in runs.identify(config).hashes


# Whole runs


def test_a_masked_run_through_the_real_entry_point(here, capsys):
    controls = ["content.mask=rocket_ground", "style.guides=[null,rocket_sky]", "style.fine=[scream_bands,null]"]
    assert command([*SKY, *controls, "style.fine_evaluations=3"]) == 0, capsys.readouterr().err
    [folder] = (here / "outputs/runs").glob("rocket-*")
    manifest = json.loads((folder / "manifest.json").read_text())
    hashes, sky, ground = manifest["hashes"], *map(catalog.sha256, ("rocket_sky", "rocket_ground"))
    assert hashes["masks"] == [sky, ground]
    assert hashes["guides"] == [None, sky]
    assert hashes["content_mask"] == ground
    assert hashes["fine"] == [catalog.sha256("scream_bands"), None]
    for name in ("rocket_sky", "rocket_ground", "scream_bands", "mosaic"):
        assert catalog.credit(name) in manifest["credits"]
    board = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    shown = {tag for tag in board.Tags()["images"] if tag.startswith("source/mask")}
    assert shown == {f"source/mask/{what}" for what in ("style/mosaic", "style/ink_wash", "guide/ink_wash", "content")}
    written = (folder / "result.png").stat().st_mtime_ns
    assert command([*SKY, *controls, "style.fine_evaluations=3"]) == 0
    assert (folder / "result.png").stat().st_mtime_ns == written


def test_masks_divide_the_picture_between_the_styles():
    """Far from the seam, the result of two masked styles is that of the one style alone on its region."""
    config = [
        *TINY, "size=48", "size_rule=exact", "init=gray", "loss.content_weight=0", "layers.style=[relu1_1]",
        "optimizer=sgd", "optimizer.learning_rate=1e-9",
    ]  # fmt: skip
    left = (torch.arange(48) < 24).float().expand(1, 1, 48, 48).contiguous()
    content = nst_lab.load_image("rocket")
    mosaic, wash = map(nst_lab.load_image, ("mosaic", "ink_wash"))
    both = nst_lab.transfer(content, [mosaic, wash], compose([*config, TWO, "style.blend=sum"]), masks=[left, 1 - left])
    swapped = nst_lab.transfer(
        content, [mosaic, wash], compose([*config, TWO, "style.blend=sum"]), masks=[1 - left, left]
    )
    alone = nst_lab.transfer(content, [mosaic], compose([*config, "style.images=[mosaic]"]), masks=[left])
    torch.testing.assert_close(both.image[..., :20], alone.image[..., :20])
    assert (alone.image[..., 30:] - 0.5).abs().max() < 1e-6  # no style reaches beyond its region
    assert not torch.allclose(both.image, swapped.image)


def test_tensors_and_names_give_the_same_picture():
    config = compose([*SKY, "content.mask=rocket_ground", "style.fine=[null,scream_bands]", "style.fine_evaluations=2"])
    pictures = [nst_lab.load_image(name) for name in ("rocket", "mosaic", "ink_wash", "scream_bands")]
    sky, ground = map(nst_lab.load_mask, ("rocket_sky", "rocket_ground"))
    result = nst_lab.transfer(
        pictures[0], pictures[1:3], config, masks=[sky, ground], content_mask=ground, fine=[None, pictures[3]]
    )
    by_names = nst_lab.run(config)
    torch.testing.assert_close(by_names.image(), (result.image * 255).round() / 255)
    unnamed = compose([*TINY, "content=rocket", TWO])
    masked = nst_lab.transfer(pictures[0], pictures[1:3], unnamed, masks=[sky, ground])
    assert not torch.equal(masked.image, nst_lab.transfer(pictures[0], pictures[1:3], unnamed).image)


def test_tensors_are_checked_like_pictures():
    content, style = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    mask, plain, masked = torch.rand(1, 1, 8, 8), tiny(), tiny("style.masks=[rocket_sky]")
    wrong = {
        "style.images names 1 styles, 2 masks were given": {"masks": [mask, mask]},
        "masks, style starry_strokes is torch.float32 (1, 3, 8, 8), expected a float32 tensor (1, 1, H, W)": {
            "masks": [torch.rand(1, 3, 8, 8)]
        },
        "guides, style starry_strokes has values from": {"guides": [mask + 1]},
        "content_mask is a list, expected a float32 tensor (1, 1, H, W) with values in [0, 1], as nst_lab.load_mask": {
            "content_mask": [mask]
        },
        "fine, style starry_strokes is torch.float32 (1, 1, 8, 8), expected a float32 tensor (1, 3, H, W)": {
            "fine": [mask]
        },
    }
    for message, given in wrong.items():
        with pytest.raises(ConfigError) as caught:
            nst_lab.transfer(content, [style], plain, **given)
        assert message in str(caught.value)
    for given, message in (
        ({}, "masks is None while style.masks names some"),
        ({"masks": [None]}, "masks: None for starry"),
    ):
        with pytest.raises(ConfigError, match=message):
            nst_lab.transfer(content, [style], masked, **given)
    with pytest.raises(ConfigError, match=r"content_mask is None while content\.mask names one"):
        nst_lab.transfer(content, [style], tiny("content.mask=rocket_sky"))
    with pytest.raises(ConfigError, match=r"style\.blend=targets: .* as masks asks"):
        nst_lab.transfer(content, [style], tiny("style.blend=targets"), masks=[mask])


@pytest.mark.parametrize("scales", ["null", "[{factor: 0.5, share: 1}, {factor: 1, share: 1}]"])
@pytest.mark.parametrize("cut", [1, 4, 5])
def test_a_masked_and_mixed_run_goes_on_from_a_checkpoint_to_the_same_bytes(scales, cut):
    fine = ["style.fine=[null,scream_bands]", "style.fine_evaluations=3", "content.mask=rocket_ground"]
    config = compose([*SKY, *fine, "optimizer.evaluations=8", "optimizer.tolerance=0", f"scales={scales}"])
    whole, state = [], None
    synthesis = Synthesis(load_inputs(config), config)
    for step in synthesis:
        whole.append(step)
        if step.evaluation == cut:
            state = deepcopy(synthesis.state_dict())
    resumed = Synthesis(load_inputs(config), config)
    resumed.load_state_dict(state)
    for step, expected in zip(resumed, whole[cut:], strict=True):
        assert torch.equal(step.image, expected.image)
        assert step.losses.to_floats() == expected.losses.to_floats()


def test_a_mask_that_would_be_fetched_has_a_stand_in_and_waits_for_its_run(own_catalog):
    own_catalog(
        f"afar: {{title: Afar, url: 'https://example.invalid/afar.png', sha256: {'a' * 64}, stand_in: rocket_sky}}"
    )
    config = tiny(TWO, "style.masks=[afar,null]", "style.guides=[null,afar]", "content.mask=afar")
    assert _stand_ins(config) == {"afar": "rocket_sky"}
    replaced = ["content.mask=rocket_sky", "style.masks=[rocket_sky,null]", "style.guides=[null,rocket_sky]"]
    assert _substitutes(config) == replaced
    check_sizes(config)  # fetches nothing
    assert runs.identify(config).hashes["masks"] == ["a" * 64, None]
