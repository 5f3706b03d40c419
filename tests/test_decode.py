"""Decoding: odd but valid files against ImageMagick, and what is refused, said or kept along the way."""

import logging
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from odd_files import CONVERT, FILES, SIXTEEN_BITS, levels, picture, reference
from odd_profiles import PROFILES
from PIL import Image, PngImagePlugin

from nst_lab.errors import ImageError
from nst_lab.images import decode as decoding
from nst_lab.images.decode import decode, header_size
from nst_lab.images.pictures import image_size, load_image, load_mask, resize_mask
from nst_lab.notices import say_once

STEP = 1 / 255


@pytest.fixture(autouse=True)
def _nothing_said_yet():
    say_once.cache_clear()


def png(path: Path, size: tuple[int, int], depth: int, colour_type: int, rows: bytes, *chunks) -> Path:
    """A PNG written by hand, for what neither Pillow nor ImageMagick writes."""
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    path.write_bytes(data)
    return path


@pytest.mark.skipif(CONVERT is None, reason="ImageMagick (convert), which gives the reference, is not installed")
@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_decodes_as_imagemagick_reads_it(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    expected = reference(path)
    found = load_image(path)
    assert header_size(path) == image_size(path) == expected.shape[:2]
    assert found.shape == (1, 3, *expected.shape[:2])
    assert found.is_contiguous()
    error = np.abs(found[0].permute(1, 2, 0).numpy() - expected).max()
    # Kept to the last bit, but where Pillow itself gives bytes: JPEG 2000, and profiles that are tables.
    exact = name in SIXTEEN_BITS and name not in ("i16.jp2", "inks16.tif")
    assert error < (1e-4 if exact else STEP)


def test_there_are_many_odd_files():
    assert len(FILES) >= 120
    assert len(SIXTEEN_BITS) >= 20


@pytest.mark.parametrize(("depth", "white"), [(2, 3), (4, 15)])
def test_a_transparent_grey_of_few_bits_is_found(tmp_path, depth, white):
    row = bytes([0, 0b00011011 if depth == 2 else 0x0F])
    path = png(tmp_path / "few.png", (2, 1), depth, 0, row, (b"tRNS", struct.pack(">H", 0)))
    expected = [1, 1 / 3] if depth == 2 else [1, 1]  # the first is transparent, hence white
    assert decode(path)[0, :, 0] == pytest.approx(expected, abs=1e-6)


def test_lab_is_taken_for_d50(tmp_path):
    """Colours worked out by hand: CIELAB -> XYZ (D50) -> linear sRGB by the D50-adapted matrix -> sRGB."""
    lab = np.array([[[50, 0, 0], [70, 20, -30], [30, -10, 25], [90, -5, 10]]])
    stored = np.concatenate([np.round(lab[..., :1] * 2.55), lab[..., 1:] % 256], axis=-1)  # a and b are signed bytes
    Image.frombytes("LAB", (4, 1), stored.astype(np.uint8).tobytes()).save(tmp_path / "lab.tif")
    fy = (np.round(lab[..., 0] * 2.55) / 2.55 + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.9642, 1, 0.8249)
    red, green = (3.1338561, -1.6168667, -0.4906146), (-0.9787684, 1.9161415, 0.0334540)
    light = (xyz @ np.array([red, green, (0.0719453, -0.2289914, 1.4052427)]).T).clip(0, 1)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert decode(tmp_path / "lab.tif") == pytest.approx(expected, abs=STEP)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Pillow is about to drop the format
def test_ycbcr_becomes_rgb(tmp_path):
    picture("YCbCr").save(tmp_path / "ycc.im")
    expected = np.asarray(picture("YCbCr").convert("RGB")) / 255
    assert decode(tmp_path / "ycc.im") == pytest.approx(expected, abs=1e-6)


def test_all_16_bits_of_a_wide_profile_count(tmp_path):
    """A ramp of 2,000 greys between two neighbouring bytes stays a ramp of 2,000, in the right place."""
    ramp = np.linspace(30000, 32000, 2001).astype(np.uint16)
    rows = b"\0" + np.repeat(ramp, 3).astype(">u2").tobytes()
    profile = (b"iCCP", b"wide\0\0" + zlib.compress(PROFILES["wide"]))
    found = decode(png(tmp_path / "ramp.png", (len(ramp), 1), 16, 2, rows, profile))[0, :, 1]
    light = (ramp / 65535) ** 1.8
    assert found == pytest.approx(1.055 * light ** (1 / 2.4) - 0.055, abs=1e-3)
    assert (np.diff(found) > 0).all()


def test_32_bit_integers_that_use_16_are_16(tmp_path):
    values = levels(1, 65535)[..., 0]
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "i.tif")
    assert decode(tmp_path / "i.tif")[..., 0] == pytest.approx(values / 65535, abs=1e-6)


def test_a_path_may_be_relative_and_odd(here):
    picture("RGB").save("Ünïcode , = name.png")
    assert load_image("Ünïcode , = name.png").shape == (1, 3, 17, 23)


# What is said


def test_transparency_is_said_once_per_file_and_only_where_there_is_some(tmp_path, caplog):
    picture("RGBA").save(tmp_path / "some.png")
    picture("RGB").convert("RGBA").save(tmp_path / "none.png")
    for _ in range(3):
        decode(tmp_path / "some.png")
        decode(tmp_path / "none.png")
    assert caplog.messages == [f"{tmp_path}/some.png: transparency is composited on white"]


@pytest.mark.parametrize(
    ("profile", "mode"),
    [(b"nonsense", "RGB"), (PROFILES["wide"][:300], "RGB"), (PROFILES["grey"], "RGB"), (PROFILES["inks"], "L")],
)
def test_a_profile_that_cannot_be_used_is_ignored_and_said(tmp_path, caplog, profile, mode):
    path = tmp_path / "broken.png"
    picture(mode).save(path, icc_profile=profile)
    plain = np.asarray(picture(mode).convert("RGB")) / 255
    assert decode(path) == pytest.approx(plain, abs=1e-6)
    [line] = caplog.messages
    assert line.startswith(f"{path}: its colour profile is ignored (")


def test_damaged_exif_data_are_ignored(tmp_path, caplog):
    path = tmp_path / "exif.jpg"
    picture("RGB").save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20), quality=95, subsampling=0)
    assert decode(path).shape == (17, 23, 3)


def test_what_pillow_warns_of_is_one_line_in_the_log(tmp_path, caplog):
    exif = Image.Exif()
    exif[0x010E] = "a description"
    path = tmp_path / "warned.jpg"
    picture("RGB").save(path, exif=exif.tobytes()[:-10])
    with caplog.at_level(logging.WARNING):
        decode(path)
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in caplog.messages)


# What is refused


def refused(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG"])
def test_a_file_that_is_no_picture_is_refused(tmp_path, content):
    path = tmp_path / "no.png"
    path.write_bytes(content)
    assert "not a picture in a format that Pillow reads" in refused(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".gif", ".bmp"])
def test_a_file_cut_off_is_refused_or_read_never_anything_else(tmp_path, suffix, capfd):
    picture("RGB").save(tmp_path / f"whole{suffix}")
    data = (tmp_path / f"whole{suffix}").read_bytes()
    lines = []
    for length in range(0, len(data) - 1, max(1, len(data) // 60)):
        path = tmp_path / f"cut_{length}{suffix}"
        path.write_bytes(data[:length])
        with suppress(ImageError):
            assert np.isfinite(decode(path)).all()
            continue
        lines.append(refused(path))
    assert len(lines) > 40


def test_a_decompression_bomb_is_refused_from_its_header_in_no_time(tmp_path):
    bomb = png(tmp_path / "bomb.png", (50_000, 50_000), 8, 2, b"")
    started = time.perf_counter()
    assert refused(bomb).endswith("50000x50000 pixels are 2500 megapixels; the limit is 100")
    assert time.perf_counter() - started < 1
    with pytest.raises(ImageError):
        header_size(bomb)


def test_the_limit_is_ours_and_pillows_own_comes_back(tmp_path, monkeypatch):
    before = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(decoding, "MAX_PIXELS", 400)
    picture("RGB").crop((0, 0, 20, 20)).save(tmp_path / "fits.png")
    picture("RGB").crop((0, 0, 21, 20)).resize((21, 20)).save(tmp_path / "large.png")
    assert decode(tmp_path / "fits.png").shape == (20, 20, 3)
    assert "21x20 pixels" in refused(tmp_path / "large.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_text_that_inflates_is_refused(tmp_path):
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 * 2**20)))
    assert PngImagePlugin.MAX_TEXT_CHUNK < 200 * 2**20
    refused(png(tmp_path / "text.png", (1, 1), 8, 0, b"\0\0", text))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, np.nan]], np.float32), "not finite"),
        (np.array([[0, np.inf]], np.float32), "not finite"),
        (np.array([[0, 255]], np.float32), "floating-point values from 0 to 255; expected 0 (black) to 1 (white)"),
        (np.array([[-1, 1]], np.float32), "floating-point values from -1 to 1"),
        (np.array([[-5, 9]], np.int32), "integer values from -5"),
    ],
)
def test_numbers_without_a_place_between_black_and_white_are_refused(tmp_path, values, expected):
    path = tmp_path / "numbers.tif"
    Image.fromarray(values).save(path)
    assert expected in refused(path)


def test_floats_that_overshoot_a_little_are_clipped(tmp_path):
    Image.fromarray(np.array([[-0.0005, 0.5, 1.0005]], np.float32)).save(tmp_path / "f.tif")
    assert decode(tmp_path / "f.tif")[0, :, 0].tolist() == [0, 0.5, 1]


# Masks


def save(array: np.ndarray, path: Path) -> Path:
    Image.fromarray(array).save(path)
    return path


def test_a_mask_is_its_grey_as_stored(tmp_path):
    grey = levels(1)[..., 0].astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "m.png", icc_profile=PROFILES["grey"])
    mask = load_mask(tmp_path / "m.png")
    assert mask.shape == (1, 1, 17, 23)
    assert mask[0, 0].numpy() == pytest.approx(grey / 255, abs=1e-6)


def test_a_mask_in_colour_is_its_luma(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    mask = load_mask(save(colours, tmp_path / "m.png"))
    assert mask[0, 0, 0].tolist() == pytest.approx([0.299, 0.587, 0.114], abs=1e-6)


def test_a_mask_of_one_colour_is_its_transparency(tmp_path):
    alpha = levels(1)[..., 0].astype(np.uint8)
    for colour in (0, 255):
        shape = np.dstack([np.full_like(alpha, colour)] * 3 + [alpha])
        mask = load_mask(save(shape, tmp_path / f"{colour}.png"))
        assert mask[0, 0].numpy() == pytest.approx(alpha / 255, abs=1e-6)


def test_what_is_transparent_is_outside_a_mask(tmp_path):
    grey_alpha = np.array([[[200, 255], [200, 0], [100, 255]]], np.uint8)
    path = tmp_path / "m.png"
    Image.frombytes("LA", (3, 1), grey_alpha.tobytes()).save(path)
    assert load_mask(path)[0, 0, 0].tolist() == pytest.approx([200 / 255, 0, 100 / 255], abs=1e-6)


def test_a_mask_of_16_bits_keeps_them(tmp_path):
    path = save(np.array([[0, 1, 65535]], np.uint16), tmp_path / "m.png")
    assert load_mask(path)[0, 0, 0].tolist() == pytest.approx([0, 1 / 65535, 1], abs=1e-8)


def test_a_mask_resized_keeps_its_range_and_mean(tmp_path):
    mask = load_mask(save(np.kron(np.eye(8), np.ones((8, 8))).astype(np.uint8) * 255, tmp_path / "m.png"))
    for size in ((16, 24), (64, 64), (100, 90)):
        small = resize_mask(mask, *size)
        assert small.shape == (1, 1, *size)
        assert small.min() >= 0
        assert small.max() <= 1
        assert small.mean().item() == pytest.approx(mask.mean().item(), abs=0.01)
