"""nst_lab: a laboratory for neural style transfer.

The public names load when first used, so that importing the package is cheap (torch takes seconds).
"""

import os
from importlib import import_module
from typing import Any

# Pages of 2 MiB for large tensors: a sixth less time at 1024x1024 px. Torch looks once, when it makes its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# Threads of OpenMP that have nothing to do wait some microseconds, not milliseconds, before they give their core to
# those of the convolutions: a quarter less time at 128x128 px, a tenth at 256x256. Read when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_HOMES = {
    "compose": "config.composition",
    "load_image": "images.pictures",
    "load_mask": "images.pictures",
    "save_image": "images.pictures",
    "transfer": "optimisation.synthesis",
    "Result": "optimisation.synthesis",
    "run": "running.runner",
    "load_runs": "comparison.reading",
}

__all__ = ["Result", "compose", "load_image", "load_mask", "load_runs", "run", "save_image", "transfer"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nst_lab' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"nst_lab.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
