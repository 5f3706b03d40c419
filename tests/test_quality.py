"""What the shipped experiments promise, with the real network."""

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import CHECKOUT

import nst_lab
from nst_lab.app import command
from nst_lab.config.composition import Composer
from nst_lab.images.pictures import resize
from nst_lab.sweeps.sweep import expand

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

EXPERIMENTS = re.findall(r"^\| `(\w+)` \| (\d+) \|", (CHECKOUT / "README.md").read_text(), re.M)
LEAST_SIZES = {"masks": 128}  # of whole receptive fields


def test_the_readme_lists_every_experiment():
    files = (CHECKOUT / "conf/experiment").glob("*.yaml")
    assert sorted(name for name, _ in EXPERIMENTS) == sorted(file.stem for file in files)


@pytest.mark.parametrize(("name", "runs"), EXPERIMENTS)
def test_every_experiment_makes_its_runs(name, runs, here, capsys):
    size = LEAST_SIZES.get(name, 64)
    fewer = ("optimizer.evaluations=3", "style.fine_evaluations=3", "log.distances=false", "threads=1")
    assert command([f"experiment={name}", f"size={size}", *fewer]) == 0, capsys.readouterr().err
    manifests = [json.loads(file.read_text()) for file in Path("outputs", name).glob("*/manifest.json")]
    assert [manifest["status"] for manifest in manifests] == ["completed"] * int(runs)
    pictures = {file.read_bytes() for file in Path("outputs", name).glob("*/result.png")}
    assert len(pictures) == int(runs)
    assert Path("outputs", name, "grid.png").is_file()


def psnr(config: nst_lab.config.schema.Config) -> float:
    """Peak signal-to-noise ratio of a reconstruction to its content, in dB."""
    content = nst_lab.load_image(config.content.image)
    picture = nst_lab.transfer(content, [], config).image
    error = (picture - resize(content, *picture.shape[-2:])).square().mean()
    return -10 * torch.log10(error).item()


@pytest.mark.parametrize("content", ["chelsea", "astronaut"])
def test_content_reconstruction_fades_with_depth(content):
    cells = expand(Composer(), ["experiment=content_reconstruction", f"content={content}", "size=64"], multirun=False)
    values = {cell.config.layers.content[0]: psnr(cell.config) for cell in cells}
    assert list(values) == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert values["relu2_1"] > 30
    assert sorted(values.values(), reverse=True) == list(values.values())


def terms(*overrides: str) -> tuple[float, float]:
    """The content term and the sum of the style terms after a run from one pair of pictures."""
    base = ["content=rocket", "style=starry_strokes", "size=128", "optimizer.evaluations=100"]
    content, style = map(nst_lab.load_image, ("rocket", "starry_strokes"))
    found = nst_lab.transfer(content, [style], nst_lab.compose([*base, *overrides])).losses["terms"]
    return found["content/relu4_2"], sum(value for name, value in found.items() if name.startswith("style"))


def test_the_defaults_lower_the_style_loss_and_keep_the_content():
    _, unchanged = terms("optimizer.evaluations=1")
    texture, _ = terms("init=noise", "loss.content_weight=1e-6")
    for init in ("content", "noise"):
        content, style = terms(f"init={init}")
        assert style < 0.05 * unchanged, init
        assert content < 0.7 * texture, init
