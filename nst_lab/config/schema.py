"""The typed schema of a configuration. Types and valid values live here; the values themselves live in `conf/`.

A key typed `Conventional[X]` may be `null`, which stands for "the convention's"; `composition.py` fills it in, so that
everything that follows sees an `X`. Where a key is typed `X | None`, null means something of its own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

from omegaconf import MISSING

from nst_lab.config.profiles import LAYER_PROFILES, SYNONYMS
from nst_lab.config.statistics import STATISTICS
from nst_lab.network.architecture import LAYERS

if TYPE_CHECKING:
    T = TypeVar("T")
    Conventional = Annotated[T, "null until it is filled in"]
else:
    Conventional = Optional

DIGITS = 12  # of its fingerprint, at the end of the name of a run's folder
RUN_FOLDER = re.compile(rf".*-[0-9a-f]{{{DIGITS}}}", re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """What a value must satisfy: a test, the words for it, and the choices where they can be listed."""

    accepts: Callable[[Any], bool]
    expected: str
    choices: tuple[str, ...] = ()


def _key(rule: Rule | None = None) -> Any:
    return field(default=MISSING, metadata={"rule": rule})


def _one_of(*choices: str) -> Any:
    return _key(Rule(lambda value: value in choices, f"one of {', '.join(choices)}", choices))


def _at_least(minimum: float) -> Any:
    return _key(Rule(lambda value: isfinite(value) and value >= minimum, f"a finite number, at least {minimum}"))


def _more_than(minimum: float, at_most: float = inf) -> Any:
    words = f"a finite number greater than {minimum}" + (f", at most {at_most:g}" if at_most < inf else "")
    return _key(Rule(lambda value: isfinite(value) and minimum < value <= at_most, words))


def _between(low: float, high: float) -> Any:
    return _key(Rule(lambda value: low <= value <= high, f"a number from {low} to {high}"))


def _finite() -> Any:
    return _key(Rule(isfinite, "a finite number"))


def _layer_names() -> Any:
    return _key(Rule(lambda value: value in LAYERS, f"layers among {', '.join(LAYERS)}", tuple(LAYERS)))


def _folder_name() -> Any:
    def accepts(value: str) -> bool:
        plain = bool(value.strip()) and not value.startswith(".")  # hidden ones are nst_lab's own
        return plain and not set(value) & set("/\\\0\n") and len(value.encode(errors="replace")) < 256

    return _key(Rule(accepts, "a folder name without slashes or a leading dot, of at most 255 bytes"))


def _run_folder() -> Any:
    def accepts(value: str) -> bool:
        return "\0" not in value and RUN_FOLDER.fullmatch(PurePath(value).name) is not None

    return _key(Rule(accepts, f"the folder of a run, whose name ends in {DIGITS} digits of its fingerprint"))


def _device() -> Any:
    def accepts(value: str) -> bool:
        return value in ("auto", "cpu", "cuda", "mps") or (value.startswith("cuda:") and value[5:].isdecimal())

    return _key(Rule(accepts, "auto, cpu, cuda, cuda:<index> or mps", ("auto", "cpu", "cuda", "cuda:0", "mps")))


@dataclass
class Content:
    """`image` is a catalog name or a path; null only where neither a content term nor the start needs it.

    `mask` says where in the result the content term counts, stretched over it; null: everywhere.
    """

    image: str | None = _key()
    mask: str | None = _key()


@dataclass
class Style:
    """The style images, their weights (null = by the profile), how several are blended, and their size.

    `size` null is the result's; without `upscale` a smaller style image keeps its own. Lists with one entry per style:
    `layers` (null: `layers.style` for all) with `layer_weights` (null: by `layers.style_profile`); `sizes`, in place of
    `size`; `masks`, where in the result a style applies (null: everywhere), and `guides`, the part of its image that is
    used (null: all of it), both brought to the layers by `guidance`; `fine`, an image whose structures on `fine_layers`
    take the place of the style's own, by as many as `fine_evaluations`.
    """

    images: list[str] = _key()
    weights: Conventional[list[float]] = _at_least(0)
    blend: Conventional[str] = _one_of("weighted", "sum", "loss_share", "targets")
    size: int | None = _at_least(1)
    profile: Conventional[str] = _one_of("ones", "uniform")
    upscale: Conventional[bool] = _key()
    layers: list[list[str]] | None = _layer_names()
    layer_weights: list[list[float]] | None = _at_least(0)
    sizes: list[int | None] | None = _at_least(1)
    masks: list[str | None] | None = _key()
    guides: list[str | None] | None = _key()
    guidance: str = _one_of("resample", "inside")
    fine: list[str | None] | None = _key()
    fine_layers: list[str] = _layer_names()
    fine_evaluations: int = _at_least(1)


@dataclass
class Layers:
    """Taps of the content and style representation; null weights follow the profile."""

    content: Conventional[list[str]] = _layer_names()
    style: Conventional[list[str]] = _layer_names()
    content_weights: Conventional[list[float]] = _at_least(0)
    style_weights: Conventional[list[float]] = _at_least(0)
    content_profile: Conventional[str] = _one_of(*LAYER_PROFILES["content"], *SYNONYMS)
    style_profile: Conventional[str] = _one_of(*LAYER_PROFILES["style"], *SYNONYMS)


@dataclass
class Loss:
    """Factors and forms of the three terms; see `losses/` for the formulas."""

    content_weight: Conventional[float] = _at_least(0)
    style_weight: Conventional[float] = _at_least(0)
    tv_weight: Conventional[float] = _at_least(0)
    statistic: Conventional[str] = _one_of(*STATISTICS)
    gram_divisor: Conventional[str] = _one_of("positions", "channels_positions", "none")
    gram_shift: Conventional[float] = _finite()
    content_reduction: Conventional[str] = _one_of("mean", "sum")
    content_factor: Conventional[float] = _more_than(0)
    style_reduction: Conventional[str] = _one_of("mean", "sum")
    style_factor: Conventional[float] = _more_than(0)
    style_scale: Conventional[str] = _one_of("none", "target")
    w2_sqrt: Conventional[str] = _one_of("exact", "newton_schulz12")
    w2_eps: Conventional[float] = _more_than(0)
    mmd_c: Conventional[float] = _at_least(0)
    mmd_samples: Conventional[int] = _between(1, 100_000)
    histogram_layers: Conventional[list[str]] = _layer_names()
    histogram_weight: Conventional[float] = _at_least(0)
    tv_form: Conventional[str] = _one_of("l1", "squared", "nine_point", "squared_gradient", "l2", "power")
    tv_exponent: Conventional[float] = _at_least(1)
    tv_reduction: Conventional[str] = _one_of("mean", "sum")
    tv_factor: Conventional[float] = _more_than(0)
    tv_range: Conventional[float] = _more_than(0)


@dataclass
class Init:
    """The starting image; `noise_mean` and `noise_std` in the image's [0, 1], `mix` is the share of noise; `run` is the
    folder of another run, whose result it is. With `curvature` our L-BFGS goes on with what that run learnt of the
    curvature, if it had this setting too, and leaves its own for others (`running/curvature.py`).
    """

    kind: Conventional[str] = _one_of("content", "style", "noise", "gray", "mix", "file", "run")
    image: str | None = _key()
    run: str | None = _run_folder()
    curvature: bool = _key()
    noise: Conventional[str] = _one_of("normal", "uniform")
    noise_origin: Conventional[str] = _one_of("zero", "input_mean")
    noise_mean: Conventional[float] = _finite()
    noise_std: Conventional[float] = _at_least(0)
    mix: Conventional[float] = _between(0, 1)


@dataclass
class Optimizer:
    """The optimiser and its budget in closure evaluations; the rates are in the units that the optimiser sees."""

    name: Conventional[str] = _one_of("lbfgs", "lbfgs_torch", "adam", "sgd")
    evaluations: int = _at_least(1)
    learning_rate: Conventional[float] = _more_than(0, at_most=1e30)  # times any momentum, a number of 32 bits
    history: Conventional[int] = _between(1, 10_000)
    warm_start: Conventional[str] = _one_of("none", "colors")
    preconditioner: Conventional[str] = _one_of("none", "content")
    scaling: Conventional[str] = _one_of("newest", "greatest")
    revive: Conventional[int] = _at_least(0)
    betas: Conventional[list[float]] = _between(0, 0.999999)
    momentum: Conventional[float] = _between(0, 1)
    pixel_scale: Conventional[float] = _more_than(0)
    bounds: Conventional[str] = _one_of("none", "straight_through", "clip", "project")
    bounds_range: Conventional[str] = _one_of("unit", "style")
    averaging: Conventional[float] = _between(0, 0.999999)
    carry_state: Conventional[bool] = _key()
    tolerance: float = _at_least(0)
    window: int = _at_least(2)


@dataclass
class Color:
    """Colour control (`images/color.py`): what is done to colours before and after a run, and by which linear map."""

    mode: str = _one_of("none", "luminance", "match", "histogram", "content_chroma")
    match: str = _one_of("cholesky", "pca", "symmetric")


@dataclass
class Scale:
    """One step of a coarse-to-fine schedule: `factor` of the final size, `share` of the evaluations."""

    factor: float = _more_than(0, at_most=1)
    share: float = _more_than(0)


@dataclass
class Model:
    """The network: weights, input statistics (null = those of the weights), pooling and padding."""

    weights: Conventional[str] = _key()
    seed: int = _between(0, 2**63 - 1)
    normalized: Conventional[bool] = _key()
    means: str | None = _key()
    pooling: Conventional[str] = _one_of("max", "avg")
    padding: Conventional[str] = _one_of("zeros", "replicate", "reflect")
    padding_first: Conventional[str] = _one_of("zeros", "replicate", "reflect")
    mean: Conventional[list[float]] = _finite()
    std: Conventional[list[float]] = _more_than(0)


@dataclass
class Log:
    """Scalars every so many evaluations; the number of pictures of the run's progress; checkpoints every so many
    seconds; whether the finished picture's reference distances are measured. None of them alters the result.
    """

    every: int = _at_least(1)
    images: int = _between(0, 100_000)
    checkpoint_seconds: float = _at_least(0)
    distances: bool = _key()


@dataclass
class Runner:
    """`takeover_seconds`: without a sign of life from another machine, after which its run is taken over. `batch`: so
    many cells of a sweep at once, evaluated together, where they have a network and sizes in common. `continuation`:
    the evaluations of a cell that starts from the result of a cell before it, where the two differ in weights alone;
    null: every cell has its own start. `strips`: whether the first blocks of the network are evaluated strip by strip,
    which takes less memory and more time; null: where pictures are large. `graphs`: whether a GPU gets an evaluation,
    and a step of our L-BFGS, as one CUDA graph each, which takes more memory and, of small pictures, less time.
    `winograd`: whether a CPU computes large convolutions in float32 by Winograd's algorithm, which takes half the time
    and rounds ten times as much.
    """

    takeover_seconds: float = _at_least(1)
    batch: int = _between(1, 1024)
    continuation: int | None = _at_least(1)
    strips: bool | None = _key()
    graphs: bool = _key()
    winograd: bool = _key()


@dataclass
class Config:
    """Everything that determines one run.

    `convention_overrides` is no setting: it lists the keys whose value is not the convention's.
    """

    name: str = _folder_name()
    out_dir: str = _key()
    convention: str = _key()
    size: int = _at_least(1)
    size_rule: Conventional[str] = _one_of("longer", "shorter", "height", "area", "exact")
    resampling: Conventional[str] = _one_of("bicubic", "bilinear")
    seed: int = _between(0, 2**63 - 1)
    device: str = _device()
    precision: str = _one_of("fp32", "tf32", "bf16")
    threads: int | None = _between(1, 1024)
    content: Content = field(default_factory=Content)
    style: Style = field(default_factory=Style)
    layers: Layers = field(default_factory=Layers)
    loss: Loss = field(default_factory=Loss)
    init: Init = field(default_factory=Init)
    optimizer: Optimizer = field(default_factory=Optimizer)
    parametrisation: Conventional[str] = _one_of("pixel", "fourier")
    color: Color = field(default_factory=Color)
    scales: list[Scale] | None = _key()
    model: Model = field(default_factory=Model)
    log: Log = field(default_factory=Log)
    runner: Runner = field(default_factory=Runner)
    dry_run: bool = _key()
    force: bool = _key()
    convention_overrides: list[str] = _key()


def layers_by_style(config: Config) -> list[tuple[list[str], list[float]]]:
    """For each style image its layers and their weights."""
    style, layers = config.style, config.layers
    if style.layers is None or style.layer_weights is None:  # both or none
        return [(layers.style, layers.style_weights)] * len(style.images)
    return list(zip(style.layers, style.layer_weights, strict=True))


def used_styles(config: Config) -> list[bool]:
    """For each style image, whether anything of the run depends on it: as a style, as the start, or for its shape."""
    used = [config.loss.style_weight > 0 and weight > 0 for weight in config.style.weights]
    if used and (config.init.kind == "style" or config.content.image is None):
        used[0] = True
    return used


def file_to_start_from(config: Config) -> str | None:
    """The picture that the run starts from, where it is one of its own."""
    return config.init.image if config.init.kind == "file" else None


def run_to_start_from(config: Config) -> str | None:
    """The folder of the run that a run starts from, where it starts from one."""
    return config.init.run if config.init.kind == "run" else None


def named_controls(config: Config) -> list[str]:
    """The fine images, masks and guides that a configuration names, each once."""
    lists = (config.style.fine, config.style.masks, config.style.guides, [config.content.mask])
    return list(dict.fromkeys(image for images in lists for image in images or [] if image))


def named_pictures(config: Config) -> list[str]:
    """Every picture and mask that a configuration names, each once."""
    named = (config.content.image, *config.style.images, config.init.image, *named_controls(config))
    return list(dict.fromkeys(image for image in named if image))


def mixes_scales(config: Config) -> bool:
    """Whether a style that the run depends on takes its fine structures from another image."""
    return any(used and fine for used, fine in zip(used_styles(config), config.style.fine or [], strict=False))
