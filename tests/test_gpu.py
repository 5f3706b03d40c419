"""The same results on CUDA. Skipped where there is none."""

import pytest
import torch

import nst_lab
from nst_lab.app import command
from nst_lab.config.statistics import STATISTICS
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import load_inputs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

BASE = ["size=128", "optimizer.evaluations=3", "init=noise", "loss.tv_weight=1e6"]


def run(*overrides):
    pictures = [nst_lab.load_image(name) for name in ("chelsea", "starry_strokes")]
    return nst_lab.transfer(pictures[0], pictures[1:], nst_lab.compose([*BASE, *overrides]))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_first_evaluation_agrees_with_the_cpu_term_by_term(statistic):
    overrides = ("optimizer.evaluations=1", f"loss.statistic={statistic}")
    cpu, cuda = (run(f"device={device}", *overrides).losses["terms"] for device in ("cpu", "cuda"))
    assert cuda == pytest.approx(cpu, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs_torch", "adam", "sgd"])
def test_every_optimiser_runs_and_ends_on_the_cpu(optimizer):
    result = run("device=cuda", f"optimizer={optimizer}")
    assert result.image.device.type == "cpu"
    assert result.evaluations == 3


SPACES = {
    "luminance": ["color=luminance"],
    "matched colours": ["color=match"],
    "fourier": ["parametrisation=fourier"],
    "bounds": ["optimizer.bounds=project", "optimizer.bounds_range=style"],
}


@pytest.mark.parametrize("overrides", SPACES.values(), ids=SPACES)
def test_colours_coefficients_and_bounds_are_the_cpus(overrides):
    cpu, cuda = (run(f"device={device}", "optimizer.evaluations=2", *overrides) for device in ("cpu", "cuda"))
    torch.testing.assert_close(cuda.image, cpu.image, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 0.02), ("bf16", 0.1)])
def test_lower_precision_stays_near(precision, tolerance):
    exact, lower = (run("device=cuda", "optimizer.evaluations=1", f"precision={p}") for p in ("fp32", precision))
    assert lower.losses["total"] == pytest.approx(exact.losses["total"], rel=tolerance)


def test_auto_takes_cuda():
    from nst_lab.optimisation.synthesis import resolve_device

    assert resolve_device("auto").type == "cuda"


def test_masks_and_mixed_styles_agree_with_the_cpu():
    pictures = [nst_lab.load_image(name) for name in ("rocket", "starry_strokes", "mosaic")]
    sky = nst_lab.load_mask("rocket_sky")
    one = ["optimizer.evaluations=1", "style.fine_evaluations=2", "style.guidance=inside", "layers=style_to_2"]
    terms = {}
    for device in ("cpu", "cuda"):
        config = nst_lab.compose([*BASE, *one, f"device={device}"])
        masked = {"masks": [sky], "guides": [sky], "content_mask": sky, "fine": pictures[2:]}
        terms[device] = nst_lab.transfer(pictures[0], pictures[1:2], config, **masked).losses["terms"]
    assert terms["cuda"] == pytest.approx(terms["cpu"], rel=1e-2)


def test_a_batch_makes_what_its_cells_make_alone(here):
    from test_batches import by_settings

    cells = ["-m", *BASE, "device=cuda", "loss.content_weight=1e6,1e7,1e8", "optimizer.evaluations=10"]
    assert command([*cells, "out_dir=alone"]) == 0
    assert command([*cells, "out_dir=together", "runner.batch=3"]) == 0
    together = {key.replace(" runner.batch=3", ""): lines for key, (_, lines) in by_settings("together").items()}
    for key, (_, lines) in by_settings("alone").items():
        totals = [line["total"] for line in together[key]]
        assert totals == pytest.approx([line["total"] for line in lines], rel=1e-4)


def test_a_step_waits_for_the_device_only_where_it_reads_the_numbers():
    config = nst_lab.compose([*BASE, "device=cuda", "optimizer.evaluations=9"])
    synthesis = Synthesis(load_inputs(config), config)
    first = [synthesis.step() for _ in range(3)]
    torch.cuda.set_sync_debug_mode("error")  # of whatever waits, but not of events
    try:
        later = [synthesis.step() for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [step.evaluation for step in first + later] == [1, 2, 3, 4, 5, 6]


def test_evaluating_ahead_changes_nothing(monkeypatch):
    ahead = run("device=cuda", "optimizer.evaluations=8")
    monkeypatch.setattr("nst_lab.optimisation.optimize.ASYNCHRONOUS", set())
    assert ahead.history == pytest.approx(run("device=cuda", "optimizer.evaluations=8").history, rel=1e-4)


@pytest.mark.parametrize("statistic", [name for name, traits in STATISTICS.items() if traits.recordable])
def test_an_evaluation_as_a_graph_is_the_same(statistic):
    overrides = "device=cuda", f"loss.statistic={statistic}", "optimizer.revive=3", "optimizer.evaluations=8"
    usual, recorded = (run(*overrides, f"runner.graphs={graphs}") for graphs in ("false", "true"))
    assert recorded.history == pytest.approx(usual.history, rel=1e-3)


def test_a_batch_that_ends_one_by_one_is_the_same_as_graphs(here):
    from test_batches import by_settings

    budgets = ["-m", *BASE[:1], *BASE[2:], "device=cuda", "optimizer.evaluations=4,6,9", "runner.batch=2"]
    assert command([*budgets, "out_dir=usual"]) == 0
    assert command([*budgets, "runner.graphs=true", "out_dir=graphs"]) == 0
    usual, graphs = by_settings("usual").values(), by_settings("graphs").values()
    ends = [sorted(lines[-1]["total"] for _, lines in made) for made in (usual, graphs)]
    assert ends[1] == pytest.approx(ends[0], rel=1e-3)


def test_strips_are_the_whole_picture():
    whole, strips = (run("device=cuda", "size=512", f"runner.strips={each}") for each in ("false", "true"))
    assert strips.losses["terms"] == pytest.approx(whole.losses["terms"], rel=1e-4)


def test_where_memory_is_short_the_run_goes_on_strip_by_strip():
    free, _ = torch.cuda.mem_get_info()
    large = ["device=cuda", "size=1024", "optimizer.evaluations=2"]
    torch.cuda.reset_peak_memory_stats()
    usual = run(*large)
    peak = torch.cuda.max_memory_allocated()
    taken = torch.empty(free - int(0.85 * peak), dtype=torch.uint8, device="cuda")
    saved = run(*large)
    del taken
    assert saved.losses["terms"] == pytest.approx(usual.losses["terms"], rel=1e-3)
