"""An evaluation, and a step of our L-BFGS, as CUDA graphs: recorded once, then launched as one (`runner.graphs`).

Each launches nearly two hundred kernels. Of a small picture one is done before the host has launched the next.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache
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
        """What `compute` gives; from the third time with an equal `key` on in the same tensors as the time before.

        Where there is no memory for a recording, it goes on as it comes.
        """
        if key != self.key:
            self.key, self.replay = key, None  # whose memory goes
            return compute()
        if self.replay is None:
            self.replay = record(compute, self.device) or compute
        return self.replay()


def record(compute: Callable[[], T], device: torch.device) -> Callable[[], T] | None:
    """Record what `compute` launches, which is not done yet; what is returned does it and gives what `compute` gave.

    Nothing in `compute` may wait for the device, or depend on what the host knew but for the tensors' addresses. None
    where the device has no memory for it.
    """
    graph, stream = torch.cuda.CUDAGraph(), _stream(device)
    try:
        # Other threads write pictures meanwhile, and may wait for what they copy. The stream is entered here as well,
        # for a recording that fails at its end does not leave it.
        with (
            torch.cuda.device(device),
            torch.cuda.stream(stream),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            made = compute()
    except RuntimeError as error:  # one of another kind where the end of the recording fails after it
        if not any(isinstance(each, torch.OutOfMemoryError) for each in (error, error.__context__)):
            raise
        return None

    def replay() -> T:
        with torch.cuda.device(device):
            graph.replay()
        return made

    return replay


@lru_cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The one on which that device's work is recorded; torch's own belongs to the device that was first."""
    return torch.cuda.Stream(device)
