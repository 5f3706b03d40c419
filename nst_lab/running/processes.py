"""Processes named so that nobody else is mistaken for them: by machine, its boot, and the time of their start."""

import os
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process: `boot` names the machine's boot and, in containers, the space its numbers count in."""

    host: str
    boot: str
    pid: int
    start: str


@cache
def _boot() -> str:
    if PROC.is_dir():
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    return _output("sysctl", "-n", "kern.bootsessionuuid")


def _start(pid: int) -> str:
    """When a process started, in words that only it has; empty if there is no such process, or only its remains."""
    if PROC.is_dir():
        try:
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]  # ticks since boot: no clock that can be set
    state, _, started = _output("ps", "-o", "state=,lstart=", "-p", str(pid)).partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()


def this_process() -> Process:
    """The calling process."""
    return Process(socket.gethostname(), _boot(), os.getpid(), _start(os.getpid()))


def alive(process: Process) -> bool | None:
    """Whether a process of this machine lives; None for one of another machine, which cannot be told from here."""
    if (process.host, process.boot) != (socket.gethostname(), _boot()):
        return None
    return bool(process.start) and _start(process.pid) == process.start
