"""An evaluation, and a step of our L-BFGS, as CUDA graphs: recorded once, then launched as one (`runner.graphs`).

Each launches nearly two hundred kernels. Of a small picture one is done before the host has launched the next.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
RECORDING = {"cuda"}  # kinds of devices


class Repeated(Generic[T]):
    """What is computed again and again from tensors that stay where they are: at first as it comes, then recorded.

    The first time is not recorded, for libraries prepare themselves in it.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.key: Hashable = None
        self.replay: Callable[[], T] | None = None

    def forget(self) -> None:
        """Begin anew: something is elsewhere in memory."""
        self.key = self.replay = None

    def __call__(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives; from the third time with an equal `key` on in the same tensors as the time before."""
        if key != self.key:
            self.key, self.replay = key, None  # whose memory goes
            return compute()
        if self.replay is None:
            self.replay = record(compute, self.device)
        return self.replay()


def record(compute: Callable[[], T], device: torch.device) -> Callable[[], T]:
    """Record what `compute` launches, which is not done yet; what is returned does it and gives what `compute` gave.

    Nothing in `compute` may wait for the device, or depend on what the host knew but for the tensors' addresses.
    """
    graph = torch.cuda.CUDAGraph()
    # Other threads write pictures meanwhile, and may wait for what they copy.
    with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = compute()

    def replay() -> T:
        with torch.cuda.device(device):
            graph.replay()
        return made

    return replay
