"""The benchmark prints and saves its figures."""

import json
import subprocess
import sys

import pytest
from conftest import CHECKOUT

from nst_lab.config.statistics import STATISTICS


@pytest.mark.slow
def test_the_benchmark_writes_a_table_and_its_figures(here):
    command = [sys.executable, CHECKOUT / "scripts/benchmark.py", "--sizes", "48", "--rounds", "2", "--out", "figures"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (here / "figures.md").read_text() == done.stdout
    figures = json.loads((here / "figures.json").read_text())
    [row] = figures["rows"]
    assert row["size"] == 48
    assert row["evaluation_over_bare"] == row["evaluation_seconds"] / row["bare_network_seconds"]
    assert 0 < row["logging_share"] < 1
    assert figures["memory"][0]["size"] == 48
    [memory] = figures["memory"]
    assert memory["expected_mib"] == pytest.approx(memory["peak_memory_mib"], rel=0.15)
    assert 0 < figures["startup"]["startup_seconds"] < 60
    assert "| 48 px |" in done.stdout
    assert [row["statistic"] for row in figures["statistics"]] == list(STATISTICS)
    gram = figures["statistics"][0]
    for row in figures["statistics"]:
        assert row["over_gram"] == row["evaluation_seconds"] / gram["evaluation_seconds"] > 0
        assert f"| {row['statistic']} |" in done.stdout


@pytest.mark.slow
def test_batches_kernels_precisions_and_a_figure_are_measured(here):
    small = ["--sizes", "48", "--rounds", "2", "--evaluations", "3", "--precisions", "fp32", "bf16", "--out", "figures"]
    parts = ["batches", "kernels", "precision", "figure", *small]
    done = subprocess.run([sys.executable, CHECKOUT / "scripts/benchmark.py", *parts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads((here / "figures.json").read_text())
    alone, *together = figures["batches"]
    assert [row["batch"] for row in figures["batches"]] == [1, 2, 4, 8, 16]
    for row in together:
        assert row["times_faster"] == pytest.approx(alone["seconds_per_picture"] / row["seconds_per_picture"])
    [kernels] = figures["kernels"]
    assert 0.2 < kernels["share"] == kernels["convolution_seconds"] / kernels["step_seconds"] < 1.5
    exact, lower = figures["precision"]
    assert exact["first_loss_error"] == 0 < lower["first_loss_error"] < 0.05
    assert lower["objective"] == pytest.approx(exact["objective"], rel=0.1)
    assert figures["figure"][0]["seconds"] > 0


@pytest.mark.slow
def test_the_plain_recipe_the_peers_and_an_ablation_are_measured_too(here):
    small = ["--sizes", "48", "--rounds", "1", "--pairs", "1", "--evaluations", "8", "--cells", "3", "--calls", "2"]
    parts = ["quality", "peers", "ablation", *small, "--precisions", "fp32", "bf16", "--out", "figures"]
    done = subprocess.run([sys.executable, CHECKOUT / "scripts/benchmark.py", *parts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads((here / "figures.json").read_text())
    assert [row["start"] for row in figures["quality"]] == ["content", "content", "noise", "noise"]
    for row in figures["quality"]:
        assert row["plain_evaluations"] == 8
        assert row["reached"] == (row["best"] <= row["objective"]) == (row["times_faster"] is not None)
    for middle, precision in zip(figures["quality_medians"], ("fp32", "bf16"), strict=True):
        times = sorted(row["times_faster"] or 0 for row in figures["quality"] if row["precision"] == precision)
        assert (middle["size"], middle["precision"], middle["runs"]) == (48, precision, 2)
        assert (middle["times_faster"] or 0) == times[0]
    assert len(list((here / "figures").glob("*-48-*.png"))) == 6
    [peer] = figures["peers"]
    assert peer["evaluation_over_peer"] == peer["ours"]["evaluation"] / peer["theirs"]["evaluation"]
    assert peer["theirs"]["start"] > 0
    ablation = figures["ablation"]
    assert (ablation["cells"], ablation["peer_calls"], len(ablation["needed"])) == (3, 2, 2)
    if None not in ablation["needed"]:
        assert ablation["times_faster"] == ablation["peer_seconds"] / ablation["sweep_seconds"]
