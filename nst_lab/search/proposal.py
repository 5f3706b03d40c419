"""Where a search looks next, given what its trials have shown so far."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import numpy
import optuna
from optuna.samplers import GPSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from nst_lab.search.plan import Plan

FAILURE = "failure"  # the constraint that failed trials break


def propose(plan: Plan, trials: Sequence[FrozenTrial], number: int) -> dict[str, Any]:
    """The values of the space for trial `number`: a pure function of the plan, its seed, and the trials before.

    At random until `plan.startup_trials` are completed. Then Gaussian processes of the distance and of every bound are
    fitted (Optuna's `GPSampler`), and the values maximise the expected improvement of the distance times the
    probability that the bounds hold (Gardner et al. 2014, Bayesian Optimization with Inequality Constraints). That a
    run fails is one more constraint, learned from those that did: what fails is not proposed again and again. Values
    that were tried are not tried again either, but random ones in their place.

    Args:
        plan: the search.
        trials: completed, failed and running ones of its study.
        number: the trial's number in the study.
    """
    seed = int(numpy.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
    space = {key: dimension.distribution() for key, dimension in plan.space.items()}
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(completed) >= plan.startup_trials:
        study = optuna.create_study(sampler=GPSampler(seed=seed, n_startup_trials=1))
        study.add_trials(_lesson(plan, trials, completed))
        values = study.ask(space).params
        if values not in [trial.params for trial in trials]:  # the same run again would show nothing new
            return values
    return optuna.create_study(sampler=RandomSampler(seed=seed)).ask(space).params


def _lesson(plan: Plan, trials: Sequence[FrozenTrial], completed: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
    """The trials as the sampler is to see them, the constraints of all in the same order.

    A failed one is average in all that it could not show; of a running one, only where it is is known.
    """
    values = {trial.number: _values(plan, trial.user_attrs["distances"]) for trial in completed}
    average = [fmean(column) for column in zip(*values.values(), strict=True)]
    may_fail = any(trial.state == TrialState.FAIL for trial in trials)
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            yield create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
            continue
        value, *violations = values.get(trial.number, average)
        constraints = dict(zip(map(str, plan.bounds), violations, strict=True))
        if may_fail:
            constraints[FAILURE] = 1.0 if trial.state == TrialState.FAIL else -1.0
        yield create_trial(value=value, params=trial.params, distributions=trial.distributions, constraints=constraints)


def _values(plan: Plan, distances: dict[str, float]) -> list[float]:
    """The minimised distance of a completed trial, and how far it is beyond each bound."""
    return [distances[plan.minimise], *(bound.violation(distances) for bound in plan.bounds)]
