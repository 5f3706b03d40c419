"""The command `nst-measure`: mean activations of a network on a folder of photographs, for `model.normalized`.

nst-measure photographs/ --output means.json
nst-lab model.normalized=true model.means=means.json
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import torch
from PIL import Image
from torch import Tensor

from nst_lab.command_line import Parser, answer, enter
from nst_lab.errors import ConfigError, ImageError
from nst_lab.images.pictures import load_image, resize, target_size
from nst_lab.network.architecture import CONVOLUTIONS, input_statistics
from nst_lab.network.vgg import VGG19
from nst_lab.network.weight_files import network_identity
from nst_lab.network.weights import Weights, load_weights
from nst_lab.optimisation.synthesis import resolve_device


def main() -> NoReturn:
    """Entry point of `nst-measure`."""
    enter("nst-measure", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status: 0, or 2 after one line that says what is wrong."""
    return answer(_parser(), arguments)


def _parser() -> Parser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="nst-measure", description=__doc__, formatter_class=formatter)
    parser.add_argument("folder", type=Path, help="photographs, in any format that Pillow reads")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--weights", default="caffe", help="caffe, torchvision, random or a file (model.weights)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights (model.seed)")
    parser.add_argument("--size", type=int, default=512, help="longer side to which larger photographs are reduced")
    parser.add_argument("--device", default="auto")
    parser.set_defaults(run=_measure_folder)
    return parser


def _measure_folder(options: argparse.Namespace) -> int:
    if not 0 <= options.seed < 2**63:
        raise ConfigError(f"--seed {options.seed}: expected a number from 0 to {2**63 - 1}")
    weights = load_weights(options.weights, options.seed)
    network = measuring_network(weights, options.weights).to(resolve_device(options.device))
    files = photographs(options.folder)
    pictures = (reduced(load_image(path), options.size) for path in files)
    means = mean_activations(network, pictures)
    report = {
        "description": "Mean activation of every VGG-19 convolution filter after its ReLU, over images and positions",
        "network": f"model.weights={options.weights}, zero padding, 2x2 max pooling",
        "weights_sha256": weights.sha256 or network_identity(options.weights, options.seed),
        "images": f"{len(files)} photographs, at most {options.size} pixels on a side",
        "layers": {name: values.tolist() for name, values in means.items()},
    }
    try:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    except OSError as error:
        raise ConfigError(f"--output {options.output}: cannot be written ({error.strerror})") from error
    silent = sum(int((values == 0).sum()) for values in means.values())
    print(f"{options.output}: {len(files)} photographs, {silent} filters silent on all of them")
    return 0


def photographs(folder: Path) -> list[Path]:
    """The files of a folder whose names end like pictures, in alphabetical order.

    Raises:
        ConfigError: it is no folder or holds none.
    """
    endings = Image.registered_extensions()
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in endings)
    if not files:
        raise ConfigError(f"{folder}: {'holds no pictures' if folder.is_dir() else 'not a folder'}")
    return files


def reduced(picture: Tensor, size: int) -> Tensor:
    """The picture with its longer side at most `size`."""
    height, width = picture.shape[-2:]
    smaller = target_size(height, width, size, "longer") if max(height, width) > size else (height, width)
    if min(smaller) < 16:
        raise ImageError(f"a photograph of {width}x{height} pixels: conv5_1 needs at least 16 on each side")
    return resize(picture, *smaller)


def measuring_network(weights: Weights, source: str) -> VGG19:
    """The network as trained, with max pooling and zero padding, giving every filter's activation after its ReLU."""
    statistics = input_statistics(source)
    taps = [name.replace("conv", "relu") for name in CONVOLUTIONS]
    return VGG19(
        weights.kernels, taps, pooling="max", padding="zeros", padding_first="zeros",
        mean=statistics.mean, std=statistics.std,
    )  # fmt: skip


@torch.no_grad()
def mean_activations(network: VGG19, pictures: Iterable[Tensor]) -> dict[str, Tensor]:
    """Mean of every filter of every convolution after its ReLU, (C,) in float64, over all positions of all pictures.

    Args:
        network: one that taps all sixteen ReLUs (`measuring_network`).
        pictures: RGB (1, 3, H, W) in [0, 1], any sizes; a larger one has more positions and weighs more.
    """
    sums = {name: torch.zeros((), dtype=torch.float64) for name in CONVOLUTIONS}
    positions = dict.fromkeys(CONVOLUTIONS, 0)
    for picture in pictures:
        activations = network(picture.to(network.mean.device))
        for name in CONVOLUTIONS:
            activation = activations[name.replace("conv", "relu")]
            # Averaged in float32 over one picture, summed in float64 over all.
            here = activation.shape[-2] * activation.shape[-1]
            sums[name] = sums[name] + activation.mean((0, 2, 3)).cpu().double() * here
            positions[name] += here
    return {name: sums[name] / positions[name] for name in CONVOLUTIONS}


if __name__ == "__main__":
    main()
