"""The run folder: what identifies a run, where it lies, its manifest. Nothing else creates or names one."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from nst_lab.config.composition import flat, shipped_defaults, to_settings
from nst_lab.config.filling import overrides_of
from nst_lab.config.schema import DIGITS, Config, Scale, file_to_start_from, run_to_start_from, used_styles
from nst_lab.errors import ConfigError
from nst_lab.images import catalog
from nst_lab.network import weight_files
from nst_lab.running.claims import Claim, Watch

RESULT_VERSION = 2  # raise it when the same settings begin to give another picture

MANIFEST = "manifest.json"
RESULT = "result.png"
LONGEST_NAME = 120  # of a folder, without the fingerprint

# Keys about where and how a run is made, not about its picture.
HOUSEKEEPING = ("name", "out_dir", "device", "threads", "dry_run", "force", "log", "runner", "convention_overrides")
# Keys that a hash of their bytes, or the weights that follow from them, stand for.
STOOD_FOR = {
    "convention", "content.image", "style.images", "init.image", "init.run", "model.weights", "model.means",
    "layers.content_profile", "layers.style_profile", "style.profile", "style.masks", "style.guides", "style.fine",
    "content.mask",
}  # fmt: skip
# Keys younger than the fingerprints of runs that exist: left out at the value that changes nothing.
NEUTRAL = {
    "resampling": "bicubic", "style.upscale": True, "loss.w2_sqrt": "exact", "loss.w2_eps": 1e-4, "loss.tv_factor": 1,
    "loss.tv_range": 1, "loss.gram_shift": 0, "loss.style_scale": "none", "loss.mmd_c": 1, "loss.mmd_samples": 256,
    "loss.histogram_layers": ["relu1_1", "relu4_1"], "loss.histogram_weight": 10, "init.noise_origin": "zero",
    "optimizer.averaging": 0, "optimizer.carry_state": False,
    "style.guidance": "resample", "style.fine_layers": ["relu1_1", "relu2_1"], "style.fine_evaluations": 100,
    "optimizer.bounds_range": "unit", "loss.tv_exponent": 2, "parametrisation": "pixel", "color.mode": "none",
    "color.match": "pca", "init.curvature": False,
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """The fingerprint of a run and the hashes of the inputs that went into it."""

    fingerprint: str
    hashes: dict[str, Any]


def identify(config: Config) -> Identity:
    """sha256 over `RESULT_VERSION`, the settings that determine the picture, and the bytes of images and weights."""
    hashes = {
        "content": _image_hash(config.content.image),
        "styles": [
            _image_hash(image) if used else None
            for image, used in zip(config.style.images, used_styles(config), strict=True)
        ],
        "init": _start_hash(config),
        "weights": weight_files.identity(config.model.weights),
    }
    if config.model.normalized and config.model.means:
        hashes["means"] = weight_files.identity(config.model.means)
    hashes |= _hashes_of_controls(config)
    text = json.dumps([RESULT_VERSION, _determining(picture_settings(config)), hashes], sort_keys=True)
    return Identity(hashlib.sha256(text.encode()).hexdigest(), hashes)


def _start_hash(config: Config) -> str | None:
    """Of the picture that a run starts from; the result of another run goes by that one's fingerprint, made or not."""
    run = run_to_start_from(config)
    return f"run {digits(run)}" if run else _image_hash(file_to_start_from(config))


def digits(folder: str | Path) -> str:
    """The digits of its fingerprint that a run's folder ends in."""
    return Path(folder).name[-DIGITS:]


def _hashes_of_controls(config: Config) -> dict[str, Any]:
    """Of masks, guides and fine images; only where there are some, as runs that are older than these keys have none."""
    used = used_styles(config)
    hashes: dict[str, Any] = {}
    for key in ("masks", "guides", "fine"):
        listed = getattr(config.style, key) or []
        named = [image if needed else None for image, needed in zip(listed, used, strict=False)]
        if any(named):
            hashes[key] = [_image_hash(image) for image in named]
    if config.content.mask is not None and config.loss.content_weight > 0:
        hashes["content_mask"] = _image_hash(config.content.mask)
    return hashes


def picture_settings(config: Config) -> dict[str, Any]:
    """The settings that a picture is made with, as nested dictionaries: all but the housekeeping."""
    return {key: value for key, value in to_settings(config).items() if key not in HOUSEKEEPING}


def _determining(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that the fingerprint is made of, by dotted key."""
    return {key: value for key, value in flat(settings).items() if key not in STOOD_FOR and NEUTRAL.get(key) != value}


def _image_hash(image: str | None) -> str | None:
    return None if image is None else catalog.sha256(image)


def run_folder(config: Config, identity: Identity) -> Path:
    """`<out_dir>/<name>/<content>-<styles>-<convention>[-<what is unusual>…]-<digits of the fingerprint>`.

    Unusual is what differs from the convention, and a size, budget or seed other than the shipped one: a pure function
    of the settings, so that a run is called the same in every sweep.
    """
    content = catalog.short_names([config.content.image])[0] if config.content.image else "texture"
    styles = "+".join(catalog.short_names(config.style.images)) if config.loss.style_weight > 0 else "reconstruction"
    name = "-".join(part for part in map(_readable, (content, styles)) if part) + f"-{config.convention}"
    for part in map(_readable, _unusual(config)):
        if len(name) + len(part) < LONGEST_NAME:
            name += f"-{part}"
    return Path(config.out_dir) / config.name / f"{name}-{identity.fingerprint[:DIGITS]}"


def _readable(text: str) -> str:
    return re.sub(r"[^\w+.]+", "_", text)[:40].strip("._")


def _unusual(config: Config) -> list[str]:
    values = {key: attrgetter(key)(config) for key in (*overrides_of(config), *shipped_defaults())}
    return [_in_short(key, value) for key, value in values.items() if shipped_defaults().get(key, ()) != value]


def _in_short(key: str, value: Any) -> str:
    section, _, last = key.rpartition(".")
    text = "+".join(map(_value_in_short, value if isinstance(value, list) else [value]))
    if last in ("kind", "name", "statistic"):  # noise, adam, w2 say what they are
        return text
    if section == "color":
        return f"color_{text}" if last == "mode" and text != "content_chroma" else text
    if section == "layers":
        return f"{last.replace('_weights', '_layer_weights')}_{text}" if "weights" in last else f"{last}_layers_{text}"
    return f"{last}_{text}" if section in ("", "loss", "optimizer") else f"{section}_{last}_{text}"


def _value_in_short(value: Any) -> str:
    if isinstance(value, list):  # of a list of lists
        return "_".join(map(_value_in_short, value))
    if isinstance(value, Scale):
        value = value.factor
    if isinstance(value, float):
        return f"{value:g}".replace("e+0", "e").replace("e-0", "e-")
    return Path(str(value).removeprefix("relu")).stem


def state(folder: Path, identity: Identity, watch: Watch) -> str:
    """What has become of a run.

    `held` by a living process, `completed`, `failed`, `interrupted` (it wrote a checkpoint and left), `killed` (it left
    without a word) or `new`.

    Raises:
        ConfigError: its folder cannot be read.
    """
    try:
        holder = watch.judge(folder)[1]
    except OSError as error:
        raise ConfigError(f"out_dir: {folder} cannot be read ({error.strerror})") from error
    if holder is not None:
        return "held"
    if is_completed(folder, identity):
        return "completed"
    status = (read_manifest(folder) or {}).get("status", "")
    return {"failed": "failed", "interrupted": "interrupted", "running": "killed"}.get(str(status), "new")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a run folder; None where there is none or it cannot be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) else None


def attempts(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts that a manifest tells of, in their order; none where it tells of none as a run does."""
    told = manifest.get("attempts")
    return [attempt for attempt in told if isinstance(attempt, dict)] if isinstance(told, list) else []


def write_manifest(claim: Claim, manifest: dict[str, Any]) -> None:
    """Replace the manifest of a claimed folder in one step, so that a reader never sees half of one."""
    temporary = claim.folder / ".manifest.partial.json"
    temporary.write_text(json.dumps(manifest, indent=2, allow_nan=False) + "\n")
    claim.replace(temporary, MANIFEST)


def is_completed(folder: Path, identity: Identity) -> bool:
    """Whether `folder` holds the finished run of exactly these settings and inputs."""
    manifest = read_manifest(folder)
    return (
        manifest is not None
        and manifest.get("status") == "completed"
        and manifest.get("fingerprint") == identity.fingerprint
        and (folder / RESULT).is_file()
    )


def result_to_start_from(folder: str) -> Path:
    """The picture of the completed run `init.run`.

    Raises:
        ConfigError: there is no completed run.
    """
    run = Path(folder)
    manifest = read_manifest(run) or {}
    completed = manifest.get("status") == "completed" and str(manifest.get("fingerprint")).startswith(digits(run))
    if not completed or not (run / RESULT).is_file():
        told = f" ({manifest['status']})" if manifest.get("status") in ("failed", "interrupted", "running") else ""
        raise ConfigError(f"init.run={folder}: no completed run{told}; expected the folder of one")
    return run / RESULT


def opening(config: Config, identity: Identity) -> dict[str, Any]:
    """What a manifest says from the beginning: the filled configuration, and what identifies the run."""
    settings = to_settings(config)
    settings.pop("convention_overrides")
    return {
        "status": "running",
        "fingerprint": identity.fingerprint,
        "result_version": RESULT_VERSION,
        "config": settings,
        "convention_overrides": overrides_of(config),
        "hashes": identity.hashes,
    }


def check_place(folder: Path) -> None:
    """Raise `ConfigError` where a run folder would lie in the folder of another run, with which it would be removed."""
    for parent in list(folder.parents)[:2]:
        if "fingerprint" in (read_manifest(parent) or {}):
            raise ConfigError(f"out_dir: {folder} lies in {parent}, the folder of a run; expected one beside it")


def create_folder(folder: Path) -> None:
    """Create a run folder if it is not there.

    Raises:
        ConfigError: it cannot be created or written, is a link, which nothing of nst_lab follows to a run, or lies in
            the folder of another run.
    """
    check_place(folder)
    if folder.is_symlink():
        raise ConfigError(f"out_dir: {folder} is a link, which could lead anywhere; expected a folder, or nothing yet")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"out_dir: {folder} cannot be written ({error.strerror})") from error
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"out_dir: {folder} cannot be written (no permission)")
