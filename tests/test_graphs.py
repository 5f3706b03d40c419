"""Evaluations recorded and done again in the same memory, as a CUDA graph does: the same runs, to the bit.

Here PyTorch's operators are recorded, and done again on the CPU, in place of a GPU's kernels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from tiny_transfer import run
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import nst_lab
from nst_lab.app import command
from nst_lab.config.statistics import STATISTICS
from nst_lab.errors import ConfigError
from nst_lab.optimisation.graphs import Repeated
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import load_inputs

aten = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.is_nonzero.default, aten.nonzero.default, aten.equal.default}
SETTINGS = {
    "from a content": [],
    "from noise": ["init=noise"],
    "another picture tried first": ["optimizer.warm_start=colors", "size=48"],
    "units to revive": ["optimizer.revive=4"],
    "scales": ["scales=[{factor: 0.5, share: 0.5}, {factor: 1, share: 0.5}]", "size=48"],
    "bounds": ["optimizer.bounds=project"],
    "clipped": ["optimizer.bounds=straight_through"],
    "an average": ["optimizer=adam", "optimizer.averaging=0.9"],
    "torch's L-BFGS": ["optimizer=lbfgs_torch", "init=noise"],
    "coefficients": ["parametrisation=fourier"],
    "grey": ["color=luminance"],
    "total variation": ["loss.tv_weight=1e3", "loss.tv_form=l1"],
    "max pooling, reflected": ["model.pooling=max", "model.padding=reflect"],
    "bf16": ["precision=bf16"],
    "shares": ["style.blend=loss_share"],
    "convergence": ["optimizer.tolerance=0.9", "optimizer.window=5"],
    "no finite loss": ["optimizer=adam", "optimizer.learning_rate=1e30"],
} | {name: [f"loss.statistic={name}"] for name, traits in STATISTICS.items() if traits.recordable}


class Tape(TorchDispatchMode):
    """Records operators with their very tensors; none may tell the host what is in a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], list[Any]]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        assert operator not in READS, f"{operator} waits for the device"
        for each in tree_leaves((args, kwargs)):
            if isinstance(each, torch.Tensor):
                memory = each.untyped_storage()
                if memory.data_ptr() not in self.before:
                    self.before[memory.data_ptr()] = memory, memory.clone()
        made = operator(*args, **(kwargs or {}))
        self.calls.append((operator, args, kwargs or {}, tree_leaves(made)))
        return made

    def undo(self) -> None:
        """A GPU that records does nothing yet."""
        for memory, before in self.before.values():
            memory.copy_(before)

    def again(self) -> None:
        """Do the same again, the results into the same memory."""
        for operator, args, kwargs, before in self.calls:
            for old, new in zip(before, tree_leaves(operator(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record(compute: Callable[[], Any], _device: torch.device) -> Callable[[], Any]:
    with Tape() as tape:
        made = compute()
    tape.undo()

    def replay() -> Any:
        with torch.no_grad():
            tape.again()
        return made

    return replay


@pytest.fixture
def recording(monkeypatch) -> None:
    """Takes the CPU for a device whose work can be recorded."""
    monkeypatch.setattr("nst_lab.optimisation.graphs.record", record)
    monkeypatch.setattr("nst_lab.optimisation.optimize.RECORDING", {"cpu"})
    # As on a GPU; NumPy's results are no operators.
    monkeypatch.setattr("nst_lab.losses.statistics.transport.order_of", lambda values: values.argsort(-1))


@pytest.mark.parametrize("overrides", SETTINGS.values(), ids=SETTINGS)
def test_a_run_is_the_same(overrides, recording, passes):
    usual, needed = run(*overrides), len(passes)
    recorded = run(*overrides, "runner.graphs=true")
    assert recorded.history == pytest.approx(usual.history, rel=0, abs=0, nan_ok=True)
    assert torch.equal(recorded.image, usual.image)
    assert (recorded.losses, recorded.stop) == (usual.losses, usual.stop)
    # Of every kind of evaluation the first is made and the second recorded: as they are, reviving, of another size.
    assert len(passes) - needed <= 4 < needed or usual.stop.reason == "not_finite"


def test_a_picture_given_stays_as_it_is(recording):
    config = nst_lab.compose([*TINY, "init=noise", "optimizer.evaluations=6", "runner.graphs=true"])
    synthesis = Synthesis(load_inputs(config), config)
    kept: list[tuple[Step, torch.Tensor]] = []
    for step in synthesis:
        kept.append((step, step.image.clone()))
    for step, image in kept:
        assert torch.equal(step.image, image)
    assert len({image.mean().item() for _, image in kept}) == 6


def test_masks_count_as_ever(recording):
    masked = ["content=rocket", "style.images=[starry_strokes]", "style.masks=[rocket_sky]", "style.guidance=inside"]
    runs = []
    for graphs in ("false", "true"):
        config = nst_lab.compose([*TINY, *masked, "optimizer.evaluations=6", f"runner.graphs={graphs}"])
        runs.append([step.losses.total.item() for step in Synthesis(load_inputs(config), config)])
    assert runs[0] == runs[1]


def test_cells_of_a_batch_that_end_one_by_one_are_the_same(here, recording, passes):
    budgets = ["-m", *TINY, "init=noise", "optimizer.evaluations=4,6,9", "runner.batch=2"]
    assert command([*budgets, "out_dir=usual"]) == 0
    assert sum(passes) == 19
    passes.clear()
    assert command([*budgets, "runner.graphs=true", "out_dir=recorded"]) == 0
    assert sum(passes) < 19
    pictures = [sorted(path.read_bytes() for path in Path(out).rglob("result.png")) for out in ("usual", "recorded")]
    assert len(pictures[0]) == 3
    assert pictures[0] == pictures[1]


def test_a_run_goes_on_from_a_state_taken_meanwhile(recording):
    config = nst_lab.compose([*TINY, "optimizer.evaluations=10", "optimizer.revive=2", "runner.graphs=true"])
    whole, resumed = (Synthesis(load_inputs(config), config) for _ in range(2))
    for _ in range(5):
        whole.step()
    resumed.load_state_dict(whole.state_dict())
    for step, same in zip(whole, resumed, strict=True):
        assert same.losses.total.item() == step.losses.total.item()
        assert torch.equal(same.image, step.image)


def test_strips_are_not_recorded(recording, passes):
    assert run("runner.graphs=true", "runner.strips=true").history == run("runner.strips=true").history
    optimisation = next(iter_optimisations("runner.graphs=true", "runner.strips=true"))
    assert not optimisation.recordable


def iter_optimisations(*overrides: str):
    config = nst_lab.compose([*TINY, *overrides])
    yield Synthesis(load_inputs(config), config).proceed()


def test_another_key_begins_anew(recording):
    x = torch.ones(3)
    made = []

    def compute() -> torch.Tensor:
        made.append(True)
        return x * 2

    repeated = Repeated[torch.Tensor](x.device)
    for count, (key, value) in enumerate([("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("b", 6), ("a", 7)]):
        x.fill_(value)
        assert repeated(key, compute).tolist() == [2 * value] * 3, count
    assert len(made) == 5


def test_where_there_is_no_memory_for_a_recording_it_goes_on_as_it_comes(recording, passes, monkeypatch):
    usual = run("init=noise")
    passes.clear()
    monkeypatch.setattr("nst_lab.optimisation.graphs.record", lambda compute, device: None)
    assert run("init=noise", "runner.graphs=true").history == usual.history
    assert len(passes) == 9


def test_a_statistic_that_waits_is_refused():
    with pytest.raises(ConfigError, match=r"runner.graphs=true: loss.statistic=w2 waits for the device"):
        nst_lab.compose(["runner.graphs=true", "loss.statistic=w2"])
    nst_lab.compose(["runner.graphs=true", "loss.statistic=w2", "loss.style_weight=0"])
