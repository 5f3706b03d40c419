"""The installed package: what the wheel carries, imports that stay cheap, the API of the README."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import CHECKOUT, TINY

import nst_lab


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with that wheel; its dependencies are those of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    [packages] = folder.glob("lib/python*/site-packages")
    # A .pth line adds a folder but not that folder's own .pth files, so the editable nst_lab stays out of sight.
    (packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parent.parent) + "\n")
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, timeout=300)
    return folder


def test_the_wheel_carries_configurations_and_assets(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    experiments = ("conf/experiment/quickstart.yaml", "conf/experiment/peers/seed.yaml")
    figures = ("conf/figure.yaml", "conf/figure/gatys2015_fig3.yaml")
    for name in ("conf/config.yaml", "conf/convention/gatys.yaml", *experiments, *figures):
        assert f"nst_lab/{name}" in names
    pictures = ("paintings/starry_strokes.png", "masks/rocket_sky.png")
    report = ("report/page.html", "report/page.css", "report/base.js")
    for name in ("catalog.yaml", "vgg19_mean_activations.json", *pictures, *report):
        assert f"nst_lab/assets/{name}" in names
    assert not any(name.startswith(("tests/", "scripts/", "outputs/")) for name in names)


def test_an_installed_wheel_runs_outside_the_checkout(installed, here):
    done = subprocess.run([installed / "bin/nst-lab", *TINY], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert list(here.glob("outputs/runs/*/result.png"))
    where = [installed / "bin/python", "-c", "import nst_lab; print(nst_lab.__file__)"]
    assert str(installed) in subprocess.run(where, capture_output=True, text=True, check=True).stdout


def test_an_installed_wheel_takes_a_users_own_experiments(installed, here):
    (here / "mine/experiment").mkdir(parents=True)
    (here / "mine/experiment/small.yaml").write_text(
        "# @package _global_\nname: small\nhydra: {sweeper: {params: {seed: '0,1', init: noise}}}\n"
    )
    command = [installed / "bin/nst-lab", "--config-dir", "mine", "experiment=small", *TINY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list(here.glob("outputs/small/*/result.png"))) == 2


def test_an_installed_wheel_compares_runs(installed, swept, here):
    command = [installed / "bin/nst-compare", swept, "--html", "page.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "</html>" in (here / "page.html").read_text()


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, nst_lab; assert not {'torch', 'hydra', 'PIL', 'numpy', 'tensorboard'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_public_names_are_there_and_others_are_refused():
    for name in nst_lab.__all__:
        assert getattr(nst_lab, name) is not None
    with pytest.raises(AttributeError, match=r"public names: .*compose"):
        _ = nst_lab.paint


def test_public_names_stay_functions_after_their_modules_are_imported():
    import nst_lab.optimisation.synthesis

    assert callable(nst_lab.transfer)
    assert callable(nst_lab.run)
