"""Worker processes that share the GPUs of this machine: how many there are, and which one is whose."""

import fcntl
from functools import cache
from itertools import count
from pathlib import Path
from typing import TextIO

import torch
from omegaconf import DictConfig

from nst_lab.errors import ConfigError

CHOICE = "gpus"  # of hydra/launcher
_held: list[TextIO] = []  # the files of this process's seats: they are free again when it ends, however it does


def share_gpus(master: DictConfig) -> int:
    """The number of GPUs if the launcher is to spread runs over them, else 0; as many processes if it does not say.

    Raises:
        ConfigError: there is none.
    """
    if master.hydra.runtime.choices.get("hydra/launcher") != CHOICE:
        return 0
    gpus = torch.cuda.device_count()
    if gpus == 0:
        raise ConfigError(f"hydra/launcher={CHOICE}: no CUDA device on this machine; expected one, or another launcher")
    if master.hydra.launcher.n_jobs is None:
        master.hydra.launcher.n_jobs = gpus
    return gpus


def device_of_worker(folder: Path, gpus: int) -> str:
    """The GPU of this process, the same for all its runs: workers take seats in turn."""
    return f"cuda:{_seat(folder) % gpus}"


@cache
def _seat(folder: Path) -> int:
    """The first number whose file no living process holds."""
    return next(number for number in count() if _take(folder / f".seat.{number}"))


def _take(seat: Path) -> bool:
    """Whether the file is this process's from now on."""
    file = seat.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True
