"""Search settings for the lowest distance within bounds on others: Optuna proposes, `nst_lab.run` makes."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError
from nst_lab.metrics import METRICS_VERSION, distances_of_run
from nst_lab.running import runs
from nst_lab.running.claims import POLL_SECONDS, Claim, ClaimLostError, HeldError
from nst_lab.running.inputs import load_inputs
from nst_lab.running.runner import Run, RunError, run
from nst_lab.search.plan import Plan, read_plan
from nst_lab.sweeps.summary import write_summary
from nst_lab.sweeps.sweep import label

if TYPE_CHECKING:
    from nst_lab.search.study import Study, Trial


@dataclass(frozen=True)
class Found:
    """What a search has found: all trials of its study, by number, and the numbers of those that failed just now."""

    plan: Plan
    trials: Sequence["Trial"]
    failed: Sequence[int]

    @property
    def ranked(self) -> list["Trial"]:
        """The completed trials, best first: those within the bounds by distance, then the others by violation."""
        completed = [trial for trial in self.trials if trial.status == "completed"]
        return sorted(completed, key=lambda trial: (trial.violation, trial.distances[self.plan.minimise]))

    @property
    def best(self) -> "Trial | None":
        """The trial with the lowest distance within the bounds; None if there is none."""
        return next((trial for trial in self.ranked if trial.violation == 0), None)


def search(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    trials: int | None = None,
    config_dir: str | Path | None = None,
) -> Found:
    """Search as `nst-search` does; what an earlier call or another process has made already is not made again.

    A trial is a run in `<out_dir>/<name>/`, its study an SQLite file there. A trial that fails is told and does not end
    the search; the next call makes another one in its place. An interrupted search goes on with the next call, from the
    checkpoint of the run under way, and comes to the same trials as one that was not interrupted.

    Args:
        source: the name or path of a YAML file (`search_plan` describes it), or its content as a mapping.
        overrides: for every run, as on the command line; what they set is not searched.
        trials: in place of the file's: how many in all, those of earlier calls included.
        config_dir: a folder of the user's own groups and searches.

    Raises:
        ConfigError: something in the search is wrong, Optuna is not installed, or the study is another search's.
        StudyError: its file cannot be read or written.
    """
    check_installed()
    return carry_out(read_plan(source, overrides, trials=trials, config_dir=config_dir))


def check_installed() -> None:
    """Raise `ConfigError` with the command that installs it if Optuna is not there."""
    if find_spec("optuna") is None:
        raise ConfigError("a search needs Optuna, which is not installed; pip install 'nst_lab[search]'")


def carry_out(plan: Plan) -> Found:
    """Make all trials of a plan that are left."""
    from nst_lab.search.study import Study

    with Study(plan) as study:
        _say_where_it_stands(plan, study)
        try:
            failed = _make_all(plan, study)
        finally:
            with suppress(OSError):  # a full disk; it has ended the search, or does no harm to it
                write_summary(study.folder)
        return Found(plan, study.trials(), failed)


def _make_all(plan: Plan, study: "Study") -> list[int]:
    """Make what is left, and wait for what others make; the numbers of those that failed here."""
    failed, waiting = [], False
    while (trial := study.ask()) or study.is_busy():
        if trial:
            failed += [trial.number] if _make(plan, study, trial) else []
            continue
        if not waiting:
            print(f"{study.file}: waiting for trials of other processes", file=sys.stderr)
        waiting = True
        time.sleep(POLL_SECONDS)
    return failed


def _say_where_it_stands(plan: Plan, study: "Study") -> None:
    trials = study.trials()
    completed = sum(trial.status == "completed" for trial in trials)
    if trials:
        print(f"{study.file}: {completed} of {plan.trials} trials are completed")


def _make(plan: Plan, study: "Study", trial: "Trial") -> bool:
    """Make one trial and tell what came of it; whether it failed. One that another process makes is left to it."""
    name = f"trial {trial.number}: {label(trial.overrides, list(plan.space))}"
    with ExitStack() as held:  # until it is told, or another process would take it for left behind
        try:
            config = plan.config(trial.overrides)
            claim = held.enter_context(_claimed(config, study))
            source = [*plan.overrides, *trial.overrides]
            done = run(config, overrides=source, config_dir=plan.composer.directory, label=name, claim=claim)
            distances = _measured(plan, config, done)
        except (HeldError, ClaimLostError):
            return False
        except Exception as error:  # whatever it is: the other trials go on
            message = " ".join((str(error) or type(error).__name__).split())
            told = study.tell_failed(trial, message)
            if told:
                print(f"{name}: failed: {message}", file=sys.stderr)
            return told
        if study.tell(trial, done.folder, distances):
            print(f"{name}: {_verdict(plan, distances)}", flush=True)
    return False


def _claimed(config: Config, study: "Study") -> Claim:
    folder = runs.run_folder(config, runs.identify(config))
    runs.create_folder(folder)
    return Claim(folder, "", study.watch)


def _measured(plan: Plan, config: Config, done: Run) -> dict[str, float | None]:
    """The distances of a run; measured now if it was made without them, or with those of another version."""
    distances = done.manifest.get("distances")
    if not distances or done.manifest.get("metrics_version") != METRICS_VERSION:
        inputs = load_inputs(config)
        picture = done.folder / runs.RESULT
        distances = distances_of_run(picture, inputs.content, inputs.styles, resampling=config.resampling)
    for name in plan.measured:
        value = distances.get(name)
        if value is None or not isfinite(value):
            raise RunError(f"distance {name} is not defined: photograph and style do not differ in it")
    return distances


def _verdict(plan: Plan, distances: Mapping[str, float | None]) -> str:
    values = ", ".join(f"{name} {distances[name]:.3f}" for name in plan.measured)
    missed = [str(bound) for bound in plan.bounds if bound.violation(distances) > 0]
    return f"{values}; not {', '.join(missed)}" if missed else values
