"""How much of an evaluation is convolution: the rest is what the laboratory adds to the network."""

import torch
from torch.profiler import ProfilerActivity, profile

from measures.evaluation import build_optimisation, prepare, synchronize, take_turns


def measure_kernels(size: int, device_name: str, device: torch.device, rounds: int) -> dict:
    """Seconds of a step, and of the convolutions in it: of their kernels on a GPU, of their operators on a CPU."""
    config, inputs, network = prepare(size, device_name, device)
    optimisation = build_optimisation(network, inputs, config, device)
    step = take_turns({"step": optimisation.step}, device, rounds)["step"]
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        for _ in range(rounds):
            optimisation.step()
        synchronize(device)
    own = "self_device_time_total" if cuda else "self_cpu_time_total"  # microseconds
    convolutions = sum(getattr(each, own) for each in profiler.key_averages() if "conv" in each.key) / 1e6 / rounds
    return {"size": size, "step_seconds": step, "convolution_seconds": convolutions, "share": convolutions / step}
