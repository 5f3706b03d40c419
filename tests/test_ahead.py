"""An asynchronous device evaluates the next picture while the host reads of the last one: the same runs, to the bit.

CUDA is one; here the CPU is taken for one, so that the same code runs.
"""

from pathlib import Path

import pytest
import torch
from conftest import TINY
from tiny_transfer import run

import nst_lab
from nst_lab.app import command
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import load_inputs

SETTINGS = {
    "from a content": [],
    "from noise": ["init=noise"],
    "another picture tried first": ["optimizer.warm_start=colors", "size=48"],
    "steps taken back": ["init=noise", "optimizer.learning_rate=4"],
    "scales": ["scales=[{factor: 0.5, share: 0.5}, {factor: 1, share: 0.5}]", "size=48"],
    "bounds": ["optimizer.bounds=project"],
    "an average": ["optimizer=adam", "optimizer.averaging=0.9"],
    "torch's L-BFGS": ["optimizer=lbfgs_torch", "init=noise"],
    "convergence": ["optimizer.tolerance=0.9", "optimizer.window=3"],
    "no finite loss": ["optimizer=adam", "optimizer.learning_rate=1e30"],
    "coefficients": ["parametrisation=fourier"],
}


@pytest.fixture
def asynchronous(monkeypatch):
    """Takes the CPU for an asynchronous device from now on."""
    return lambda: monkeypatch.setattr("nst_lab.optimisation.optimize.ASYNCHRONOUS", {"cpu"})


@pytest.mark.parametrize("overrides", SETTINGS.values(), ids=SETTINGS)
def test_a_run_is_the_same(overrides, asynchronous, passes):
    usual, needed = run(*overrides), len(passes)
    asynchronous()
    ahead = run(*overrides)
    assert ahead.history == pytest.approx(usual.history, rel=0, abs=0, nan_ok=True)
    assert torch.equal(ahead.image, usual.image)
    assert (ahead.losses, ahead.stop) == (usual.losses, usual.stop)
    assert needed == usual.evaluations
    in_vain = usual.stop.reason != "budget"  # the evaluation after the last one
    assert len(passes) - needed == usual.evaluations + in_vain


def test_cells_of_a_batch_that_end_one_by_one_are_the_same(here, asynchronous, passes):
    budgets = ["-m", *TINY, "init=noise", "optimizer.evaluations=2,3,5,7"]
    assert command([*budgets, "runner.batch=2", "out_dir=usual"]) == 0
    usual = passes.copy()
    passes.clear()
    asynchronous()
    assert command([*budgets, "runner.batch=2", "out_dir=ahead"]) == 0
    assert sum(passes) == sum(usual) == 17  # no evaluation is made twice
    pictures = [sorted(path.read_bytes() for path in Path(out).rglob("result.png")) for out in ("usual", "ahead")]
    assert len(pictures[0]) == 4
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("evaluation", [1, 2, 4, 6])
def test_a_run_goes_on_from_a_state_taken_meanwhile(evaluation, asynchronous):
    asynchronous()
    config = nst_lab.compose([*TINY, "optimizer.evaluations=8", "optimizer.revive=2"])
    whole, resumed = (Synthesis(load_inputs(config), config) for _ in range(2))
    made = [whole.step() for _ in range(evaluation)]
    resumed.load_state_dict(whole.state_dict())
    for step, same in zip(whole, resumed, strict=True):
        made.append(step)
        assert same.losses.total.item() == step.losses.total.item()
        assert torch.equal(same.image, step.image)
    assert len(made) == 8
