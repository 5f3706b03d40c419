"""What a run leaves behind while it runs: `Step` -> TensorBoard, `metrics.jsonl`, pictures of the progress.

A recorder only reads: no setting of it changes a bit of the result.
"""

import json
import resource
import sys
import time
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch.utils.tensorboard import SummaryWriter

from nst_lab import catalog
from nst_lab.composition import to_settings
from nst_lab.config import Config
from nst_lab.images import to_bytes
from nst_lab.optimize import Step
from nst_lab.synthesis import Inputs, at_scale


class Recorder:
    """Writes the streams of one run folder; a context manager.

    Args:
        folder: an existing run folder.
        config: its filled configuration.
        inputs: content and styles, shown once, at the size at which the network sees them.
    """

    def __init__(self, folder: Path, config: Config, inputs: Inputs):
        self.every = config.log.every
        self.pictures = picture_schedule(config.optimizer.evaluations, config.log.images)
        self.started = self.previous = time.perf_counter()
        self.metrics = (folder / "metrics.jsonl").open("w", buffering=1)
        self.board = SummaryWriter(str(folder), flush_secs=10)
        self._describe(config, inputs)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_exception) -> None:
        self.metrics.close()
        self.board.close()

    def _describe(self, config: Config, inputs: Inputs) -> None:
        self.board.add_text("config", f"```yaml\n{OmegaConf.to_yaml(OmegaConf.create(to_settings(config)))}```")
        images = [config.content.image, *config.style.images, config.init.image]
        self.board.add_text("credits", "\n".join(f"- {catalog.credit(image)}" for image in images if image))
        content, styles, _ = at_scale(inputs, config, 1.0)
        if content is not None:
            self.board.add_image("source/content", to_bytes(content))
        for name, style in styles.items():
            self.board.add_image(f"source/style/{name}", to_bytes(style))

    def record(self, step: Step) -> None:
        """Log one evaluation if its turn has come; the first and the last one always have."""
        now = time.perf_counter()
        seconds, self.previous = now - self.previous, now
        if step.last or step.evaluation == 1 or step.evaluation % self.every == 0:
            self._scalars(step, seconds)
        if step.last or step.evaluation in self.pictures:
            shown = step.picture if step.last else step.image  # the last picture is the result, as saved
            self.board.add_image("result/picture", to_bytes(shown), step.evaluation)

    def _scalars(self, step: Step, seconds: float) -> None:
        losses = step.losses.to_floats()
        line = {
            "evaluation": step.evaluation,
            "seconds": round(self.previous - self.started, 4),
            **losses,
            "gradient_norm": step.gradient_norm.item(),
            "accepted": step.accepted,
            "scale": step.scale,
            "size": list(step.image.shape[-2:]),
        }
        self.metrics.write(json.dumps(finite_or_none(line), allow_nan=False) + "\n")
        scalars = {f"loss/{name}": losses[name] for name in ("total", "content", "style", "tv")} | losses["terms"]
        scalars["gradient/norm"] = line["gradient_norm"]
        scalars["cost/seconds_per_evaluation"] = seconds
        scalars["cost/peak_memory_mib"] = peak_memory(step.image.device) / 2**20
        for tag, value in scalars.items():
            self.board.add_scalar(tag, value, step.evaluation)


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
