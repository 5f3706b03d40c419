"""Cells evaluated together: the same curves and pictures as one by one, each with its own optimiser, end and folder."""

import json
import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import TINY

import nst_lab
from nst_lab.app import command
from nst_lab.losses.objective import Objective
from nst_lab.optimisation import optimize
from nst_lab.optimisation.optimize import Optimisation, step_together
from nst_lab.optimisation.synthesis import Synthesis, own_network, step_syntheses
from nst_lab.running import runs
from nst_lab.running.inputs import load_inputs
from nst_lab.running.recorder import Recorder
from nst_lab.running.together import drive
from nst_lab.sweeps.batching import alike

PAIR = ["size=48", "init=noise", "seed=1", "optimizer.tolerance=0", "log.distances=false", "log.images=0"]


def by_settings(out: str) -> dict[str, tuple[dict, list[dict]]]:
    """Manifest and evaluations of every run, by what was swept."""
    found = {}
    for path in Path(out).glob("*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        lines = (path.parent / "metrics.jsonl").read_text().splitlines()
        found[" ".join(manifest["overrides"]).replace(f"out_dir={out}", "")] = manifest, [*map(json.loads, lines)]
    return found


def test_each_picture_of_a_batch_has_its_own_losses_and_gradients_in_float64():
    settings = ["loss.content_weight=1e3"], ["loss.tv_weight=7"], ["loss.statistic=bn"], ["optimizer=adam"]
    configs = [nst_lab.compose([*TINY, "optimizer.revive=0", *more]) for more in settings]
    network = own_network(configs[0]).double().requires_grad_(False)
    pictures = torch.rand(4, 3, 1, 3, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def optimisations(chosen: list[int]) -> list[Optimisation]:
        made = []
        for config, (content, style, start) in ((configs[index], pictures[index]) for index in chosen):
            objective = Objective(network, content, {"starry_strokes": style}, config)
            made.append(Optimisation(objective, start, config.optimizer, 9))
        return made

    for chosen in ([0, 1, 3], [0, 1, 2, 3]):  # measured together, and each by its own statistic
        together, alone = optimisations(chosen), optimisations(chosen)
        for _ in range(5):
            for step, one in zip(step_together(together), alone, strict=True):
                own = one.step()
                assert step.losses.to_floats()["terms"] == pytest.approx(own.losses.to_floats()["terms"], rel=1e-9)
                assert step.gradient_norm.item() == pytest.approx(own.gradient_norm.item(), rel=1e-9)
                torch.testing.assert_close(step.image, own.image, rtol=0, atol=1e-9)


SWEEPS = {
    "weights": ["loss.content_weight=1e6,1e7,1e8"],
    "seeds": ["seed=1,2,3"],
    "starts": ["init=noise,content,style"],
    "pictures": ["content.image=chelsea,rocket", "style.images=[mosaic],[ink_wash]", "size_rule=exact"],
    "optimisers": ["optimizer.name=lbfgs,lbfgs_torch,adam", "optimizer.revive=0", "init.noise_std=0.25"],
    "scales": ["loss.content_weight=1e6,1e7", "scales=[{factor: 0.5, share: 0.5}, {factor: 1, share: 0.5}]"],
}


CASES = [pytest.param(SWEEPS[name], id=name, marks=[] if name == "scales" else pytest.mark.slow) for name in SWEEPS]


@pytest.mark.parametrize("swept", CASES)
def test_a_batch_makes_what_its_cells_make_alone(swept, here):
    budget = ["optimizer.evaluations=20"]
    budget += (text for text in PAIR if not any(key.startswith(text.split("=")[0] + "=") for key in swept))
    assert command(["-m", *budget, *swept, "out_dir=alone"]) == 0
    assert command(["-m", *budget, *swept, "out_dir=together", "runner.batch=4"]) == 0
    alone, together = by_settings("alone"), by_settings("together")
    together = {key.replace(" runner.batch=4", ""): value for key, value in together.items()}
    assert len(alone) > 1
    assert alone.keys() == together.keys()
    for key, (manifest, lines) in alone.items():
        other, others = together[key]
        assert other["fingerprint"] == manifest["fingerprint"]
        assert other["status"] == "completed"
        assert [line["evaluation"] for line in others] == list(range(1, 21))
        for line, same in zip(lines, others, strict=True):  # L-BFGS would soon make more of any difference
            assert same["total"] == pytest.approx(line["total"], rel=1e-6)


def test_each_has_its_own_end_and_one_that_ends_makes_room(here, monkeypatch):
    sizes, real = [], optimize.step_together
    monkeypatch.setattr(
        "nst_lab.optimisation.synthesis.step_together", lambda group: (sizes.append(len(group)), real(group))[1]
    )
    budgets = "optimizer.evaluations=2,3,5,7"
    assert command(["-m", *TINY, "init=noise", budgets, "runner.batch=2"]) == 0
    made = by_settings("outputs").values()
    assert sorted(len(lines) for _, lines in made) == [2, 3, 5, 7]
    assert all(manifest["stop_reason"] == "budget" for manifest, _ in made)
    assert max(sizes) == 2
    assert sum(sizes) == 17
    assert sizes.count(2) == 7  # 2 beside 3, 3 beside 5, 5 beside 7, and the rest of 7 alone


def test_a_cell_that_fails_takes_none_with_it(here, capsys):
    rates = ["optimizer.name=adam", "optimizer.learning_rate=0.02,1e30", "optimizer.evaluations=4"]
    assert command(["-m", *TINY, "init=noise", *rates, "seed=1,2", "runner.batch=4"]) == 1
    ends = [(manifest["status"], manifest["stop_reason"]) for manifest, _ in by_settings("outputs").values()]
    assert sorted(ends) == [("completed", "budget")] * 2 + [("failed", "not_finite")] * 2
    errors = [line for line in capsys.readouterr().err.splitlines() if ": failed: " in line]
    assert len(errors) == 2
    assert all("at evaluation 2" in line for line in errors)


def test_an_error_of_the_evaluation_is_that_of_all_in_it_and_the_sweep_goes_on(here, monkeypatch):
    calls, real = [], optimize._evaluate

    def breaks(group):
        calls.append(len(group))
        if len(calls) == 3:
            raise RuntimeError("a kernel broke")
        real(group)

    monkeypatch.setattr(optimize, "_evaluate", breaks)
    assert command(["-m", *TINY, "init=noise", "seed=1,2,3", "runner.batch=2", "optimizer.evaluations=4"]) == 1
    made = by_settings("outputs")
    errors = [manifest.get("error") for manifest, _ in made.values()]
    assert errors.count("a kernel broke") == 2
    assert errors.count(None) == 1


def test_an_interruption_lets_all_write_checkpoints_and_the_same_command_goes_on(here, monkeypatch):
    cells = ["-m", *TINY, "init=noise", "seed=1,2,3", "runner.batch=3", "optimizer.evaluations=9"]
    assert command([*cells, "out_dir=whole"]) == 0
    record = Recorder.record

    def interrupts(self, step):
        record(self, step)
        if step.evaluation == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", interrupts)
        assert command([*cells, "out_dir=cut"]) == 130
    for manifest, lines in by_settings("cut").values():
        assert (manifest["status"], manifest["evaluations"], len(lines)) == ("interrupted", 4, 4)
    assert len(list(Path("cut").glob("*/*/checkpoint.pt"))) == 3
    assert command([*cells, "out_dir=cut"]) == 0
    whole, cut = by_settings("whole"), by_settings("cut")
    for key, (manifest, lines) in whole.items():
        resumed, others = cut[key]
        assert resumed["attempts"][1]["after_evaluation"] == 4
        assert [line["total"] for line in others] == [line["total"] for line in lines]
        pictures = [next(Path(out).glob(f"*/*{manifest['fingerprint'][:12]}")) for out in ("whole", "cut")]
        assert len({(folder / runs.RESULT).read_bytes()[:-500] for folder in pictures}) <= 2
        assert len({nst_lab.load_image(folder / runs.RESULT).sum().item() for folder in pictures}) == 1


def test_cells_are_alike_only_where_network_layers_size_and_schedule_are():
    common = [*TINY, "runner.batch=8"]
    different = [
        [], ["size=48"], ["model.pooling=max"], ["layers.style=[relu1_2]"], ["precision=bf16"], ["threads=1"],
        ["scales=[{factor: 0.5, share: 1}, {factor: 1, share: 1}]"], ["runner.strips=true"], ["runner.batch=1"],
        ["runner.winograd=false"], ["content=camera"],
        ["optimizer=adam"],  # which revives nothing, and so needs fewer layers
    ]  # fmt: skip
    same = [["seed=3"], ["init=noise"], ["content=coffee"], ["optimizer.evaluations=99"], ["loss.content_weight=3"]]
    configs = [nst_lab.compose([*common, *more]) for more in (*different, *same)]
    groups = alike(configs)
    assert [0, *range(len(different), len(configs))] in groups
    assert [len(group) for group in groups].count(1) == len(different) - 1
    assert sorted(index for group in groups for index in group) == list(range(len(configs)))


def test_where_the_device_runs_out_of_memory_it_goes_one_by_one_and_strip_by_strip(here, monkeypatch):
    """No CPU raises this error, so it is raised where a batch, or a whole picture, is evaluated."""
    tried, real = [], optimize._evaluate

    def needs_little(group):
        tried.append((len(group), group[0].objective.in_strips))
        if tried[-1] != (1, True):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has less.")
        real(group)

    monkeypatch.setattr(optimize, "_evaluate", needs_little)
    assert command(["-m", *TINY, "init=noise", "seed=1,2", "runner.batch=2", "optimizer.evaluations=2"]) == 0
    assert tried == [(2, False), (1, True), (1, True), (1, True), (1, True)]


def test_optimisers_that_the_device_cannot_join_step_one_by_one(here, monkeypatch):
    cells = ["-m", *TINY, "init=noise", "seed=1,2", "runner.batch=2", "optimizer.evaluations=4"]
    assert command([*cells, "out_dir=joined"]) == 0

    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has less.")

    monkeypatch.setattr(optimize, "step_as_batch", too_much)
    assert command([*cells, "out_dir=apart"]) == 0
    joined, apart = by_settings("joined"), by_settings("apart")
    for key, (_, lines) in joined.items():
        assert [line["total"] for line in apart[key][1]] == [line["total"] for line in lines]


def test_where_even_that_is_too_much_one_line_says_what_to_change(here, monkeypatch, capsys):
    def needs_too_much(group):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has less.")

    monkeypatch.setattr(optimize, "_evaluate", needs_too_much)
    assert command([*TINY]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert told == [
        "nst-lab: failed: not enough memory on the device, even strip by strip (Tried to allocate 2.00 GiB); choose a "
        "smaller size, runner.batch or optimizer.history"
    ]


def test_drive_keeps_the_order_and_raises_the_first_error_after_the_others_have_ended():
    ended = []

    def coroutine(name, steps):
        for _ in range(steps):
            yield Synthesis(load_inputs(config), config, network)
        ended.append(name)
        if name == "b":
            raise ValueError(name)
        return name

    config = nst_lab.compose(TINY)
    network = own_network(config)
    assert drive([coroutine("a", 2), coroutine("c", 1), coroutine("d", 0)], batch=2) == ["a", "c", "d"]
    ended.clear()
    with pytest.raises(ValueError, match="b"):
        drive([coroutine("b", 1), coroutine("a", 3), coroutine("c", 1)], batch=2)
    assert sorted(ended) == ["a", "b", "c"]
    assert all(one != other for one, other in pairwise(ended))


def test_cells_whose_optimisers_are_alike_step_as_one():
    settings = [], ["loss.content_weight=1e3"], ["optimizer.history=3"], ["parametrisation=fourier"], ["seed=1"]
    configs = [nst_lab.compose([*TINY, *more]) for more in settings]
    network = own_network(configs[0]).requires_grad_(False)
    syntheses = [Synthesis(load_inputs(config), config, network) for config in configs]
    for _ in range(2):
        step_syntheses(syntheses)
    first, *others = (each.optimisation.optimizer.whole for each in syntheses)
    assert first is not None
    assert [each is first for each in others] == [True, False, False, True]
    assert [each is None for each in others] == [False, True, True, False]  # those go alone
