"""The labelled picture of a sweep and the cost table of a dry run."""

import pytest
from conftest import TINY
from PIL import Image

import nst_lab
from nst_lab.config.composition import Composer
from nst_lab.losses.objective import needed_taps
from nst_lab.running.claims import Watch
from nst_lab.sweeps.estimate import convolution_flops, memory_bytes, seconds
from nst_lab.sweeps.grid import save_grid
from nst_lab.sweeps.sweep import expand, plan, split_overrides, swept_keys


def sweep(*overrides):
    return plan(expand(Composer(), [*TINY, *overrides], multirun=True), Watch(60))


def test_swept_keys_are_those_that_differ_in_order():
    overrides = ("seed=3", "style=mosaic,ink_wash", "loss.content_weight=1e6,1e7", "init=noise")
    cells = [item.cell for item in sweep(*overrides)]
    assert swept_keys(cells) == ["style", "loss.content_weight"]
    assert [split_overrides(cell.overrides)["loss.content_weight"] for cell in cells] == ["1e6", "1e7", "1e6", "1e7"]


def test_a_grid_has_a_row_and_a_column_for_every_value_and_marks_what_is_missing(here):
    planned = sweep("init=noise", "seed=0,1", "loss.content_weight=1,2,3")
    for item in planned[:-1]:
        nst_lab.run(item.cell.config)
    with Image.open(save_grid(planned, here / "grid.png")) as complete_but_one:
        wide, high = complete_but_one.size
    assert wide > 2.5 * high / 3 > 0
    nst_lab.run(planned[-1].cell.config)
    before = (here / "grid.png").read_bytes()
    save_grid(planned, here / "grid.png")
    assert (here / "grid.png").read_bytes() != before
    assert [path.name for path in here.iterdir() if "partial" in path.name] == []


def test_cells_that_would_make_the_same_picture_are_planned_once():
    assert len(sweep("size_rule=longer,null", "seed=1")) == 1


def test_the_flops_of_the_first_convolutions_by_hand():
    # conv1_1: 2·9·3·64 per pixel, conv1_2: 2·9·64·64, conv2_1 at a quarter of the positions; and backward.
    per_pixel = 2 * 9 * 3 * 64 + 2 * 9 * 64 * 64 + 2 * 9 * 64 * 128 / 4
    assert convolution_flops(["relu2_1"], 64, 32) == 2 * per_pixel * 64 * 32


def test_time_and_memory_grow_with_what_is_asked_for():
    small, large, deep = (nst_lab.compose(o) for o in (["size=64"], ["size=128"], ["layers.style=[relu1_1,relu5_4]"]))
    assert seconds(large, 1e10) == pytest.approx(4 * seconds(small, 1e10), rel=0.1)
    assert memory_bytes(large, 128, 128) > memory_bytes(small, 64, 64)
    assert "relu5_4" in needed_taps(deep)
    halves = nst_lab.compose(["size=128", "scales=[{factor:0.5,share:0.5},{factor:1,share:0.5}]"])
    assert seconds(halves, 1e10) == pytest.approx((seconds(small, 1e10) + seconds(large, 1e10)) / 2, rel=0.05)


def test_a_sweep_over_one_key_is_wrapped(here):
    planned = sweep("init=noise", "seed=range(7)")
    for item in planned[:2]:
        nst_lab.run(item.cell.config)
    with Image.open(save_grid(planned, here / "grid.png")) as picture:
        assert picture.width < 2 * picture.height  # four times as wide in one row


def test_names_and_values_are_written_on_a_grid_as_they_are(here):
    Image.new("RGB", (40, 30)).save(here / "cost$_$x.png")
    Image.new("RGB", (40, 30)).save(here / "日本.png")
    planned = sweep("init=noise", 'content.image="cost$_$x.png","日本.png"', "seed=0")
    for item in planned[:1]:
        nst_lab.run(item.cell.config)
    assert save_grid(planned, here / "grid.png").is_file()


def test_numbers_that_differ_in_their_last_digits_are_different_columns(here):
    planned = sweep("init=noise", "loss.content_weight=147528426.22,147528426.23", "seed=1000001,9007199254740993")
    assert swept_keys([item.cell for item in planned]) == ["loss.content_weight", "seed"]
    values = [split_overrides(item.cell.overrides) for item in planned]
    assert [each["seed"] for each in values] == ["1000001", "9007199254740993"] * 2
    assert [each["loss.content_weight"] for each in values[::2]] == ["147528426.22", "147528426.23"]
