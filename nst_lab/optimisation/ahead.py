"""An asynchronous device is given its next evaluation before the host has read the numbers of the last one."""

from collections.abc import Callable

import torch
from torch import Tensor

ASYNCHRONOUS = {"cuda"}  # kinds of devices that work through what they are given while the host goes on


def read_later(values: Tensor) -> Callable[[], list[float]]:
    """Ask for values (N,) as they are now; what is returned waits for them, and for nothing the device was given since.

    From CUDA they go to pinned memory, since a copy to any other memory is waited for at once.
    """
    if not values.is_cuda:
        there: list[float] = values.tolist()
        return lambda: there
    arriving = values.to("cpu", non_blocking=True)
    arrived = torch.cuda.current_stream(values.device).record_event()

    def read() -> list[float]:
        arrived.synchronize()
        numbers: list[float] = arriving.tolist()
        return numbers

    return read
