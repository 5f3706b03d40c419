"""What a run leaves behind while it runs: `Step` -> TensorBoard, `metrics.jsonl`, pictures of the progress.

A recorder only reads: no setting of it changes a bit of the result. It encodes and writes in a thread of its own, and
whatever a checkpoint speaks of is on the disk before (`Recorder.sizes`).
"""

import json
import os
import resource
import sys
import time
from contextlib import ExitStack, closing
from math import isfinite
from pathlib import Path
from typing import Any

import torch
import yaml
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from torch import Tensor
from torch.utils.tensorboard import summary

from nst_lab.config.composition import flat, to_settings
from nst_lab.config.schema import Config, named_pictures
from nst_lab.images import catalog
from nst_lab.images.pictures import size_of, to_bytes
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.scales import at_scale
from nst_lab.running import events, runs
from nst_lab.running.appending import Appended
from nst_lab.running.claims import Claim
from nst_lab.running.writing import Writer

METRICS = "metrics.jsonl"


class Recorder:
    """Writes the streams of one run folder, appending to what is there; a context manager.

    Args:
        folder: an existing run folder.
        config: its filled configuration.
        inputs: content, styles and masks, shown once, as the network sees them: their size, and after colour control.
        seconds: what a run that is resumed has taken already.
    """

    def __init__(self, folder: Path, config: Config, inputs: Inputs, seconds: float = 0.0):
        self.every = config.log.every
        self.pictures = picture_schedule(config.optimizer.evaluations, config.log.images)
        self.previous = time.perf_counter()
        self.started = self.previous - seconds
        resumed = (folder / METRICS).exists()
        with ExitStack() as opened:
            self.metrics = opened.enter_context(closing(Appended(folder / METRICS, "a")))
            self.board = opened.enter_context(closing(events.EventFile(folder)))
            self.writer = opened.enter_context(closing(Writer(f"recorder of {folder.name}")))
            if not resumed:
                self._describe(config, inputs)
            self.opened = opened.pop_all()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        with self.opened:
            if kind is None:
                self.writer.drain()

    def _describe(self, config: Config, inputs: Inputs) -> None:
        credits = "\n".join(f"- {catalog.credit(image)}" for image in named_pictures(config))
        settings = yaml.safe_dump(to_settings(config), sort_keys=False, allow_unicode=True)
        content, styles, size = at_scale(inputs, config, 1.0)
        sources = {f"source/style/{name}": style for name, style in styles.items()}
        masks = inputs.masks.resized(size, {name: size_of(style) for name, style in styles.items()})
        sources |= {f"source/mask/{name}": mask.expand(-1, 3, -1, -1) for name, mask in masks.by_name().items()}
        if content is not None:
            sources["source/content"] = content
        start = hparams_pb(_hyperparameters(config), trial_id=self.board.path.parent.name)
        texts = [summary.text("config", f"```yaml\n{settings}```"), summary.text("credits", credits)]
        self.board.add([start, *texts, *(_image(tag, picture) for tag, picture in sources.items())])

    def record(self, step: Step) -> None:
        """Log one evaluation if its turn has come; the first and the last one always have."""
        now = time.perf_counter()
        seconds, self.previous = now - self.previous, now
        if step.last or step.evaluation == 1 or step.evaluation % self.every == 0:
            self._scalars(step, seconds)
        if step.last or step.evaluation in self.pictures:
            shown = step.picture if step.last else step.shown  # the last picture is the result, as saved
            self.writer.put(lambda: self.board.add([_image("result/picture", shown)], step.evaluation))

    def _scalars(self, step: Step, seconds: float) -> None:
        losses = step.losses.to_floats()
        line = {
            "evaluation": step.evaluation,
            "seconds": round(self.seconds, 4),
            **losses,
            "gradient_norm": step.gradient_norm.item(),
            "accepted": step.accepted,
            "scale": step.scale,
            "size": list(step.image.shape[-2:]),
        }
        scalars = {f"loss/{name}": losses[name] for name in ("total", "content", "style", "tv")} | losses["terms"]
        scalars["gradient/norm"] = line["gradient_norm"]
        scalars["cost/seconds_per_evaluation"] = seconds
        scalars["cost/peak_memory_mib"] = peak_memory(step.image.device) / 2**20
        self.writer.put(lambda: self._write(line, scalars))

    def _write(self, line: dict[str, Any], scalars: dict[str, float]) -> None:
        self.metrics.write(json.dumps(finite_or_none(line), allow_nan=False).encode() + b"\n")
        self.board.add([summary.scalar(tag, value) for tag, value in scalars.items()], line["evaluation"])

    def finish(self, evaluation: int, distances: dict[str, float | None]) -> None:
        """The end of a completed run: its distances and cost, for the table of hyperparameters."""
        values = {f"distance/{name}": value for name, value in distances.items() if value is not None}
        values["cost/seconds"] = self.seconds
        scalars = [summary.scalar(tag, value) for tag, value in values.items()]
        _, _, session_end = summary.hparams({}, {})
        self.writer.put(lambda: self.board.add([*scalars, session_end], evaluation))
        self.writer.drain()

    @property
    def seconds(self) -> float:
        """What the run has taken up to its last evaluation."""
        return self.previous - self.started

    def sizes(self) -> dict[str, int]:
        """The length of every stream of the folder, all of it on the disk: where a resumed run goes on."""
        self.writer.drain()
        os.fsync(self.metrics.fileno())
        self.board.sync()
        folder = self.board.path.parent
        return {path.name: path.stat().st_size for path in streams(folder)}


def streams(folder: Path) -> list[Path]:
    """The streams of a run folder; links that lead nowhere among them, which must not be written through."""
    return [path for path in (folder / METRICS, *folder.glob(events.PATTERN)) if os.path.lexists(path)]


def rewind(claim: Claim, sizes: dict[str, int]) -> None:
    """Cut the streams back to `sizes` and remove the others, so that no curve is drawn twice.

    They are cut as copies: a process that was taken for dead may still hold the old files open.
    """
    for path in streams(claim.folder):
        if path.name in sizes:
            temporary = path.with_name(f".{path.name}.partial")
            temporary.write_bytes(path.read_bytes()[: sizes[path.name]])
            claim.replace(temporary, path.name)
        else:
            path.unlink()


def _hyperparameters(config: Config) -> dict[str, str | float | bool]:
    """Every setting of the picture by its dotted key, as TensorBoard takes them."""
    settings = flat(runs.picture_settings(config))
    return {key: hyperparameter(value) for key, value in settings.items()}


def hyperparameter(value: Any) -> str | float | bool:
    """A setting as TensorBoard takes it: a number, a truth value, or text."""
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, list):
        items = ((item, hyperparameter(item)) for item in value)
        return ", ".join(f"[{text}]" if isinstance(item, list) else str(text) for item, text in items)
    return "null" if value is None else str(value)


def _image(tag: str, picture: Tensor) -> Summary:
    return summary.image(tag, to_bytes(picture), dataformats="CHW")


def finite_or_none(value: Any) -> Any:
    """The same structure with null for every number that is not finite: JSON has no word for those."""
    if isinstance(value, dict):
        return {key: finite_or_none(item) for key, item in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def picture_schedule(evaluations: int, count: int) -> set[int]:
    """At most `count` evaluations at which to keep a picture, spread geometrically from the first to the last.

    Most of a picture's change happens early, so even steps would show the same picture again and again.
    """
    if count == 0:
        return set()
    return {round(evaluations ** (index / max(1, count - 1))) for index in range(count)}


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak so far: of the device where it is CUDA, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
