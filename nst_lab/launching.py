"""Cells -> processes: in this one after another, or spread by a Hydra launcher; what others hold is waited for."""

import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from nst_lab import runs
from nst_lab.claims import POLL_SECONDS, Claim, ClaimLostError, HeldError, Watch, standing
from nst_lab.composition import Composer, finish
from nst_lab.config import Config
from nst_lab.errors import ConfigError
from nst_lab.interruption import Farewell
from nst_lab.processes import alive
from nst_lab.sweep import Planned, hydras_own, label, swept_keys

IN_THIS_PROCESS = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
INTERRUPTED = "interrupted"  # a file among the records: what has not begun yet is not to begin
EXTRAS = {"hydra_joblib_launcher": "processes", "hydra_submitit_launcher": "slurm", "hydra_ray_launcher": "ray"}
FRUITLESS_PASSES = 3  # after which a launcher is given up; a single one may be a race with another launch
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher."


@dataclass(frozen=True)
class Launch:
    """One command line's sweep, as its workers know it, wherever they run."""

    name: str  # in the claims and manifests of its runs
    keys: Sequence[str]  # swept, for labels
    total: int
    directory: str  # that relative paths refer to
    environment: Mapping[str, str]  # where the pictures are
    records: str  # the folder in which the launch is recorded
    threads: int | None = None  # of each worker

    def label(self, index: int, overrides: Sequence[str]) -> str | None:
        """How a run is called on the terminal; None for a run alone, which goes by its folder."""
        return f"[{index + 1}/{self.total}] {label(overrides, self.keys)}" if self.total > 1 else None


def launch(composer: Composer, planned: Sequence[Planned], overrides: Sequence[str], watch: Watch) -> None:
    """Run all cells that are not completed with the Hydra launcher that the command line's `overrides` configure.

    Free cells first; then cells that other launches hold are waited for, and those of dead ones taken over. A cell is
    attempted once in a launch, or twice if its process was killed; what became of it is in its manifest.
    """
    pending = [item for item in planned if not item.completed]
    if pending:
        _Sweep(composer, pending, overrides, watch).run()


class _Sweep:
    def __init__(self, composer: Composer, pending: Sequence[Planned], overrides: Sequence[str], watch: Watch):
        self.composer, self.pending, self.watch = composer, list(pending), watch
        name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{uuid.uuid4().hex[:6]}"
        self.own = hydras_own(overrides)
        self.master = self._compose(self.own)
        _check_installed(self.master)
        given = any(text.startswith("hydra.sweep.dir=") for text in self.own)
        records = Path(self.master.out_dir) / self.master.name / ".launches"
        folder = Path(self.master.hydra.sweep.dir) if given else records / name
        # Workers compose again, perhaps in another directory and at another time: the path must be told to them.
        self.own.append(f"hydra.sweep.dir={_quoted(str(folder.absolute()))}")
        self.master = self._compose(self.own)
        threads, self.at_once = _shares(self.master.hydra.launcher)
        self.launch = Launch(
            name,
            swept_keys([item.cell for item in self.pending]),
            len(self.pending),
            os.getcwd(),
            {key: value for key, value in os.environ.items() if key.startswith("NST_LAB_")},
            str(folder.absolute()),
            threads,
        )
        self.before = {item.folder: _launches(item.folder) for item in pending}
        self._record()

    def _compose(self, own: Sequence[str]) -> DictConfig:
        return self.composer.load([*own, *self.pending[0].cell.overrides], RunMode.MULTIRUN)

    def _record(self) -> None:
        folder = Path(self.launch.records)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save({"cells": [list(item.cell.overrides) for item in self.pending]}, folder / "cells.yaml")
        except OSError as error:
            raise ConfigError(f"out_dir: {folder} cannot be written ({error.strerror})") from error

    def run(self) -> None:
        waiting: set[Path] = set()
        fruitless = 0
        while fruitless < FRUITLESS_PASSES:
            states = {item.folder: self._state(item) for item in self.pending}
            free = [item for item in self.pending if states[item.folder] == "free"]
            killed = [item for item in self.pending if states[item.folder] == "killed"]
            held = {folder for folder, state in states.items() if state == "held"}
            if free or killed:
                batch = free or killed[:1]  # what was killed goes alone: it may be what brought the others down
                error = self._launch(batch, done=list(states.values()).count("settled"))
                unchanged = all(self._state(item) == states[item.folder] for item in batch)
                fruitless = fruitless + 1 if unchanged else 0
                if error and unchanged:
                    break
            elif held:
                for folder in held - waiting:
                    print(f"waiting for {folder}, held by {self.watch.judge(folder)[1]}", file=sys.stderr)
                waiting = held
                time.sleep(POLL_SECONDS)
            else:
                return
        print(f"nst-lab: hydra.launcher: {error or 'no run was started'}", file=sys.stderr)

    def _state(self, item: Planned) -> str:
        """What is left to do for a cell.

        `free`: to be attempted by this launch; `killed`: attempted, but the process died, and may try once more;
        `held` by another process; `settled`.
        """
        state, launches = runs.state(item.folder, item.identity, self.watch), _launches(item.folder)
        if state == "held":
            return "held"
        if self.launch.name in launches:
            if state == "killed" and launches.count(self.launch.name) > 1:
                self._tell_killed(item)
            return "killed" if state == "killed" and launches.count(self.launch.name) == 1 else "settled"
        tried_elsewhere = state == "failed" and launches != self.before[item.folder]
        done = state == "completed" and not item.cell.config.force
        return "settled" if done or tried_elsewhere else "free"

    def _tell_killed(self, item: Planned) -> None:
        """Write what the process itself could not; its checkpoint stays, and the next launch goes on from it."""
        try:
            with Claim(item.folder, self.launch.name, self.watch) as claim:
                manifest = runs.read_manifest(item.folder) or {}
                error = "the process that made it ended without a word: killed, or out of memory"
                runs.write_manifest(claim, manifest | {"status": "failed", "error": error})
        except (HeldError, ClaimLostError):
            return  # somebody else goes on with it

    def _bury(self, folder: Path) -> None:
        """Remove the claims of the dead: a worker would watch those of another machine for as long again."""
        if standing(folder) is not None:
            with suppress(HeldError):
                Claim(folder, self.launch.name, self.watch).release()

    def _launch(self, items: Sequence[Planned], done: int) -> str | None:
        """One pass over free cells, `done` others being settled; the error of a launcher that gave up."""
        for item in items:
            self._bury(item.folder)
        if self.master.hydra.launcher._target_ == IN_THIS_PROCESS:
            for index, item in enumerate(items, done):
                attempt(item.cell.config, item.cell.overrides, self.launch, index)
            return None
        context = HydraContext(config_loader=self.composer.loader, callbacks=Callbacks(self.master))
        try:
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=context, task_function=partial(task, launch=self.launch), config=self.master
            )
        except Exception as error:  # whatever the constructor of a plugin does with what it was given
            raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error
        if self.master.hydra.launcher._target_ == RAY:
            _join_ray(self.master.hydra.launcher.ray.init)
        if self.master.hydra.launcher.get("submitit_folder"):
            print(f"the jobs write to {self.launch.records}/submitit")
        size = self.master.hydra.sweeper.get("max_batch_size") or self.at_once or len(items)
        for start in range(0, len(items), size):
            batch = [list(item.cell.overrides) for item in items[start : start + size]]
            try:
                with Farewell((Path(self.launch.records) / INTERRUPTED).touch, self._workers):
                    launcher.launch(batch, initial_job_idx=done + start)
            except Exception as error:  # a lost worker, in the words of the plugin; manifests tell what became of runs
                return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        return None

    def _workers(self) -> list[int]:
        """The processes on this machine that make runs for this launch."""
        owners = [self.watch.judge(item.folder)[1] for item in self.pending]
        ours = [owner.process for owner in owners if owner and owner.launch == self.launch.name]
        return [process.pid for process in ours if alive(process)]


def _launches(folder: Path) -> list[str]:
    """The launches that attempted a run, in their order."""
    return [attempt.get("launch") for attempt in (runs.read_manifest(folder) or {}).get("attempts", [])]


def _check_installed(master: DictConfig) -> None:
    """Raise `ConfigError` with the command that installs it if the chosen launcher is not there."""
    package = master.hydra.launcher._target_.rpartition(".")[0].rpartition(".")[0]
    extra = EXTRAS.get(package.rpartition(".")[2])
    if extra and not _there(package):
        choice = master.hydra.runtime.choices["hydra/launcher"]
        raise ConfigError(f"hydra/launcher={choice}: not installed; pip install 'nst_lab[{extra}]'")


def _join_ray(settings: DictConfig) -> None:
    """Start or join the cluster before the launcher would: Ray takes SIGTERM for itself when it does."""
    import ray

    if not ray.is_initialized():
        try:
            ray.init(**OmegaConf.to_container(settings, resolve=True))
        except Exception as error:  # no cluster at that address, a setting that Ray does not know
            raise ConfigError(f"hydra.launcher.ray.init: {' '.join(str(error).split())}") from error


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the parent: no plugin of Hydra is installed at all
        return False


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _shares(launcher: DictConfig) -> tuple[int | None, int | None]:
    """Threads of each worker, so that those of one machine share its cores; how many to start at once, if it matters.

    None where the launcher's own system sees to it, or is not known here.
    """
    if launcher._target_ == JOBLIB:
        import joblib

        return max(1, joblib.cpu_count() // joblib.effective_n_jobs(launcher.n_jobs)), None
    if launcher._target_ == RAY:
        return max(1, int(launcher.ray.remote.get("num_cpus", 1))), None
    if launcher._target_.startswith(SUBMITIT):
        threads = launcher.get("cpus_per_task") or 1
        local = launcher._target_.endswith("LocalLauncher")
        return threads, max(1, (os.cpu_count() or 1) // threads) if local else None
    return None, None


def task(composed: DictConfig, launch: Launch) -> None:
    """One job of a Hydra launcher, in a process of its own. Importable, since launchers pickle it."""
    if Path(launch.records, INTERRUPTED).exists():
        return
    os.chdir(launch.directory)
    os.environ.update(launch.environment)
    job = HydraConfig.get()
    config = finish(composed)
    config.threads = config.threads or launch.threads
    attempt(config, tuple(job.overrides.task), launch, job.job.num)


def attempt(config: Config, overrides: Sequence[str], launch: Launch, index: int) -> None:
    """Make one run and leave its status in the manifest.

    Raises nothing but an interruption: one failed cell must not end the sweep, and the exit status comes from the
    manifests. A run that another process holds is left to it.
    """
    from nst_lab.runner import run

    name = launch.label(index, overrides)
    try:
        run(config, overrides=overrides, label=name, launch=launch.name, wait=False)
    except (HeldError, ClaimLostError):
        return
    except Exception as error:
        print(f"{name or 'nst-lab'}: failed: {error}", file=sys.stderr)
