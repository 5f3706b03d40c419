"""Saving: what comes back, what is embedded, and that a file is there whole or not at all."""

import io
import subprocess

import numpy as np
import pytest
import torch
from odd_files import CONVERT
from PIL import Image, ImageCms

from nst_lab.errors import ImageError
from nst_lab.images import encode
from nst_lab.images.pictures import load_image, save_image

METADATA = {"Software": "nst_lab 1", "nst_lab settings": '{"α": [1, 2]}', "Copyright": "Käthe (CC0); b"}


@pytest.fixture
def image():
    """Smooth colours, some outside [0, 1]."""
    y, x = torch.linspace(-0.1, 1.1, 24)[:, None], torch.linspace(0, 1, 33)[None]
    return torch.stack([y.expand(24, 33), x.expand(24, 33), (x * y).abs()])[None]


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 0.5 / 255), (16, 0.5 / 65535)])
def test_a_png_comes_back_to_half_a_step(tmp_path, image, bits, tolerance):
    save_image(image, tmp_path / "a.png", bits=bits)
    assert (load_image(tmp_path / "a.png") - image.clamp(0, 1)).abs().max() <= tolerance + 1e-7


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".JPG"])
def test_lossy_formats_come_back_nearly(tmp_path, image, suffix):
    save_image(image, tmp_path / f"a{suffix}")
    assert (load_image(tmp_path / f"a{suffix}") - image.clamp(0, 1)).abs().mean() < 0.01


def test_pixels_saved_again_are_the_same_pixels(tmp_path, image):
    save_image(image, tmp_path / "a.png")
    save_image(load_image(tmp_path / "a.png"), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a16.png", "a.jpg", "a.webp"])
def test_metadata_and_the_srgb_profile_go_along_and_the_bytes_are_the_same_each_time(tmp_path, image, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        save_image(image, tmp_path / folder / name, METADATA, bits=16 if "16" in name else 8)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert encode.read_metadata(tmp_path / "one" / name) == METADATA
    with Image.open(tmp_path / "one" / name) as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        assert picture.size == (33, 24)
        if not name.endswith(".png"):
            assert picture.getexif()[0x0131] == "nst_lab 1"
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_picture_without_metadata_has_none(tmp_path, image):
    for name in ("a.png", "a.jpg", "a.webp"):
        save_image(image, tmp_path / name)
        assert encode.read_metadata(tmp_path / name) == {}


@pytest.mark.skipif(CONVERT is None, reason="ImageMagick (convert), which reads the file, is not installed")
def test_a_16_bit_png_is_one_for_other_programs(tmp_path):
    values = torch.randint(0, 65536, (1, 3, 50, 41), generator=torch.Generator().manual_seed(0))
    save_image(values / 65535, tmp_path / "a.png", METADATA, bits=16)
    command = [CONVERT, str(tmp_path / "a.png"), "-depth", "16", "-endian", "LSB", "rgb:-"]
    read = subprocess.run(command, capture_output=True, check=True)
    assert read.stderr == b""
    assert np.array_equal(np.frombuffer(read.stdout, "<u2").reshape(50, 41, 3), values[0].permute(1, 2, 0))


@pytest.mark.parametrize(
    ("name", "bits", "expected"),
    [
        ("a.bmp", 8, "a.bmp: cannot save as .bmp; valid: .png, .jpg, .jpeg, .webp"),
        ("a", 8, "a: cannot save as a file without extension; valid: .png"),
        ("a.jpg", 16, "a.jpg: 16 bits per channel need .png"),
        ("a.png", 12, "a.png: bits=12, expected 8 or 16"),
        ("no/a.png", 8, "a.png: cannot be written (No such file or directory)"),
    ],
)
def test_what_cannot_be_saved_is_one_line(tmp_path, image, name, bits, expected):
    with pytest.raises(ImageError) as caught:
        save_image(image, tmp_path / name, bits=bits)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_not_saved(tmp_path, image, value):
    image[0, 0, 0, 0] = value
    with pytest.raises(ImageError, match="not finite"):
        save_image(image, tmp_path / "a.png")


def test_more_metadata_than_exif_holds_is_one_line(tmp_path, image):
    with pytest.raises(ImageError, match=r"bytes of metadata are more than EXIF holds; use \.png"):
        save_image(image, tmp_path / "a.jpg", {"settings": "x" * 70_000})
    save_image(image, tmp_path / "a.png", {"settings": "x" * 70_000})


def test_a_shape_that_is_no_picture_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ImageError, match=r"expected \(1, 3, H, W\)"):
        save_image(torch.zeros(3, 4, 4), tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_failure_half_way_leaves_the_former_file_and_nothing_else(tmp_path, image, name, monkeypatch):
    save_image(image, tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def fail(file, *_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(encode.ENCODERS, (tmp_path / name).suffix, fail)
    with pytest.raises(ImageError, match="No space left on device"):
        save_image(1 - image, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]
