"""One run from configuration to folder: claim, load or resume, optimise, record, and the result whatever the end.

A run is a coroutine: it asks for each step of its synthesis and is sent it, so that several can be made at once and
their evaluations as one batch (`together.py`).
"""

import json
import platform
import subprocess
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst_lab.config.checks import check_config
from nst_lab.config.schema import Config, named_pictures
from nst_lab.errors import ConfigError, UserError
from nst_lab.images import catalog
from nst_lab.images.pictures import load_image, save_image
from nst_lab.metrics import METRICS_VERSION, distances_of_run
from nst_lab.notices import say_once
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.numerics import is_emulated
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.stopping import Stop
from nst_lab.optimisation.synthesis import Synthesis, resolve_device
from nst_lab.running import allocator, checkpoint, claims, curvature, runs
from nst_lab.running.checkpoint import Checkpoints
from nst_lab.running.claims import Claim, ClaimLostError, Watch
from nst_lab.running.inputs import load_inputs, sizes_from_headers
from nst_lab.running.interruption import BetweenSteps
from nst_lab.running.networks import shared_network
from nst_lab.running.progress import ProgressLine
from nst_lab.running.recorder import Recorder, finite_or_none, peak_memory, rewind
from nst_lab.running.together import Coroutine, drive

PACKAGES = ("nst_lab", "torch", "torchvision", "pillow", "hydra-core", "tensorboard")


@dataclass(frozen=True)
class Run:
    """A run folder: its path and manifest. `image()` reads the picture."""

    folder: Path
    manifest: dict[str, Any]

    def image(self) -> Tensor:
        """The result (1, 3, H, W) in [0, 1], as saved."""
        return load_image(self.folder / runs.RESULT)


class RunError(UserError):
    """A run ended without a finite result; the message names the quantity and the evaluation."""


def run(
    config: Config,
    *,
    overrides: Sequence[str] = (),
    config_dir: str | None = None,
    label: str | None = None,
    claim: Claim | None = None,
) -> Run:
    """Run `config` into its folder; a run already completed there is returned as it is (unless `force`).

    A run that was interrupted or killed goes on from its checkpoint, and ends in the same picture and curves as one
    that was not. A run that another process is making is waited for.

    Args:
        config: a filled configuration (`nst_lab.compose`).
        overrides, config_dir: what it was composed from, for the manifest.
        label: how to call it on the terminal; by default the name of its folder.
        claim: the caller's own on the run's folder, if it holds one already and means to keep it.

    Raises:
        ConfigError: the device is not there, the folder cannot be written, or sizes and layers do not fit.
        ImageError, WeightsError: an input cannot be read.
        RunError: the losses ceased to be finite; the last finite picture is saved all the same.

    Whatever is raised is also recorded in the manifest, with status `failed` or `interrupted`.
    """
    [made] = drive([make(config, overrides=overrides, config_dir=config_dir, label=label, claim=claim)])
    return made


def make(
    config: Config,
    *,
    overrides: Sequence[str] = (),
    config_dir: str | None = None,
    label: str | None = None,
    launch: str = "",
    wait: bool = True,
    claim: Claim | None = None,
) -> Coroutine[Run]:
    """`run` as a coroutine, for `drive`.

    Args:
        config, overrides, config_dir, label, claim: as of `run`.
        launch: the sweep that the run belongs to, for the manifest.
        wait: for a run that another process holds; otherwise `HeldError` is raised.
    """
    check_config(config)
    resolve_device(config.device)
    identity = runs.identify(config)
    folder = runs.run_folder(config, identity)
    if config.force or not runs.is_completed(folder, identity):
        runs.create_folder(folder)
        with nullcontext(claim) if claim else _claimed(config, folder, launch, wait) as claim:
            if config.force or not runs.is_completed(folder, identity):  # another process may have, meanwhile
                source = {"overrides": list(overrides), "config_dir": config_dir}
                yield from _Attempt(config, identity, claim, source).make(label or folder.name)
    else:
        tidy(folder, Watch(config.runner.takeover_seconds))
    return Run(folder, runs.read_manifest(folder) or {})


def tidy(folder: Path, watch: Watch) -> None:
    """Remove from a completed run's folder what a process left that was killed between completing it and letting go."""
    if claims.standing(folder) is not None:
        with suppress(UserError), Claim(folder, "", watch):  # it is about to let go itself; a read-only disk
            (folder / checkpoint.NAME).unlink(missing_ok=True)


def _claimed(config: Config, folder: Path, launch: str, wait: bool) -> Claim:
    return (claims.acquire if wait else Claim)(folder, launch, Watch(config.runner.takeover_seconds))


class _Attempt:
    """One attempt at a run in its claimed folder; the manifest tells of it from beginning to end.

    A completed run that it replaces (`force`) stays until inputs and network are there, its picture until the new one.
    """

    def __init__(self, config: Config, identity: runs.Identity, claim: Claim, source: dict[str, Any]):
        self.config, self.identity, self.claim, self.folder = config, identity, claim, claim.folder
        self.resumed = None if config.force else checkpoint.read(self.folder, identity.fingerprint)
        earlier = runs.read_manifest(self.folder) or {}
        self.replaced = earlier if runs.is_completed(self.folder, identity) else None
        attempt = {
            "launch": claim.owner.launch,
            "host": claim.owner.process.host,
            "process": claim.owner.process.pid,
            "start": _now(),
            "after_evaluation": self.resumed["evaluation"] if self.resumed else 0,
        }
        self.manifest = (
            runs.opening(config, identity)
            | _circumstances(config)
            | source
            | {
                "start": earlier.get("start", attempt["start"]) if self.resumed else attempt["start"],
                "attempts": [*runs.attempts(earlier), attempt],
            }
        )

    def make(self, label: str) -> Coroutine[None]:
        """The run, and its manifest whatever happens."""
        try:
            self._remove_partial()
            self._tell("running")
            inputs, synthesis = self._prepare()
            self._clear()
            yield from self._execute(inputs, synthesis, label)
        except ClaimLostError:
            raise  # the folder is no longer this process's to write into
        except OSError as error:  # whatever is read has errors of its own
            refused = ConfigError(
                f"out_dir: {error.filename2 or error.filename or self.folder} cannot be written ({error.strerror})"
            )
            self._tell_end(refused)
            raise refused from error
        except BaseException as error:
            self._tell_end(error)
            raise

    def _clear(self) -> None:
        """Remove what an earlier attempt left and this one does not go on with."""
        self.replaced = None
        rewind(self.claim, self.resumed["streams"] if self.resumed else {})
        if not self.resumed:
            (self.folder / checkpoint.NAME).unlink(missing_ok=True)
        (self.folder / curvature.NAME).unlink(missing_ok=True)

    def _remove_partial(self) -> None:
        """Remove what was not written to its end: by a process that was killed, or for want of room."""
        for remains in self.folder.glob(".*.partial*"):
            remains.unlink()

    def _tell(self, status: str, **more: Any) -> None:
        self.manifest |= {"status": status, **more}
        runs.write_manifest(self.claim, self.manifest)

    def _tell_end(self, error: BaseException) -> None:
        if self.manifest["status"] == "completed":
            return
        self.claim.check()  # of a folder that was removed or taken over, that is the error
        if self.replaced:
            with suppress(OSError):
                runs.write_manifest(self.claim, self.replaced)
            return
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit))
        message = "interrupted" if interrupted else str(error) or type(error).__name__
        more = {"error": message, "end": _now()}
        if not isinstance(error, UserError) and not interrupted:
            more["traceback"] = "".join(traceback.format_exception(error))
        with suppress(OSError):  # where the manifest cannot be written, the error itself matters more
            self._remove_partial()
            self._tell("interrupted" if interrupted else "failed", **more)

    def _prepare(self) -> tuple[Inputs, Synthesis]:
        """Everything that can be missing or not fit, before anything of an earlier attempt is given up."""
        if is_emulated(self.config.precision, resolve_device(self.config.device)):
            say_once("precision=bf16: this CPU only emulates it, several times slower than it computes precision=fp32")
        inputs = load_inputs(self.config)
        allocator.keep_or_give_back(prod(sizes_from_headers(self.config)[0]))
        network, memory, unscaled_filters = shared_network(self.config, self.identity.hashes)
        self.manifest["unscaled_filters"] = unscaled_filters
        known = None if self.resumed else curvature.take_over(self.config)
        synthesis = Synthesis(inputs, self.config, network, memory=memory, known=known)
        if self.resumed:
            synthesis.load_state_dict(self.resumed["synthesis"])
        return inputs, synthesis

    def _execute(self, inputs: Inputs, synthesis: Synthesis, label: str) -> Coroutine[None]:
        config = self.config
        seconds = self.resumed["seconds"] if self.resumed else 0.0
        with (
            Recorder(self.folder, config, synthesis.inputs, seconds) as recorder,
            ProgressLine(label, config.optimizer.evaluations) as line,
        ):
            step = yield from self._optimise(synthesis, recorder, line)
            if step.end and step.end.reason == "not_finite":
                raise RunError(step.end.detail)
            if config.log.distances:
                measured = distances_of_run(
                    self.folder / runs.RESULT, inputs.content, inputs.styles, resampling=config.resampling
                )
                self.manifest |= {"distances": measured, "metrics_version": METRICS_VERSION}
            recorder.finish(step.evaluation, self.manifest.get("distances", {}))
            curvature.leave(self.claim, synthesis)
            self._tell("completed", end=_now())
            (self.folder / checkpoint.NAME).unlink(missing_ok=True)

    def _optimise(self, synthesis: Synthesis, recorder: Recorder, line: ProgressLine) -> Coroutine[Step]:
        """All steps that are left; an interruption between two of them ends them with a checkpoint."""
        checkpoints = Checkpoints(self.claim, self.identity.fingerprint, self.config.log.checkpoint_seconds)
        step: Step | None = None

        def keep(step: Step) -> None:
            checkpoints.write(
                lambda: {
                    "evaluation": step.evaluation,
                    "seconds": recorder.seconds,
                    "streams": recorder.sizes(),
                    "synthesis": synthesis.state_dict(),
                }
            )

        try:
            while True:
                synthesis.proceed()  # a configuration that cannot be gone on with is this run's error alone
                try:
                    step = yield synthesis
                except BetweenSteps:
                    if step is not None:
                        keep(step)
                    raise
                recorder.record(step)
                line.update(step)
                if step.last:
                    return step
                if checkpoints.due():
                    keep(step)
        finally:
            if step is not None:
                self.manifest["seconds"] = round(recorder.seconds, 3)
                self._save(step)

    def _save(self, step: Step) -> None:
        """The picture of the last accepted step, whatever ended the run."""
        result = step.result
        end = step.end or Stop("interrupted", f"interrupted after evaluation {step.evaluation}")
        self.manifest |= {
            "evaluations": step.evaluation,
            "stop_reason": end.reason,
            "stop_detail": end.detail,
            "losses": finite_or_none(result.losses.to_floats()) | {"evaluation": result.evaluation},
            "size": list(result.image.shape[-2:]),
            "peak_memory_bytes": peak_memory(step.image.device),
        }
        metadata = {
            "Software": f"nst_lab {version('nst_lab')}",
            "nst_lab fingerprint": self.manifest["fingerprint"],
            "nst_lab settings": json.dumps(runs.picture_settings(self.config)),
            "Copyright": "; ".join(self.manifest["credits"]),
        }
        picture = step.picture
        if picture.isfinite().all():  # else not even the start was
            temporary = self.folder / ".result.partial.png"
            save_image(picture, temporary, metadata)
            self.claim.replace(temporary, runs.RESULT)


def _circumstances(config: Config) -> dict[str, Any]:
    device = resolve_device(config.device)
    return {
        "credits": [catalog.credit(image) for image in named_pictures(config)],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})",
        "threads": config.threads or torch.get_num_threads(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """The git commit of the checkout that this package runs from; None for an installed wheel."""
    checkout = Path(str(resources.files("nst_lab"))).parent
    if not (checkout / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
