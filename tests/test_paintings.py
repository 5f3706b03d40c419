"""The built-in paintings are what their generator paints."""

import sys

import numpy as np
import pytest
from conftest import CHECKOUT
from PIL import Image

sys.path.insert(0, str(CHECKOUT / "scripts"))

import paint
from paintings import WORKS

from nst_lab.images import catalog

FILES = sorted(paint.ASSETS.glob("*.png"))


def test_every_work_has_its_file_and_its_entry_in_the_catalog():
    assert [file.stem for file in FILES] == sorted(WORKS)
    for name, work in WORKS.items():
        entry = catalog.entries()[name]
        assert (entry.title, entry.artist, entry.rights) == (work.title, "nst_lab", "MIT")
        assert catalog.locate(name) == paint.ASSETS / f"{name}.png"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_small_and_plain(file):
    assert file.stat().st_size < 350_000
    with Image.open(file) as picture:
        assert picture.mode == "RGB"
        assert max(picture.size) == 512
        assert picture.info == {}


@pytest.mark.parametrize("name", ["stained_glass", "ink_wash"])
def test_a_small_painting_resembles_the_file_and_repeats(name):
    work = WORKS[name].paint(64)
    assert np.array_equal(work, WORKS[name].paint(64))
    with Image.open(paint.ASSETS / f"{name}.png") as picture:
        stored = np.asarray(picture.resize(work.shape[1::-1], Image.Resampling.BOX), float)
    assert np.corrcoef(stored.ravel(), work.ravel())[0, 1] > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_the_generator_paints_the_file_again(name):
    """Pixel by pixel; where the sines of a processor end in other digits, within what `paint.py --check` allows."""
    picture = WORKS[name].paint()
    with Image.open(paint.ASSETS / f"{name}.png") as stored:
        if not np.array_equal(picture, np.asarray(stored)):
            words, wrong = paint.difference(picture, paint.ASSETS / f"{name}.png")
            assert not wrong, words
