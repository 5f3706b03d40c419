"""The reference distances: their ends, closed forms, and that they order real pictures as eyes do."""

import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_cie76, rgb2lab

import nst_lab
from nst_lab import metrics
from nst_lab.images.pictures import resize, save_image, target_size
from nst_lab.losses.distributions import PARTS, directions, quantiles, relative_difference
from nst_lab.metrics import distances, distances_of_run

NEEDS_CONTENT = {"content", "ssim", "psnr"}
STYLE_KINDS = ("style", "swd", "color")
sides = st.integers(1, 40)
seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def photograph():
    return nst_lab.load_image("chelsea")


@pytest.fixture(scope="module")
def painting():
    return nst_lab.load_image("starry_strokes")


def flat(red, green, blue, height=40, width=32):
    """A picture of one 8-bit colour."""
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, height, width) / 255


@pytest.mark.parametrize(
    ("size", "resampling"),
    [((20, 32), "bicubic"), ((64, 64), "bicubic"), ((150, 226), "bilinear"), ((400, 602), "bicubic")],
)
def test_the_photograph_is_at_0_for_content_and_at_1_for_style(photograph, painting, size, resampling):
    picture = resize(photograph, *size, resampling=resampling)
    values = distances(picture, photograph, {"painting": painting}, resampling=resampling)
    assert values["content"] == 0
    assert values["psnr"] == 100
    assert values["ssim"] == 1
    assert all(values[kind] == values[f"{kind}/painting"] == 1 for kind in STYLE_KINDS)


@pytest.mark.parametrize("size", [32, 100, 256, 512])
def test_the_style_is_at_0(photograph, painting, size):
    picture = resize(painting, *target_size(*painting.shape[-2:], size, "longer"))
    values = distances(picture, photograph, {"painting": painting})
    assert all(values[kind] == 0 for kind in STYLE_KINDS)
    assert values["content"] > 0.8


def test_content_pastiche_and_style_are_ordered_along_a_real_optimisation(photograph, painting):
    pictures = {}

    def keep(step):
        if step.evaluation in (1, 20, 60):
            pictures[step.evaluation] = step.picture.clamp(0, 1)  # the last accepted: a step may miss and be taken back

    slow = ["optimizer.evaluations=60", "optimizer.warm_start=none"]  # half of the way is still to come at the middle
    config = nst_lab.compose(["size=64", "style.images=[starry_strokes]", *slow])
    nst_lab.transfer(photograph, [painting], config, on_step=keep)
    way = [*pictures.values(), resize(painting, *pictures[1].shape[-2:])]
    measured = [distances(picture, photograph, {"painting": painting}) for picture in way]
    assert measured[0]["content"] == 0  # the run starts from the photograph
    assert measured[0]["style"] == 1
    for before, after in pairwise(measured):
        assert after["content"] > before["content"] + 0.05
        assert after["ssim"] < before["ssim"]
        for kind in STYLE_KINDS:
            assert after[kind] < before[kind] - 0.05
    assert measured[-1]["style"] < 0.2  # the painting squashed to the photograph's shape


def test_more_weight_on_the_content_keeps_more_of_it(photograph, painting):
    """Also against what is no part of any loss: other layers' distances, SSIM and PSNR move together."""
    # Not from the painting's colours, which are most of a painting at this size.
    base = ["size=48", "style.images=[starry_strokes]", "optimizer.evaluations=30", "optimizer.warm_start=none"]
    near, far = (
        distances(
            nst_lab.transfer(photograph, [painting], nst_lab.compose([*base, f"loss.content_weight={weight}"])).image,
            photograph,
            {"painting": painting},
        )
        for weight in ("1e9", "1e5")
    )
    assert near["content"] < far["content"]
    assert near["ssim"] > far["ssim"]
    assert near["psnr"] > far["psnr"]
    assert near["style"] > far["style"]
    assert near["swd"] > far["swd"]


def test_colours_alone_move_the_colour_distance_and_not_the_structure(photograph, painting):
    from skimage.exposure import match_histograms

    picture = resize(photograph, 128, 192)
    pair = (image[0].permute(1, 2, 0).numpy() for image in (picture, painting))
    recoloured = torch.from_numpy(match_histograms(*pair, channel_axis=2)).permute(2, 0, 1)[None].float()
    values = distances(recoloured.clamp(0, 1), photograph, {"painting": painting})
    assert values["color"] < 0.3
    assert values["ssim"] > 0.6
    assert values["style"] > 0.5


def test_several_styles_are_each_measured_alone_and_their_mean_given(photograph, painting):
    other = nst_lab.load_image("mosaic")
    picture = resize(photograph, 64, 96).flip(-2)
    both = distances(picture, photograph, {"painting": painting, "other": other})
    for name, style in {"painting": painting, "other": other}.items():
        alone = distances(picture, photograph, {name: style})
        assert all(alone[f"{kind}/{name}"] == alone[kind] == both[f"{kind}/{name}"] for kind in STYLE_KINDS)
    for kind in STYLE_KINDS:
        assert both[kind] == pytest.approx((both[f"{kind}/painting"] + both[f"{kind}/other"]) / 2, rel=1e-5)


def test_without_a_content_1_is_the_styles_mean_colour(painting):
    colour = painting.mean((-2, -1)) * 255
    plain = distances(flat(*colour[0].round().tolist()), None, {"painting": painting})
    assert {name for name, value in plain.items() if value is None} == NEEDS_CONTENT
    assert plain["style"] == pytest.approx(1, abs=0.02)  # of another shape: zero padding reaches elsewhere
    assert plain["swd"] == pytest.approx(1, abs=0.02)
    assert plain["color"] == pytest.approx(1, abs=0.02)
    assert distances(painting, None, {"painting": painting})["style"] == 0


def test_without_styles_only_the_contents_distances_are_there(photograph):
    values = distances(resize(photograph, 64, 96), photograph, {})
    assert {name for name, value in values.items() if value is None} == set(STYLE_KINDS)
    assert list(values) == ["content", *STYLE_KINDS, "ssim", "psnr", "tv"]


COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (255, 0, 0)}


@pytest.mark.parametrize(
    ("picture", "content"), [("black", "black"), ("white", "black"), ("grey", "red"), ("red", "grey")]
)
def test_flat_pictures_give_no_nan(picture, content):
    styles = {name: flat(*colour) for name, colour in COLOURS.items()}
    for photograph in (flat(*COLOURS[content]), None):
        values = distances(flat(*COLOURS[picture]), photograph, styles)
        json.dumps(values, allow_nan=False)
        assert values["tv"] == 0
        if photograph is not None:
            assert values[f"style/{content}"] is None  # photograph and style are the same
            known = [values[f"style/{name}"] for name in COLOURS if name != content]
            assert values["style"] == pytest.approx(sum(known) / 3, rel=1e-5)


def test_the_colour_distance_of_flat_pictures_is_that_of_cielab():
    picture, content, style = (180, 90, 40), (30, 60, 200), (250, 220, 10)
    lab = [rgb2lab(flat(*colour, 1, 1)[0].permute(1, 2, 0).numpy())[0, 0] for colour in (picture, content, style)]
    expected = deltaE_cie76(lab[0], lab[2]) / deltaE_cie76(lab[1], lab[2])
    values = distances(flat(*picture), flat(*content), {"style": flat(*style)})
    assert values["color"] == pytest.approx(expected, rel=1e-4)


def test_psnr_and_tv_in_closed_form(photograph):
    reference = resize(photograph, 171, 256).mul(245).round() / 255
    values = distances(reference + 10 / 255, reference, {})
    assert values["psnr"] == pytest.approx(28.1308, abs=1e-3)  # 20 log10(255 / 10)
    assert values["ssim"] > 0.95
    stripes = (torch.arange(256) % 2).float().expand(1, 3, 256, 256)
    assert distances(stripes, None, {})["tv"] == 1


@pytest.mark.parametrize("size", [(1, 300), (300, 2), (1, 1)])
def test_a_picture_of_any_shape_is_measured(photograph, painting, size):
    values = distances(resize(painting, *size), photograph, {"painting": painting})
    assert all(value is not None for value in values.values())


def test_a_tensor_that_is_no_picture_is_refused(photograph):
    with pytest.raises(ValueError, match=r"\(3, 300, 451\), expected \(1, 3, H, W\)"):
        distances(photograph[0], None, {})


@pytest.mark.slow
def test_recomputed_from_the_file_in_another_process_with_other_threads_they_are_equal(
    photograph, painting, here, monkeypatch
):
    """To the last bit, before the rounding."""
    monkeypatch.setattr(metrics, "DIGITS", 17)
    picture = 0.6 * resize(photograph, 57, 83) + 0.4 * resize(painting, 57, 83)
    save_image(picture, here / "result.png")
    threads = torch.get_num_threads()
    values = distances(picture, photograph, {"painting": painting})
    assert torch.get_num_threads() == threads
    code = (
        "import json, nst_lab, torch; from nst_lab import metrics; torch.set_num_threads(3); metrics.DIGITS = 17;"
        "pictures = [nst_lab.load_image(name) for name in ('chelsea', 'starry_strokes')];"
        "print(json.dumps(metrics.distances_of_run('result.png', pictures[0], {'painting': pictures[1]})))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == values
    assert distances_of_run(here / "result.png", photograph, {"painting": painting}) == values


def test_a_tensor_changed_in_place_is_measured_anew(photograph, painting):
    style, picture = resize(painting, 48, 48).clone(), resize(photograph, 48, 48)
    before = distances(picture, None, {"style": style})
    style.copy_(style.flip(1))
    after = distances(picture, None, {"style": style})
    assert after["color"] != before["color"]
    style.copy_(style.flip(1))
    assert distances(picture, None, {"style": style}) == before


def test_an_interrupted_computation_leaves_torch_as_it_was(photograph):
    precision, tf32 = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="device"):
        distances(photograph, None, {}, device="no_such_device")
    assert torch.get_num_threads() == threads
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (precision, tf32)


@settings(deadline=None)
@given(st.integers(1, 5), sides, st.integers(1, 4), seeds)
def test_quantiles_do_not_know_the_size_of_a_repeated_picture(channels, positions, times, seed):
    features = torch.randn(channels, positions, generator=torch.Generator().manual_seed(seed))
    basis = directions(channels)
    torch.testing.assert_close(quantiles(features.tile(1, times), basis), quantiles(features, basis))


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_quantiles_are_means_of_the_sorted_projections(channels, bases, seed):
    features = torch.randn(channels, 3 * PARTS, generator=torch.Generator().manual_seed(seed))
    axes = directions(channels, bases)
    expected = (axes @ features).sort(dim=1).values.view(bases * channels, PARTS, 3).mean(2)
    torch.testing.assert_close(quantiles(features, axes), expected)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 3), sides, seeds)
def test_a_translation_is_as_long_as_it_is(channels, bases, positions, seed):
    generator = torch.Generator().manual_seed(seed)
    features, shift = (torch.randn(channels, n, generator=generator) for n in (positions, 1))
    axes = directions(channels, bases)
    moved = quantiles(features + shift, axes) - quantiles(features, axes)
    assert (channels * moved.square().mean()).sqrt().item() == pytest.approx(shift.norm().item(), rel=1e-4)


@settings(deadline=None)
@given(st.integers(1, 9), st.floats(1e-6, 1e6), seeds)
def test_the_relative_difference_is_symmetric_free_of_units_and_between_0_and_1(count, unit, seed):
    a, b = torch.rand(2, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    value = relative_difference(a, b).item()
    assert 0 <= value <= 1
    assert relative_difference(b * unit, a * unit).item() == pytest.approx(value, rel=1e-9)
    assert relative_difference(a, a).item() == 0


def test_the_relative_difference_by_hand():
    a, b = torch.tensor([[3.0, 0.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0]]).tile(4, 1)
    b[3] = 0
    assert relative_difference(a, b).tolist() == pytest.approx([1, 3 / 41**0.5, 1, 0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_distances_are_the_same(photograph, painting):
    picture = resize(photograph, 128, 192).flip(-1)
    cpu, cuda = (distances(picture, photograph, {"painting": painting}, device=d) for d in ("cpu", "cuda"))
    assert cuda == pytest.approx(cpu, rel=1e-4)
