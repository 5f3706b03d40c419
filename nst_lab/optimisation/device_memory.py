"""What is done where the memory of a GPU does not suffice: only trying tells, since others may use it too."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import torch

from nst_lab.errors import DeviceMemoryError

T = TypeVar("T")


def with_less_memory(usual: Callable[[], T], saving: Callable[[], T]) -> T:
    """What `usual` gives, or what `saving` does where the device has not the memory for it.

    Raises:
        DeviceMemoryError: for neither.
    """
    with suppress(torch.OutOfMemoryError):
        return usual()
    torch.cuda.empty_cache()  # what the usual way held went with its error
    try:
        return saving()
    except torch.OutOfMemoryError as error:
        needed = " ".join(str(error).split()).partition(". ")[2].partition(". ")[0]
        smaller = "choose a smaller size, runner.batch or optimizer.history"
        raise DeviceMemoryError(f"not enough memory on the device, even strip by strip ({needed}); {smaller}") from None
