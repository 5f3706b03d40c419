"""Cells -> processes: in this one after another, or spread by a Hydra launcher; what others hold is waited for."""

import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nst_lab.command_line import printable
from nst_lab.config.composition import Composer
from nst_lab.config.grammar import quoted
from nst_lab.config.schema import run_to_start_from
from nst_lab.errors import ConfigError
from nst_lab.running import runs
from nst_lab.running.claims import POLL_SECONDS, Claim, ClaimLostError, HeldError, Watch, standing
from nst_lab.running.processes import alive, this_process
from nst_lab.running.runner import tidy
from nst_lab.running.together import drive
from nst_lab.sweeps.batching import alike, at_once, batches
from nst_lab.sweeps.gpus import share_gpus
from nst_lab.sweeps.launchers import IN_THIS_PROCESS, JOBLIB, Launch, attempt, check_launcher, shares, spread
from nst_lab.sweeps.sweep import Planned, hydras_own, swept_keys

FRUITLESS_PASSES = 3  # after which a launcher is given up; a single one may be a race with another launch


def launch(composer: Composer, planned: Sequence[Planned], overrides: Sequence[str], watch: Watch) -> None:
    """Run all cells that are not completed with the Hydra launcher that the command line's `overrides` configure.

    Free cells first, those that go on from others when these are made; then cells that other launches hold are waited
    for, and those of dead ones taken over. A cell is attempted once in a launch, or twice if its process was killed;
    what became of it is in its manifest.
    """
    for item in planned:
        if item.completed:
            tidy(item.folder, watch)
    pending = [item for item in planned if not item.completed]
    if pending:
        _Sweep(composer, pending, overrides, watch).run()


class _Sweep:
    def __init__(self, composer: Composer, pending: Sequence[Planned], overrides: Sequence[str], watch: Watch):
        self.composer, self.pending, self.watch = composer, list(pending), watch
        name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{uuid.uuid4().hex[:6]}"
        self.own = hydras_own(overrides)
        config = pending[0].cell.config
        folder = Path(config.out_dir, config.name, ".launches", name)
        if any(text.startswith("hydra.sweep.dir=") for text in self.own):
            folder = Path(self._compose(self.own).hydra.sweep.dir)
        # Workers compose again, perhaps in another directory and at another time: the path must be told to them.
        self.own.append(f"hydra.sweep.dir={quoted(str(folder.absolute()))}")
        self.master = self._compose(self.own)
        check_launcher(self.master)
        gpus = share_gpus(self.master)
        self.launch = Launch(
            name,
            swept_keys([item.cell for item in self.pending]),
            len(self.pending),
            directory=os.getcwd(),
            environment={key: value for key, value in os.environ.items() if key.startswith("NST_LAB_")},
            records=str(folder.absolute()),
            config_dir=composer.directory,
            own=self.own,
            threads=shares(self.master.hydra.launcher)[0],
            gpus=gpus,
            launcher=this_process() if self.master.hydra.launcher._target_ == JOBLIB else None,
        )
        self.made: set[Path] = set()  # in this process
        self.handed: Counter[Path] = Counter()  # how often to a launcher
        self.before = {item.folder: _launches(item.folder) for item in pending}
        self._record()

    def _compose(self, own: Sequence[str]) -> DictConfig:
        return self.composer.load([*own, *self.pending[0].cell.all_overrides], RunMode.MULTIRUN)

    def _record(self) -> None:
        folder = Path(self.launch.records)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save({"cells": [list(item.cell.all_overrides) for item in self.pending]}, folder / "cells.yaml")
        except OSError as error:
            raise ConfigError(f"out_dir: {folder} cannot be written ({error.strerror})") from error

    def run(self) -> None:
        waiting: set[Path] = set()
        fruitless = 0
        while fruitless < FRUITLESS_PASSES:
            states = {item.folder: self._state(item) for item in self.pending}
            left = {folder for folder, state in states.items() if state != "settled"}
            free = [item for item in self.pending if states[item.folder] == "free" and not _has_to_wait(item, left)]
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
                    holder = self.watch.judge(folder)[1]
                    print(printable(f"waiting for {folder}, held by {holder}"), file=sys.stderr)
                waiting = held
                time.sleep(POLL_SECONDS)
            else:
                return
        print(f"nst-lab: hydra.launcher: {printable(error or 'no run was started')}", file=sys.stderr)

    def _state(self, item: Planned) -> str:
        """What is left to do for a cell.

        `free`: to be attempted by this launch; `killed`: attempted, but the process died, and may try once more;
        `held` by another process; `settled`.
        """
        state, launches = runs.state(item.folder, item.identity, self.watch), _launches(item.folder)
        if state == "held":
            return "held"
        if item.folder in self.made:
            return "settled"
        if self.launch.name in launches:
            if state == "killed" and launches.count(self.launch.name) > 1:
                self._tell_killed(item)
            return "killed" if state == "killed" and launches.count(self.launch.name) == 1 else "settled"
        tried_elsewhere = state == "failed" and launches != self.before[item.folder]
        # A completed run that could not be made again is as it was, and does not tell of the attempt.
        done = state == "completed" and (not item.cell.config.force or self.handed[item.folder] > 1)
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
            self._make_here(items, done)
            return None
        self.handed.update(item.folder for item in items)
        cells = [(done + index, item.cell.all_overrides) for index, item in enumerate(items)]
        jobs = [[cells[index] for index in batch] for batch in batches([item.cell.config for item in items])]
        launch = replace(self.launch, jobs=dict(enumerate(jobs, done)))
        return spread(self.composer, self.master, launch, self._workers)

    def _make_here(self, items: Sequence[Planned], done: int) -> None:
        """Runs in this process, those that are alike together."""
        configs = [item.cell.config for item in items]
        for group in alike(configs):
            attempts = (
                attempt(configs[index], items[index].cell.all_overrides, self.launch, done + index) for index in group
            )
            made = drive(attempts, at_once([configs[index] for index in group]))
            self.made |= {items[index].folder for index, one in zip(group, made, strict=True) if one}

    def _workers(self) -> list[int]:
        """The processes on this machine that make runs for this launch."""
        owners = [self.watch.judge(item.folder)[1] for item in self.pending]
        ours = [owner.process for owner in owners if owner and owner.launch == self.launch.name]
        return [process.pid for process in ours if alive(process)]


def _has_to_wait(item: Planned, left: set[Path]) -> bool:
    """Whether a cell starts from the result of a run that is not made yet."""
    run = run_to_start_from(item.cell.config)
    return run is not None and Path(run) in left


def _launches(folder: Path) -> list[str | None]:
    """The launches that attempted a run, in their order."""
    return [attempt.get("launch") for attempt in runs.attempts(runs.read_manifest(folder) or {})]
