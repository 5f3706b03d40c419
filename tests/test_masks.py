"""The masks of this project, and the script that makes them."""

import subprocess
import sys

import pytest
import torch
from conftest import CHECKOUT

import nst_lab
from nst_lab.images.pictures import resize


@pytest.mark.parametrize("photograph", ["rocket", "neckarfront"])
def test_the_masks_of_a_photograph_divide_it(photograph):
    sky, ground = (nst_lab.load_mask(f"{photograph}_{region}") for region in ("sky", "ground"))
    torch.testing.assert_close(sky + ground, torch.ones_like(sky), atol=1e-6, rtol=0)
    assert sky[..., 0, :].min() > 0.9
    assert sky[..., -1, :].max() < 0.1
    assert ((sky > 0.02) & (sky < 0.98)).float().mean() < 0.1


def test_the_mask_of_the_sky_follows_the_photograph():
    photograph, sky = resize(nst_lab.load_image("rocket"), 342, 512), nst_lab.load_mask("rocket_sky")
    inside = photograph[:, 2:] - photograph[:, :1]  # blue above red
    assert inside[sky > 0.9].mean() > 4 * inside[sky < 0.1].mean()


def test_the_script_makes_the_masks_that_are_there():
    done = subprocess.run(
        [sys.executable, CHECKOUT / "scripts/masks.py", "rocket", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
