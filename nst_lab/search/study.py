"""The record of a search: an Optuna study in SQLite, shared by processes and fit to be gone on with.

A trial belongs to whoever holds its run's folder. One that was left behind is known by its free folder and is made
under its own number, so that a search that was killed goes on as it would have gone on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from nst_lab.config.composition import flat
from nst_lab.errors import ConfigError, UserError
from nst_lab.metrics import METRICS_VERSION
from nst_lab.running import claims, runs
from nst_lab.running.claims import Watch
from nst_lab.search.plan import Plan
from nst_lab.search.proposal import propose

FILE = "study.db"
LOCK = ".study"  # a folder to be claimed, since a claim on the experiment's own would be that of a run
NAME = "nst-search"  # of the only study in the file
LOCK_SECONDS = 60  # that SQLite waits for another reader, such as a dashboard

# What a search writes to a trial and to the study; anybody else who opens the file may write something else.
TOLD = {"overrides": list, "distances": dict, "folder": str, "error": str}
QUESTION = {"search": dict, "fingerprint": str, "settings": dict}
STATES = {TrialState.COMPLETE: "completed", TrialState.FAIL: "failed"}  # others are under way


class StudyError(UserError):
    """The study's file cannot be read or written."""


@dataclass(frozen=True)
class Trial:
    """One trial: its values of the space as overrides, and what came of them.

    `status` is `completed`, `failed` (then `error` says why) or `running`; `violation` sums by how much of each limit
    the bounds are missed, 0 within all of them.
    """

    number: int
    overrides: tuple[str, ...]
    status: str
    distances: Mapping[str, float | None]
    violation: float
    folder: Path | None
    error: str


class Study:
    """The study of a plan, opened or begun in `<out_dir>/<name>/study.db`; a context manager.

    Raises:
        ConfigError: the folder cannot be written, or its study is another search's.
        StudyError: the file is no study.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        first = plan.probes[0]
        self.folder = Path(first.out_dir) / first.name
        self.file = self.folder / FILE
        self.watch = Watch(first.runner.takeover_seconds)
        self.lock = self.folder / LOCK
        runs.create_folder(self.lock)
        with ExitStack() as opened:
            opened.callback(optuna.logging.set_verbosity, optuna.logging.get_verbosity())
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            with self._alone():
                storage = self._storage()
                opened.callback(storage.engine.dispose)
                opened.callback(storage.remove_session)
                self.study = optuna.create_study(storage=storage, study_name=NAME, load_if_exists=True)
                self._check_same()
                self.failed_before = {trial.number for trial in self._all() if trial.state == TrialState.FAIL}
            self.opened = opened.pop_all()

    def _storage(self) -> optuna.storages.RDBStorage:
        url = URL.create("sqlite", database=str(self.file.absolute())).render_as_string()
        url = url.replace("{", "{{").replace("}", "}}")  # Optuna takes it for a format
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
        except RuntimeError as error:  # of a version that Optuna no longer, or not yet, reads
            raise StudyError(f"{self.file}: {' '.join(str(error).split())}") from error

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.opened.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else asks or tells meanwhile: SQLite keeps single statements apart, not a question and its answer."""
        with claims.acquire(self.lock, "", self.watch):
            try:
                yield
            except (SQLAlchemyError, StorageInternalError) as error:
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                raise StudyError(f"{self.file}: {getattr(cause, 'orig', cause)}".splitlines()[0]) from error

    def _check_same(self) -> None:
        """Raise unless the study is new or was begun for the same question."""
        asked = json.loads(json.dumps(_question(self.plan)))
        before = self.study.user_attrs.get("question")
        if before is None:
            self.study.set_user_attr("question", asked)
            return
        if not isinstance(before, dict) or not QUESTION.keys() <= before.keys():
            raise StudyError(f"{self.file}: question={before!r} is none that a search has asked")
        self._check_kinds("question", before, QUESTION)
        if before["fingerprint"] != asked["fingerprint"] or before["search"] != asked["search"]:
            old, new = (question["search"] | question["settings"] for question in (before, asked))
            keys = [key for key in (old | new) if old.get(key) != new.get(key)]
            was, now = (f"{keys[0]}={each.get(keys[0], 'nothing')}" if keys else "" for each in (old, new))
            differs = f"with {was}, now {now}" if keys else "with other pictures or weights"
            raise ConfigError(
                f"{self.file}: a search begun {differs}; give this one its own name (name=…), or remove the file to "
                "begin anew with the runs that are there"
            )

    def _all(self) -> list[FrozenTrial]:
        """The trials of searches; a dashboard may have added others."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if "overrides" in trial.user_attrs]
        for trial in trials:
            self._check_kinds(f"trial {trial.number}", trial.user_attrs, TOLD)
        return trials

    def _check_kinds(self, what: str, told: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
        """Raise at the first value of another kind than what a search writes."""
        for key, kind in kinds.items():
            if key in told and not isinstance(told[key], kind):
                raise StudyError(f"{self.file}: {what}: {key}={told[key]!r} is nothing that a search has written")

    def ask(self) -> Trial | None:
        """A trial to be made: one that was left behind, or a new one; None if there is none.

        What failed before this study was opened is not counted, nor learned from: it may have been mended.
        """
        with self._alone():
            for trial in self._all():
                if trial.state == TrialState.RUNNING and self._is_free(trial.user_attrs["overrides"]):
                    return self._read(trial)
            counted = [trial for trial in self._all() if trial.number not in self.failed_before]
            if len(counted) >= self.plan.trials:
                return None
            return self._new(propose(self.plan, counted, len(self.study.get_trials(deepcopy=False))))

    def _new(self, values: Mapping[str, Any]) -> Trial:
        space = self.plan.space
        overrides = [f"{key}={dimension.text(values[key])}" for key, dimension in space.items()]
        distributions = {key: dimension.distribution() for key, dimension in space.items()}
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(values),
                distributions=distributions,
                user_attrs={"overrides": overrides},
            )
        )
        return self._read(self._all()[-1])

    def _is_free(self, drawn: Sequence[str]) -> bool:
        """Whether no living process makes the run with these values."""
        try:
            config = self.plan.config(drawn)
            identity = runs.identify(config)
        except UserError:
            return True  # it will fail and say so
        return runs.state(runs.run_folder(config, identity), identity, self.watch) != "held"

    def is_busy(self) -> bool:
        """Whether trials are under way, here or in another process."""
        return any(trial.status == "running" for trial in self.trials())

    def tell(self, trial: Trial, folder: Path, distances: Mapping[str, float | None]) -> bool:
        """A trial's run is completed. False if another process, which took the trial for left behind, was faster."""
        with self._alone():
            if told := self._still_running(trial):
                told.set_user_attr("folder", folder.name)
                told.set_user_attr("distances", dict(distances))
                for bound in self.plan.bounds:
                    if str(bound) not in told.constraints:  # a process may have been killed between two of these
                        told.set_constraint(str(bound), bound.violation(distances))
                self.study.tell(told, distances[self.plan.minimise])
            return told is not None

    def tell_failed(self, trial: Trial, error: str) -> bool:
        """A trial has no result, for the reason given. False as in `tell`."""
        with self._alone():
            if told := self._still_running(trial):
                told.set_user_attr("error", error)
                self.study.tell(told, state=TrialState.FAIL)
            return told is not None

    def _still_running(self, trial: Trial) -> optuna.Trial | None:
        """Optuna's handle of a trial; None if it was told before."""
        found = self.study.get_trials(deepcopy=False)[trial.number]
        return optuna.Trial(self.study, found._trial_id) if found.state == TrialState.RUNNING else None

    def trials(self) -> list[Trial]:
        """All trials so far, by number."""
        with self._alone():
            return [self._read(trial) for trial in self._all()]

    def _read(self, trial: FrozenTrial) -> Trial:
        told = trial.user_attrs
        status, distances = STATES.get(trial.state, "running"), told.get("distances", {})
        beyond = [bound.violation(distances) for bound in self.plan.bounds if status == "completed"]
        return Trial(
            number=trial.number,
            overrides=tuple(told.get("overrides", ())),
            status=status,
            distances=distances,
            violation=sum(max(0.0, each) for each in beyond),
            folder=self.folder / told["folder"] if "folder" in told else None,
            error=told.get("error", ""),
        )


def _question(plan: Plan) -> dict[str, Any]:
    """What a study is about: two plans that differ in it cannot share one. The settings only explain a fingerprint."""
    first = plan.probes[0]
    search = {
        "minimise": plan.minimise,
        "bounds": [str(bound) for bound in plan.bounds],
        "search seed": plan.seed,
        "startup_trials": plan.startup_trials,
        "metrics_version": METRICS_VERSION,
    }
    space = {f"space.{key}": str(dimension) for key, dimension in plan.space.items()}
    return {
        "search": search | space,
        "fingerprint": runs.identify(first).fingerprint,
        "settings": flat(runs.picture_settings(first)),
    }
