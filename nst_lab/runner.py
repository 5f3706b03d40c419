"""One run from configuration to folder: load, claim, optimise, record, and the result whatever the stop reason."""

import json
import platform
import subprocess
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst_lab import catalog, runs
from nst_lab.checks import check_config
from nst_lab.composition import to_settings
from nst_lab.config import Config, used_styles
from nst_lab.errors import ImageError, UserError
from nst_lab.images import image_size, load_image, save_image
from nst_lab.objective import needed_taps
from nst_lab.optimize import Step
from nst_lab.progress import ProgressLine
from nst_lab.recorder import Recorder, finite_or_none, peak_memory
from nst_lab.synthesis import Inputs, Size, resolve_device, sizes_at, synthesise
from nst_lab.vgg import build_network
from nst_lab.weights import Weights, prepare_weights

PACKAGES = ("nst_lab", "torch", "torchvision", "pillow", "hydra-core", "tensorboard")


@dataclass(frozen=True)
class Run:
    """A run folder: its path and manifest. `image()` reads the picture."""

    folder: Path
    manifest: dict[str, Any]

    def image(self) -> Tensor:
        """The result (1, 3, H, W) in [0, 1], as saved."""
        return load_image(self.folder / "result.png")


class RunError(UserError):
    """A run ended without a finite result; the message names the quantity and the evaluation."""


def run(config: Config, *, overrides: Sequence[str] = (), label: str | None = None) -> Run:
    """Run `config` into its folder; a run already completed there is returned as it is (unless `force`).

    Args:
        config: a filled configuration (`nst_lab.compose`).
        overrides: what it was composed from, for the manifest.
        label: how to call it on the terminal; by default the name of its folder.

    Raises:
        ConfigError: the device is not there, the folder cannot be written, or sizes and layers do not fit.
        ImageError, WeightsError: an input cannot be read.
        RunError: the losses ceased to be finite; the last finite picture is saved all the same.

    Whatever is raised is also recorded in the manifest, with status `failed` or `interrupted`.
    """
    check_config(config)
    device = resolve_device(config.device)
    identity = runs.identify(config)
    folder = runs.run_folder(config, identity)
    if not config.force and runs.is_completed(folder, identity):
        return Run(folder, runs.read_manifest(folder))
    runs.prepare_folder(folder)
    manifest = _opening(config, identity, overrides, device)
    runs.write_manifest(folder, manifest)
    try:
        _execute(config, folder, manifest, identity, label or folder.name)
    except BaseException as error:
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
        manifest |= {"status": "interrupted" if interrupted else "failed", "end": _now()}
        manifest["error"] = "interrupted" if interrupted else str(error) or type(error).__name__
        if not isinstance(error, UserError) and not interrupted:
            manifest["traceback"] = traceback.format_exc()
        runs.write_manifest(folder, manifest)
        raise
    runs.write_manifest(folder, manifest | {"status": "completed", "end": _now()})
    return Run(folder, runs.read_manifest(folder))


def _execute(config: Config, folder: Path, manifest: dict[str, Any], identity: runs.Identity, label: str) -> None:
    inputs = load_inputs(config)
    model = config.model
    hashes = (identity.hashes["weights"], identity.hashes.get("means"))
    weights = _shared_weights(hashes, model.weights, model.seed, model.normalized, model.means)
    manifest["unscaled_filters"] = weights.unscaled_filters
    network = build_network(config.model, weights, needed_taps(config), config.precision)
    step: Step | None = None
    with Recorder(folder, config, inputs) as recorder, ProgressLine(label, config.optimizer.evaluations) as line:
        try:
            for step in synthesise(inputs, config, network):
                recorder.record(step)
                line.update(step)
        finally:
            if step is not None:
                _save(folder, manifest, runs.picture_settings(config), step)
                manifest["seconds"] = round(recorder.previous - recorder.started, 3)
    if step.stop.reason == "not_finite":
        raise RunError(step.stop.detail)


def _save(folder: Path, manifest: dict[str, Any], settings: dict[str, Any], step: Step) -> None:
    """The picture of the last accepted step, whatever ended the run."""
    result = step.result
    manifest |= {
        "evaluations": step.evaluation,
        "stop_reason": step.stop.reason if step.last else "interrupted",
        "stop_detail": step.stop.detail if step.last else f"interrupted after evaluation {step.evaluation}",
        "losses": finite_or_none(result.losses.to_floats()) | {"evaluation": result.evaluation},
        "size": list(result.image.shape[-2:]),
        "peak_memory_bytes": peak_memory(step.image.device),
    }
    metadata = {
        "Software": f"nst_lab {version('nst_lab')}",
        "nst_lab fingerprint": manifest["fingerprint"],
        "nst_lab settings": json.dumps(settings),
        "Copyright": "; ".join(manifest["credits"]),
    }
    save_image(step.picture, folder / "result.png", metadata)


def load_inputs(config: Config) -> Inputs:
    """Decode the pictures that a configuration names."""
    return Inputs(
        content=None if config.content.image is None else load_image(config.content.image),
        styles={name: load_image(image) for name, image in _needed_styles(config)},
        init=load_image(config.init.image) if config.init.kind == "file" else None,
    )


def _needed_styles(config: Config) -> list[tuple[str, str]]:
    """Short name and image of every style that the run depends on."""
    images = config.style.images
    styles = zip(catalog.short_names(images), images, used_styles(config), strict=True)
    return [(name, image) for name, image, used in styles if used]


def sizes_from_headers(config: Config, factor: float = 1.0) -> tuple[Size, dict[str, Size]]:
    """`sizes_at` without decoding a picture or fetching one whose size the catalog knows.

    Raises:
        ConfigError: a picture would be too small for the deepest tap.
        ImageError: a picture has no readable header.
    """
    return sizes_at(
        None if config.content.image is None else image_size(config.content.image),
        {name: image_size(image) for name, image in _needed_styles(config)},
        image_size(config.init.image) if config.init.kind == "file" else None,
        config,
        factor,
    )


def check_sizes(config: Config) -> None:
    """Raise before any work if a picture is too small for the layers at any scale.

    A picture that cannot be read is no reason to refuse a sweep: its cells will fail and say so.

    Raises:
        ConfigError: as `sizes_from_headers`.
    """
    with suppress(ImageError):
        for factor in {scale.factor for scale in config.scales or []} | {1.0}:
            sizes_from_headers(config, factor)


def _opening(config: Config, identity: runs.Identity, overrides: Sequence[str], device: torch.device) -> dict:
    settings = to_settings(config)
    convention_overrides = settings.pop("convention_overrides")
    images = [image for image in (config.content.image, *config.style.images, config.init.image) if image]
    return {
        "status": "running",
        "fingerprint": identity.fingerprint,
        "result_version": runs.RESULT_VERSION,
        "config": settings,
        "convention_overrides": convention_overrides,
        "overrides": list(overrides),
        "hashes": identity.hashes,
        "credits": [catalog.credit(image) for image in images],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})",
        "threads": config.threads or torch.get_num_threads(),
        "start": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """The git commit of the checkout that this package runs from; None for an installed wheel."""
    package = Path(__file__).parent
    if not (package.parent / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(package), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@lru_cache(maxsize=2)
def _shared_weights(_hashes: tuple[str | None, ...], *source: Any) -> Weights:
    """The weights of the last networks used, so that the cells of a sweep read them once per process.

    The hashes of their files are part of the key: a file that is replaced is read again.
    """
    return prepare_weights(*source)
