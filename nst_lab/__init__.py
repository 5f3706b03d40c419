"""nst_lab: a laboratory for neural style transfer.

The public names load when first used, so that importing the package is cheap (torch takes seconds).
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "compose": "composition",
    "load_image": "images",
    "save_image": "images",
    "transfer": "synthesis",
    "Result": "synthesis",
    "run": "runner",
    "load_runs": "reading",
}

__all__ = ["Result", "compose", "load_image", "load_runs", "run", "save_image", "transfer"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nst_lab' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"nst_lab.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
