"""`nst-measure` and the network normalised by what it writes; which files of means are refused, and how."""

import json

import pytest
import torch

import nst_lab
from nst_lab.errors import ConfigError, WeightsError
from nst_lab.images.pictures import resize
from nst_lab.network.architecture import CONVOLUTIONS, LAYERS
from nst_lab.network.measure import command, mean_activations, measuring_network, reduced
from nst_lab.network.weight_files import CAFFE_SHA256, read_means
from nst_lab.network.weights import load_weights, normalize, prepare_weights
from nst_lab.running import runs

SIZES = {"chelsea": (64, 96), "astronaut": (72, 48), "coffee": (160, 40)}


@pytest.fixture
def photographs(here):
    """Three small photographs of different sizes, one larger than what the tests measure at, and another file."""
    (here / "photographs").mkdir()
    (here / "photographs" / "notes.txt").write_text("no picture")
    for name, size in SIZES.items():
        nst_lab.save_image(resize(nst_lab.load_image(name), *size), here / "photographs" / f"{name}.png")
    return here / "photographs"


def files(photographs):
    return sorted(photographs.glob("*.png"))


def measure(photographs, *options):
    output = photographs.parent / "means.json"
    assert command([str(photographs), "--output", str(output), "--size", "96", "--device", "cpu", *options]) == 0
    return output


@pytest.mark.parametrize("weights", ["caffe", "random"])
def test_on_the_images_measured_every_filters_mean_activation_is_one(photographs, weights, capsys):
    means = measure(photographs, "--weights", weights)
    assert "3 photographs" in capsys.readouterr().out
    network = measuring_network(prepare_weights(weights, 0, True, str(means)), weights)
    measured = json.loads(means.read_text())["layers"]
    found = mean_activations(network, [reduced(nst_lab.load_image(path), 96) for path in files(photographs)])
    for name, values in found.items():
        own = torch.tensor(measured[name])
        active = own > 1e-4 * own.median()
        assert active.float().mean() > 0.5, name
        torch.testing.assert_close(values[active], torch.ones_like(values[active]), rtol=2e-3, atol=0)


def test_means_are_over_all_positions_of_all_pictures(photographs):
    network = measuring_network(load_weights("random", 1), "random")
    pictures = [nst_lab.load_image(path) for path in files(photographs)]
    activations = [network(picture)["relu2_2"][0].flatten(1) for picture in pictures]
    found = mean_activations(network, pictures)["conv2_2"]
    torch.testing.assert_close(found.float(), torch.cat(activations, dim=1).mean(1), rtol=1e-4, atol=1e-6)


def test_the_file_is_like_the_shipped_one_and_tied_to_its_weights(photographs):
    written = json.loads(measure(photographs).read_text())
    assert written["weights_sha256"] == CAFFE_SHA256
    assert {name: len(values) for name, values in written["layers"].items()} == {
        name: LAYERS[name].channels for name in CONVOLUTIONS
    }


def test_a_measured_file_is_used_and_its_bytes_belong_to_the_fingerprint(photographs, tmp_path):
    means = measure(photographs)
    shipped = nst_lab.compose([])
    own = nst_lab.compose([f"model.means={means}"])
    copy = tmp_path / "copy.json"
    copy.write_bytes(means.read_bytes())
    fingerprint = runs.identify(own).fingerprint
    assert fingerprint != runs.identify(shipped).fingerprint
    assert fingerprint == runs.identify(nst_lab.compose([f"model.means={copy}"])).fingerprint
    unused = runs.identify(nst_lab.compose([f"model.means={means}", "model.normalized=false"]))
    assert unused.fingerprint == runs.identify(nst_lab.compose(["model.normalized=false"])).fingerprint


def test_means_of_other_weights_are_refused_before_any_work(photographs):
    means = measure(photographs, "--weights", "random", "--seed", "3")
    assert nst_lab.compose(["model=random", "model.seed=3", "model.normalized=true", f"model.means={means}"])
    for others in (["model.weights=caffe"], ["model=random", "model.seed=4"], ["model.weights=torchvision"]):
        with pytest.raises(ConfigError, match=r"measured with other weights .* nst-measure FOLDER") as caught:
            nst_lab.compose([*others, "model.normalized=true", f"model.means={means}"])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [("not json", "cannot be read"), ("[]", "layers.conv1_1"), ('{"layers": {"conv1_1": [1, 2]}}', "64 numbers")],
)
def test_a_file_that_is_not_one_of_means_is_refused_in_one_line(here, text, what):
    (here / "means.json").write_text(text)
    with pytest.raises(WeightsError, match=what) as caught:
        read_means("caffe", 0, "means.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"model\.means=absent\.json"):
        nst_lab.compose(["model.means=absent.json"])


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nowhere", "--output", "x.json"], "nowhere: not a folder"),
        (["empty", "--output", "x.json"], "empty: holds no pictures"),
        (["photographs", "--output", "no/folder/x.json"], "--output no/folder/x.json"),
        (["photographs", "--output", "x.json", "--weights", "absent.pth"], "absent.pth"),
        (["photographs", "--output", "x.json", "--device", "gpu"], "device=gpu"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_status_two(photographs, arguments, what, capsys):
    (photographs.parent / "empty").mkdir()
    assert command(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("nst-measure: ")
    assert told.count("\n") == 1
    assert what in told


def test_a_filter_that_is_never_active_stays_unscaled_and_is_counted():
    random_weights = load_weights("random", 3)
    means = {name: [2.0] * LAYERS[name].channels for name in CONVOLUTIONS}
    means["conv1_1"][3] = 0.0
    means["conv5_4"] = [0.0] * 512
    scaled = normalize(random_weights, means)
    assert scaled.unscaled_filters == 1 + 512
    first = random_weights.kernels["conv1_1"].weight, scaled.kernels["conv1_1"].weight
    torch.testing.assert_close(first[1][3], first[0][3])
    torch.testing.assert_close(first[1][4], first[0][4] / 2)
    for kernel in scaled.kernels.values():
        assert kernel.weight.isfinite().all()
