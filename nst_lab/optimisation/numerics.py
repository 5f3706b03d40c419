"""How torch computes, set for a while and then as before."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
