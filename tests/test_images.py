"""Pictures in and out: every way a file may hold one, sizes, resizing, saving."""

from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from nst_lab import load_image, save_image
from nst_lab.errors import ConfigError, ImageError
from nst_lab.images.pictures import resize, target_size, to_bytes

PIXELS = numpy.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=numpy.uint8)


def as_tensor(pixels: numpy.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255


def test_an_rgb_file_is_float32_in_0_1_at_its_own_size(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert torch.equal(image, as_tensor(PIXELS))


# What a viewer does to the stored pixels to show them upright, by the value of the EXIF tag 0x0112.
UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: numpy.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: numpy.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(load_image(tmp_path / "a.png"), as_tensor(UPRIGHT[orientation](PIXELS)))


def test_a_jpeg_with_orientation_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = numpy.full((16, 32, 3), 200, dtype=numpy.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert load_image(tmp_path / "a.jpg").shape == (1, 3, 32, 16)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_greyscale_becomes_three_equal_channels(suffix: str, tmp_path: Path) -> None:
    grey = numpy.full((8, 8), 100, dtype=numpy.uint8)
    Image.fromarray(grey).save(tmp_path / f"a{suffix}")
    torch.testing.assert_close(load_image(tmp_path / f"a{suffix}"), torch.full((1, 3, 8, 8), 100 / 255))


def test_black_and_white_becomes_zeros_and_ones(tmp_path: Path) -> None:
    Image.fromarray(numpy.array([[True, False]])).save(tmp_path / "a.png")
    assert torch.equal(load_image(tmp_path / "a.png"), torch.tensor([1.0, 0.0]).expand(1, 3, 1, 2))


def test_the_transparent_entry_of_a_palette_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=0)
    expected = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]).T.reshape(1, 3, 1, 2)
    assert torch.equal(load_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_on_white(mode: str, tmp_path: Path) -> None:
    colours = {"RGBA": (255, 0, 102), "LA": (51,)}[mode]
    image = Image.new(mode, (3, 1))
    image.putdata([(*colours, alpha) for alpha in (0, 128, 255)])
    image.save(tmp_path / "a.png")
    colour = torch.tensor(colours).expand(3) / 255 if mode == "LA" else torch.tensor(colours) / 255
    expected = torch.stack([alpha * colour + (1 - alpha) for alpha in (0, 128 / 255, 1)], dim=1).view(1, 3, 1, 3)
    torch.testing.assert_close(load_image(tmp_path / "a.png"), expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_greyscale_is_scaled_and_not_clipped(suffix: str, tmp_path: Path) -> None:
    levels = numpy.array([[0, 257, 10000, 32768, 60000, 65535]], dtype=numpy.uint16)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}")
    expected = torch.from_numpy(levels.astype(numpy.float32) / 65535).expand(1, 3, 1, 6)
    torch.testing.assert_close(load_image(tmp_path / f"a{suffix}"), expected, rtol=0, atol=1 / 255)


def test_sixteen_bit_greyscale_with_a_transparent_level_is_scaled_too(tmp_path: Path) -> None:
    levels = numpy.array([[0, 257, 30000, 65535]], dtype=numpy.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png", transparency=0)
    expected = torch.tensor([1, 1 / 255, 30000 / 65535, 1]).expand(1, 3, 1, 4)
    torch.testing.assert_close(load_image(tmp_path / "a.png"), expected, rtol=0, atol=1 / 255)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    expected = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    torch.testing.assert_close(load_image(tmp_path / "a.jpg"), expected, rtol=0, atol=0.02)


def png_bytes(tmp_path: Path) -> bytes:
    Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)).save(
        tmp_path / "b.png"
    )
    return (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("content", ["empty", "text", "truncated"])
def test_a_file_that_cannot_be_decoded_is_one_line_with_its_name(content: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "broken.png", png_bytes(tmp_path)
    path.write_bytes({"empty": b"", "text": b"<html>\nnot found\n", "truncated": whole[: len(whole) // 2]}[content])
    with pytest.raises(ImageError) as caught:
        load_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_one_line_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"chelsee: neither a file nor a name.*did you mean chelsea") as caught:
        load_image("chelsee")
    assert "\n" not in str(caught.value)


def test_every_picture_of_the_catalog_can_be_read() -> None:
    for name in ("chelsea", "astronaut", "coffee", "rocket", "starry_strokes", "woodcut_waves"):
        image = load_image(name)
        assert image.shape[:2] == (1, 3)
        assert 0 <= image.min() < image.max() <= 1


def test_what_is_saved_is_loaded_within_one_level(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 6, 9)
    save_image(image, tmp_path / "a.png")
    torch.testing.assert_close(load_image(tmp_path / "a.png"), image, rtol=0, atol=0.5 / 255 + 1e-6)
    save_image(load_image(tmp_path / "a.png"), tmp_path / "b.png")
    assert torch.equal(load_image(tmp_path / "b.png"), load_image(tmp_path / "a.png"))


def test_values_outside_are_clipped_and_levels_rounded() -> None:
    image = torch.tensor([-1.0, 0.4 / 255, 0.6 / 255, 2.0]).expand(1, 3, 1, 4).requires_grad_()
    assert torch.equal(to_bytes(image)[0, 0], torch.tensor([0, 0, 1, 255], dtype=torch.uint8))


def test_metadata_becomes_png_text(tmp_path: Path) -> None:
    metadata = {"fingerprint": "0123abcd", "settings": "α: 1e7\nβ: 1e9", "long": "x" * 100_000}
    save_image(torch.rand(1, 3, 4, 4), tmp_path / "a.png", metadata)
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == metadata


def test_other_formats_are_written_without_metadata(tmp_path: Path) -> None:
    save_image(torch.full((1, 3, 8, 8), 0.5), tmp_path / "a.jpg", {"fingerprint": "0123"})
    torch.testing.assert_close(load_image(tmp_path / "a.jpg"), torch.full((1, 3, 8, 8), 0.5), rtol=0, atol=0.02)


def test_saving_replaces_a_file_and_leaves_no_other(tmp_path: Path) -> None:
    for value in (0.0, 1.0):
        save_image(torch.full((1, 3, 2, 2), value), tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").min() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 1, 4, 4), (1, 4, 4, 4)])
def test_what_is_not_one_rgb_picture_is_not_saved(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected"):
        save_image(torch.zeros(shape), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_while_encoding_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    save_image(torch.zeros(1, 3, 8, 8), path)
    before = path.read_bytes()
    with pytest.raises(ImageError, match="image"):
        save_image(torch.zeros(1, 3, 1, 70_000), path)  # wider than a JPEG can be
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_cannot_take_its_name_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ImageError, match="directory"):
        save_image(torch.zeros(1, 3, 8, 8), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


sides = st.integers(1, 5000)
KEPT = {
    "longer": lambda height, width: max(height, width),
    "shorter": lambda height, width: min(height, width),
    "height": lambda height, _width: height,
    "area": lambda height, width: (height * width) ** 0.5,
}


@given(sides, sides, st.integers(1, 2000), st.sampled_from(list(KEPT)))
def test_the_aspect_is_kept_within_rounding_and_no_side_is_zero(height: int, width: int, size: int, rule: str) -> None:
    found = target_size(height, width, size, rule)
    factor = size / KEPT[rule](height, width)
    for before, after in zip((height, width), found, strict=True):
        assert isinstance(after, int)
        assert after >= 1
        assert abs(after - before * factor) <= 0.5 + 1e-6 or after == 1 > before * factor
    if rule != "area":
        assert KEPT[rule](*found) == size


@given(sides, sides, st.integers(1, 2000))
def test_exact_is_a_square(height: int, width: int, size: int) -> None:
    assert target_size(height, width, size, "exact") == (size, size)


@given(sides, sides)
def test_a_picture_of_the_size_asked_for_keeps_it(height: int, width: int) -> None:
    assert target_size(height, width, max(height, width), "longer") == (height, width)


def test_resizing_to_the_same_size_is_the_identity() -> None:
    image = torch.rand(1, 3, 5, 8)
    assert torch.equal(resize(image, 5, 8), image)


def test_resizing_keeps_constants_and_clips_overshoots_only_if_asked() -> None:
    torch.testing.assert_close(resize(torch.full((1, 3, 9, 9), 0.3), 4, 13), torch.full((1, 3, 4, 13), 0.3))
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    overshooting = resize(edge, 20, 20, clip=False)
    assert overshooting.max() > 1
    assert overshooting.min() < 0
    assert torch.equal(resize(edge, 20, 20), overshooting.clamp(0, 1))


@pytest.mark.parametrize("resampling", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(20, 31), (90, 70)])
def test_resampling_is_pillows(resampling: str, size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, 57, 64, generator=torch.Generator().manual_seed(0))
    planes = [Image.fromarray(plane.numpy(), "F") for plane in image[0]]
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    resized = [numpy.asarray(plane.resize(size[::-1], filters[resampling])) for plane in planes]
    expected = torch.from_numpy(numpy.stack(resized))[None]
    torch.testing.assert_close(resize(image, *size, resampling=resampling, clip=False), expected, rtol=0, atol=1e-4)


def test_reducing_averages_instead_of_dropping_pixels() -> None:
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)
    torch.testing.assert_close(resize(stripes, 8, 8)[..., 2:6, 2:6], torch.full((1, 3, 4, 4), 0.5), rtol=0, atol=0.02)
