"""What a picture costs in a batch: an optimiser's step, network and losses included, of several runs at once."""

import torch

import nst_lab
from measures.evaluation import take_turns
from nst_lab.optimisation.synthesis import Synthesis, own_network, step_syntheses
from nst_lab.running.runner import load_inputs

BATCHES = (1, 2, 4, 8, 16)


def measure_batches(size: int, device_name: str, device: torch.device, rounds: int) -> list[dict]:
    """Seconds per picture and evaluation by size of the batch, and how many times less than alone."""
    settings = [f"size={size}", "size_rule=exact", f"device={device_name}", "optimizer.tolerance=0", "init=noise"]
    config = nst_lab.compose([*settings, "optimizer.evaluations=9999"])
    network, inputs = own_network(config).to(device).requires_grad_(False), load_inputs(config)
    contenders = {}
    for batch in BATCHES:
        syntheses = [Synthesis(inputs, config, network) for _ in range(batch)]
        contenders[batch] = lambda syntheses=syntheses: step_syntheses(syntheses)
    seconds = take_turns(contenders, device, rounds)
    alone = seconds[1]
    return [
        {"size": size, "batch": batch, "seconds_per_picture": each / batch, "times_faster": alone * batch / each}
        for batch, each in seconds.items()
    ]
