"""Where a search looks next: closed forms in place of runs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import log10
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from searches import LONG

from nst_lab.search.plan import Plan, read_plan
from nst_lab.search.proposal import propose


def proposals(plan: Plan, count: int, outcome: Callable[[Mapping[str, Any]], dict | None]) -> list[FrozenTrial]:
    """The trials of a plan whose distances are a function of the values; None stands for a failure."""
    trials: list[FrozenTrial] = []
    distributions = {key: dimension.distribution() for key, dimension in plan.space.items()}
    while len(trials) < count:
        params = propose(plan, trials, len(trials))
        distances = outcome(params)
        if distances is None:
            trial = create_trial(state=TrialState.FAIL, params=params, distributions=distributions)
        else:
            told = {"value": distances[plan.minimise], "user_attrs": {"distances": distances}}
            trial = create_trial(params=params, distributions=distributions, **told)
        trial.number = len(trials)
        trials.append(trial)
    return trials


@pytest.fixture
def plan() -> Iterator[Plan]:
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield read_plan(LONG)
    optuna.logging.set_verbosity(told)


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_a_bounded_closed_form_is_found_where_chance_does_not_find_it(plan, seed):
    """Style rises and content falls with the content weight, as for real; the optimum lies at the bound, at 10^8."""

    def outcome(params):
        power = log10(params["loss.content_weight"]) / 10
        return {"style": power + (0.1 if params["style"] == "mosaic" else 0), "content": 1.6 - power}

    def excess(plan):
        trials = [trial for trial in proposals(plan, 16, outcome) if trial.user_attrs["distances"]["content"] <= 0.8]
        return min(trial.value for trial in trials) - 0.8

    assert 0 <= excess(replace(plan, seed=seed, startup_trials=5)) < 0.003
    assert excess(replace(plan, seed=seed, startup_trials=16)) > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_what_fails_is_not_proposed_again_and_again(plan, seed):
    """One of two styles always fails; and, in the second case, content weights below 10^7, where the optimum lies."""

    def one_style(params):
        power = log10(params["loss.content_weight"]) / 10
        return None if params["style"] == "mosaic" else {"style": abs(power - 0.7), "content": 0.0}

    def and_below(params):
        power = log10(params["loss.content_weight"]) / 10
        return None if params["style"] == "mosaic" or power < 0.7 else {"style": power - 0.7, "content": 0.0}

    trials = proposals(replace(plan, seed=seed), 15, one_style)
    assert [trial.number for trial in trials[5:] if trial.state == TrialState.FAIL] == []
    assert min(trial.value for trial in trials if trial.value is not None) < 0.003
    trials = proposals(replace(plan, seed=seed), 25, and_below)
    assert min(trial.value for trial in trials if trial.value is not None) < 0.015


def test_a_search_whose_runs_all_fail_goes_on_at_random(plan):
    trials = proposals(plan, 12, lambda params: None)
    assert len({trial.params["loss.content_weight"] for trial in trials}) == 12
    assert {trial.params["style"] for trial in trials} == {"mosaic", "ink_wash"}


def test_a_running_trial_of_another_process_is_not_proposed_again(plan):
    def outcome(params):
        return {"style": log10(params["loss.content_weight"]), "content": 0.5}

    trials = proposals(plan, 6, outcome)
    first = propose(plan, trials, 6)
    running = create_trial(state=TrialState.RUNNING, params=first, distributions=trials[0].distributions)
    second = propose(plan, [*trials, running], 7)
    assert first != second
