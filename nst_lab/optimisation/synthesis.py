"""From images and a filled configuration to a picture; no files, no logger.

`Synthesis` is under everything: iterating it yields one `Step` per closure evaluation. `transfer` drives it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nst_lab.config.checks import check_config
from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError
from nst_lab.images.catalog import short_names
from nst_lab.images.color import ColorControl, mixed_moments, with_moments
from nst_lab.images.pictures import resize, size_of
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.memory import Memory
from nst_lab.network.vgg import VGG19, build_network
from nst_lab.network.weights import prepare_weights
from nst_lab.optimisation.averaging import resize_moments
from nst_lab.optimisation.bounds import Box
from nst_lab.optimisation.device_memory import with_less_memory
from nst_lab.optimisation.initial import initial_image
from nst_lab.optimisation.inputs import Extras, Inputs, Size, checked_inputs
from nst_lab.optimisation.lbfgs import LBFGS
from nst_lab.optimisation.numerics import numerics, plain_torch
from nst_lab.optimisation.optimize import Optimisation, Step, step_together
from nst_lab.optimisation.pairs import Pairs
from nst_lab.optimisation.parametrisation import parametrisation
from nst_lab.optimisation.preconditioner import content_preconditioner
from nst_lab.optimisation.scale_mixing import mix_scales
from nst_lab.optimisation.scales import at_scale, in_strips, schedule, split_budget
from nst_lab.optimisation.stopping import Stop


@dataclass(frozen=True)
class Result:
    """What a run made.

    `image` (1, 3, H, W) float32 on the CPU, clipped to [0, 1]; `losses` are those of that picture before clipping and
    before its colours were restored (with `optimizer.averaging`, of the last iterate evaluated), `history` the total of
    every evaluation.
    """

    image: Tensor
    losses: dict[str, Any]
    evaluations: int
    seconds: float
    stop: Stop
    history: list[float]


@plain_torch()
def transfer(
    content: Tensor | None,
    styles: Sequence[Tensor],
    config: Config,
    *,
    init: Tensor | None = None,
    masks: Sequence[Tensor | None] | None = None,
    guides: Sequence[Tensor | None] | None = None,
    content_mask: Tensor | None = None,
    fine: Sequence[Tensor | None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Result:
    """Optimise a picture for `content` and `styles` as `config` says.

    Args:
        content: RGB (1, 3, H, W) in [0, 1], resized to `config.size` by `config.size_rule`; None for a texture.
        styles: one picture per entry of `config.style.images`, which names them.
        config: a filled configuration (`nst_lab.compose`).
        init: the starting picture of `init.kind=file` or `run`.
        masks: where in the result each style applies, (1, 1, H, W) in [0, 1]; None for everywhere.
        guides: which part of each style image is used, likewise.
        content_mask: where in the result the content counts, likewise.
        fine: for each style a picture whose fine structures take the place of its own, or None. Like the masks, needed
            where the configuration names them, and allowed where it does not.
        on_step: called with every `Step`; it cannot alter the result.

    Raises:
        ConfigError: pictures and configuration do not fit together.
    """
    check_config(config)
    extras = Extras(masks, guides, content_mask, fine)
    inputs = checked_inputs(content, styles, init, extras, config)
    config = _naming_fine(inputs, config)
    started, history = time.perf_counter(), list[float]()
    for step in Synthesis(inputs, config):
        history.append(step.losses.total.item())
        if on_step:
            on_step(replace(step, image=step.image.clone()))  # a watcher may do with its picture what it likes
    assert step.end is not None  # it is the last
    return Result(
        image=step.picture.clamp(0, 1).cpu(),
        losses=step.result.losses.to_floats(),
        evaluations=step.evaluation,
        seconds=time.perf_counter() - started,
        stop=step.end,
        history=history,
    )


class Synthesis:
    """One run: the coarse-to-fine schedule of `config`; iterating yields one `Step` per closure evaluation.

    Every scale starts from the result of the one before, with a fresh optimiser unless Adam's state is carried over;
    evaluations that a scale saves by converging are left to the following ones.

    Args:
        inputs: the pictures. The attribute `inputs` has them as the run sees them: styles mixed with their fine images,
            and after colour control.
        config: a filled configuration.
        network: shared between runs; by default built for this one.
        memory: remembers the targets of that network for other runs.
        known: moves and changes (m, N) of another run's L-BFGS, to begin with where they are of this one's size.
    """

    def __init__(
        self,
        inputs: Inputs,
        config: Config,
        network: VGG19 | None = None,
        *,
        memory: Memory | None = None,
        known: tuple[Tensor, Tensor] | None = None,
    ):
        self.config, self.memory, self.known = config, memory, known
        self.device = resolve_device(config.device)
        self.network = (network or own_network(config)).to(self.device).requires_grad_(False)
        self.colors = ColorControl(config.color, inputs.content, config.resampling)
        self.inputs = _recolored(self._mixed(inputs) if inputs.fine else inputs, self.colors)
        self.scales = schedule(config)
        self.random = torch.Generator().manual_seed(config.seed)
        self.optimisation: Optimisation | None = None

    def __iter__(self) -> Iterator[Step]:
        while not self.ended:
            yield self.step()

    @property
    def ended(self) -> bool:
        """Whether there is no further step."""
        return self.optimisation is not None and self.optimisation.stopped and self._is_last(self.optimisation)

    def step(self) -> Step:
        """Evaluate once."""
        [step] = step_syntheses([self])
        return step

    def proceed(self) -> Optimisation:
        """The optimisation that makes the next step, which begins here if it is the first one of its scale."""
        current = self.optimisation
        if current is None or current.stopped:
            with self.numerics():
                current = self._optimisation(current.scale + 1 if current else 0, current)
            self.optimisation = current
        return current

    def tell(self, optimisation: Optimisation, step: Step) -> Step:
        """A step of the optimisation as one of the run."""
        return replace(step, end=step.stop if self._is_last(optimisation) else None, finish=self.colors.finish)

    def numerics(self) -> AbstractContextManager[None]:
        """How this run computes."""
        return numerics(self.config.threads, self.config.precision == "tf32")

    def _is_last(self, optimisation: Optimisation) -> bool:
        """Whether the optimisation is that of the last scale, or not to be gone on from."""
        return optimisation.scale == len(self.scales) - 1 or optimisation.diverged

    def _optimisation(self, scale: int, before: Optimisation | None = None) -> Optimisation:
        """The optimisation of one scale, from the result of the one before."""
        config = self.config
        content, styles, size = at_scale(self.inputs, config, self.scales[scale].factor)
        leap = None
        if before is None:
            start = _start(self.inputs, config, size, self.random)
            leap = _recolored_start(start, styles, config)
        else:
            start = resize(before.picture, *size, clip=config.optimizer.bounds == "clip")
        used = before.evaluation if before else 0
        objective = self._objective(content, styles, size)
        optimisation = Optimisation(
            objective,
            start.to(self.device),
            config.optimizer,
            split_budget(config.optimizer.evaluations - used, self.scales[scale:])[0],
            revive=config.optimizer.revive if objective.pre_activations else 0,
            used=used,
            scale=scale,
            leap=None if leap is None else leap.to(self.device),
            preconditioner=self._preconditioner(objective, content),
            recorded=config.runner.graphs,
            **self._space(size),
        )
        if before and config.optimizer.carry_state and config.optimizer.name == "adam":
            optimisation.optimizer.load_state_dict(resize_moments(before.optimizer.state_dict(), *size))
        if before is None and self.known is not None:
            optimisation.recall(*self.known)
            self.known = None  # as large as the pairs themselves
        return optimisation

    def _preconditioner(self, objective: Objective, content: Tensor | None) -> Tensor | None:
        """That of our L-BFGS on pixels, or the grey ones of `color.mode=luminance`, where styles are Gram matrices.

        Only for what starts from the content, of which J is: from noise the total falls faster with it, but the noise
        stays where the content is even.
        """
        config, optimizer = self.config, self.config.optimizer
        wanted = optimizer.name == "lbfgs" and optimizer.preconditioner == "content"
        fit = config.parametrisation == "pixel" and (config.loss.statistic == "gram" or not objective.style_shares)
        if not wanted or not fit or config.init.kind != "content" or content is None or not objective.content_layers:
            return None
        content, before = content.to(self.device), objective.in_strips

        def measured() -> Tensor:
            return content_preconditioner(objective, content, grey=config.color.mode == "luminance")

        def measured_in_strips() -> Tensor:
            objective.in_strips = True
            try:
                return measured()
            finally:
                objective.in_strips = before

        return with_less_memory(measured, measured_in_strips)

    def _space(self, size: Size) -> dict[str, Any]:
        """What the variable means, and the range of its pixels."""
        config = self.config
        space = parametrisation(config.parametrisation, config.color.mode == "luminance", *size, self.device)
        if config.optimizer.bounds_range == "unit":
            return {"parametrisation": space}
        first = next(iter(self.inputs.styles.values()))
        return {"parametrisation": space, "box": Box.around(first).map(lambda end: end.to(self.device))}

    def _objective(self, content: Tensor | None, styles: dict[str, Tensor], size: Size) -> Objective:
        content = None if content is None else content.to(self.device)
        styles = {name: style.to(self.device) for name, style in styles.items()}
        masks = self.inputs.masks.resized(size, {name: size_of(style) for name, style in styles.items()})
        pictures, masks = (content, styles), masks.to(self.device)

        def objective(strips: bool) -> Objective:
            return Objective(self.network, *pictures, self.config, self.memory, masks, strips)

        return with_less_memory(lambda: objective(in_strips(self.config, size)), lambda: objective(True))

    def _mixed(self, inputs: Inputs) -> Inputs:
        """The inputs with the styles that have a fine image mixed with it, at the size of the last scale."""
        _, styles, _ = at_scale(inputs, self.config, 1.0)
        with self.numerics():
            mixed = {
                name: mix_scales(styles[name], fine, self.config, self.network, self.memory)
                for name, fine in inputs.fine.items()
            }
        originals = {name: size_of(inputs.styles[name]) for name in mixed}
        return replace(inputs, styles=inputs.styles | mixed, fine={}, originals=originals)

    def pairs(self) -> Pairs:
        """What L-BFGS has learnt of the curvature."""
        assert self.optimisation is not None  # a step was made
        assert isinstance(self.optimisation.optimizer, LBFGS)  # other configurations are not asked
        return self.optimisation.optimizer.pairs

    def state_dict(self) -> dict[str, Any]:
        """Everything that the steps to come depend on, between two steps; tensors and plain values."""
        assert self.optimisation is not None  # a step was made
        return {
            "scale": self.optimisation.scale,
            "random": self.random.get_state(),
            "optimisation": self.optimisation.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; the steps that follow are the same to the last bit."""
        with self.numerics():
            content, styles, size = at_scale(self.inputs, self.config, self.scales[state["scale"]].factor)
            blank = torch.zeros(1, 3, *size, device=self.device)
            objective, options = self._objective(content, styles, size), self.config.optimizer
            self.optimisation = Optimisation(
                objective,
                blank,
                options,
                0,
                scale=state["scale"],
                recorded=self.config.runner.graphs,
                **self._space(size),
            )
        self.optimisation.load_state_dict(state["optimisation"])
        self.random.set_state(state["random"])


def step_syntheses(syntheses: Sequence[Synthesis]) -> list[Step]:
    """The next step of each of several runs that compute alike; pictures of one network and size go as one batch."""
    optimisations = [each.proceed() for each in syntheses]
    groups: dict[Hashable, list[Optimisation]] = defaultdict(list)
    made: dict[Optimisation, Step] = {}
    for each, optimisation in zip(syntheses, optimisations, strict=True):
        alone = optimisation if optimisation.objective.in_strips else None
        groups[each.network, optimisation.size, alone].append(optimisation)
    with syntheses[0].numerics():
        for group in groups.values():
            made |= zip(group, step_together(group), strict=True)
    pairs = zip(syntheses, optimisations, strict=True)
    return [each.tell(optimisation, made[optimisation]) for each, optimisation in pairs]


def _recolored(inputs: Inputs, colors: ColorControl) -> Inputs:
    styles = {name: colors.style(style) for name, style in inputs.styles.items()}
    init = None if inputs.init is None else colors.plain(inputs.init)
    return replace(inputs, content=colors.content, styles=styles, init=init)


def _naming_fine(inputs: Inputs, config: Config) -> Config:
    """The configuration with a name for every fine image given, so that the network has the layers to mix them."""
    if not inputs.fine:
        return config
    fine = [name if name in inputs.fine else None for name in short_names(config.style.images)]
    return replace(config, style=replace(config.style, fine=fine))


def own_network(config: Config) -> VGG19:
    """The network of a configuration, shared with nobody."""
    model = config.model
    weights = prepare_weights(model.weights, model.seed, model.normalized, model.means)
    return build_network(model, weights, needed_taps(config), config.precision, winograd=config.runner.winograd)


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    kind, _, index = name.partition(":")
    absent = index and not (index.isdecimal() and int(index) < torch.cuda.device_count())
    if not available.get(kind) or absent:
        present = [kind for kind, there in available.items() if there]
        raise ConfigError(f"device={name}: not available on this machine; available: auto, {', '.join(present)}")
    return torch.device(name)


def _start(inputs: Inputs, config: Config, size: Size, random: torch.Generator) -> Tensor:
    style = next(iter(inputs.styles.values()), None)
    return initial_image(
        config.init,
        random,
        *size,
        content=inputs.content,
        style=style,
        file=inputs.init,
        input_mean=config.model.mean,
        resampling=config.resampling,
    )


def _recolored_start(start: Tensor, styles: dict[str, Tensor], config: Config) -> Tensor | None:
    """The start with the colours of the styles together, where L-BFGS is to try it: `optimizer.warm_start`."""
    wanted = config.optimizer.name == "lbfgs" and config.optimizer.warm_start == "colors"
    if not wanted or config.init.kind not in ("content", "mix") or not config.loss.style_weight > 0:
        return None
    weights = dict(zip(short_names(config.style.images), config.style.weights, strict=True))
    used = {name: weight for name, weight in weights.items() if weight > 0}
    return with_moments(start, *mixed_moments([styles[name] for name in used], list(used.values())))
