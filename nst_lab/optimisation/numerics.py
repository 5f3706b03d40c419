"""How torch computes, set for a while and then as before."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


def is_emulated(precision: str, device: torch.device) -> bool:
    """Whether the device has no instructions for a precision, and is slower by it: bf16 on CPUs with AVX2 alone."""
    return precision == "bf16" and device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"


@contextmanager
def numerics(threads: int | None, tf32: bool) -> Iterator[None]:
    """So many threads (None: as many as now), and TF32 only where asked for, since it changes losses by about 1e-3."""
    matmul, cudnn, before = torch.backends.cuda.matmul, torch.backends.cudnn, torch.get_num_threads()
    allowed = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = allowed
        torch.set_num_threads(before)


@contextmanager
def plain_torch() -> Iterator[None]:
    """Torch as at its start, whatever the caller has set: float32 on the CPU by default, gradients, no autocast."""
    before = torch.get_default_dtype()
    with ExitStack() as settings:
        settings.enter_context(torch.inference_mode(False))
        settings.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            settings.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            settings.enter_context(torch.device("cpu"))  # costs a little at every call: only where it is needed
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
