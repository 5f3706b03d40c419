"""What an evaluation costs: against a plain network, by statistic, and the share of logging."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import nst_lab
from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.losses.objective import Objective
from nst_lab.network.vgg import VGG19
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Optimisation
from nst_lab.optimisation.scales import at_scale
from nst_lab.optimisation.synthesis import Synthesis, own_network
from nst_lab.running.recorder import Recorder
from nst_lab.running.runner import load_inputs


def prepare(size: int, device_name: str, device: torch.device) -> tuple[Config, Inputs, VGG19]:
    """The shipped pair at one size, and the network."""
    config = nst_lab.compose([f"size={size}", "size_rule=exact", f"device={device_name}", "optimizer.evaluations=999"])
    return config, load_inputs(config), own_network(config).to(device).requires_grad_(False)


def measure(size: int, device_name: str, device: torch.device, rounds: int) -> dict:
    """All figures of one size."""
    config, inputs, network = prepare(size, device_name, device)
    seconds = time_evaluation(network, inputs, config, device, rounds)
    return {
        "size": size,
        "bare_network_seconds": seconds["bare"],
        "network_seconds": seconds["network"],
        "evaluation_seconds": seconds["step"],
        "evaluation_over_bare": seconds["step"] / seconds["bare"],
        "recorded_seconds": seconds.get("recorded"),
        "logging_share": logging_share(network, inputs, config, rounds),
    }


def time_evaluation(
    network: VGG19, inputs: Inputs, config: Config, device: torch.device, rounds: int
) -> dict[str, float]:
    """Median seconds of a plain network's forward and backward to the picture, of ours, and of an optimiser step.

    On CUDA also of a step that is recorded as graphs.
    """
    optimisation = build_optimisation(network, inputs, config, device)
    picture = at_scale(inputs, config, 1.0)[0].to(device).clone().requires_grad_()

    def through(taps: Callable[[Tensor], dict[str, Tensor]]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(sum(tap.sum() for tap in taps(picture).values()), picture)

    contenders = {"bare": through(plain(network)), "network": through(network), "step": optimisation.step}
    if device.type == "cuda":
        contenders["recorded"] = build_optimisation(network, inputs, config, device, recorded=True).step
    return take_turns(contenders, device, rounds)


def plain(network: VGG19) -> Callable[[Tensor], dict[str, Tensor]]:
    """The same layers as anyone would write them with PyTorch."""
    filters = {}
    for layer in network.layers:
        if layer.kind == "conv":
            weight, bias, _ = network.filters(layer.name)
            filters[layer.name] = weight.contiguous(), bias
    pool = {"avg": F.avg_pool2d, "max": F.max_pool2d}[network.pooling]

    def forward(picture: Tensor) -> dict[str, Tensor]:
        x, taps = picture - network.mean, {}
        for layer in network.layers:
            if layer.kind == "conv":
                x = F.conv2d(x, *filters[layer.name], padding=1)
            else:
                x = F.relu(x, inplace=True) if layer.kind == "relu" else pool(x, 2)
            if layer.name in network.taps:
                taps[layer.name] = x
        return taps

    return forward


def build_objective(
    network: VGG19, content: torch.Tensor, styles: dict[str, torch.Tensor], config: Config, device: torch.device
) -> Objective:
    """The objective of pictures that are brought to the device."""
    return Objective(network, content.to(device), {name: s.to(device) for name, s in styles.items()}, config)


def build_optimisation(
    network: VGG19, inputs: Inputs, config: Config, device: torch.device, *, recorded: bool = False
) -> Optimisation:
    """The optimisation of the pictures at full size, from the content."""
    content, styles, _ = at_scale(inputs, config, 1.0)
    objective = build_objective(network, content, styles, config, device)
    start, options = content.to(device), config.optimizer
    return Optimisation(objective, start, options, options.evaluations, recorded=recorded)


def take_turns(
    contenders: dict[str, Callable[[], object]], device: torch.device, rounds: int, warm_up: int = 2
) -> dict[str, float]:
    """Median seconds of each contender over the rounds, of which the first ones do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds + warm_up):
        for name, contender in contenders.items():
            synchronize(device)
            started = time.perf_counter()
            contender()
            synchronize(device)
            if index >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def measure_statistics(size: int, device_name: str, device: torch.device, rounds: int) -> list[dict]:
    """What an evaluation costs by each style statistic, network included, and how many times that by Gram matrices."""
    config, inputs, network = prepare(size, device_name, device)
    content, styles, _ = at_scale(inputs, config, 1.0)
    picture = content.to(device).clone().requires_grad_()

    def evaluation(name: str) -> Callable[[], object]:
        with_statistic = replace(config, loss=replace(config.loss, statistic=name))
        objective = build_objective(network, content, styles, with_statistic, device)
        return lambda: torch.autograd.grad(objective(picture).total, picture)

    seconds = take_turns({name: evaluation(name) for name in STATISTICS}, device, min(rounds, 5), warm_up=1)
    return [
        {"size": size, "statistic": name, "evaluation_seconds": each, "over_gram": each / seconds["gram"]}
        for name, each in seconds.items()
    ]


def logging_share(network: VGG19, inputs: Inputs, config: Config, evaluations: int) -> float:
    """Share of a run's time that recording takes, with the shipped logging schedule."""
    config.optimizer.evaluations = max(evaluations, 10)
    logging, started = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with Recorder(Path(folder), config, inputs) as recorder:
            for step in Synthesis(inputs, config, network):
                before = time.perf_counter()
                recorder.record(step)
                logging += time.perf_counter() - before
            closing = time.perf_counter()
        logging += time.perf_counter() - closing
    return logging / (time.perf_counter() - started)


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next is right."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
