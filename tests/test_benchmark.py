"""The benchmark prints and saves its figures."""

import json
import subprocess
import sys

from conftest import CHECKOUT

from nst_lab.config.statistics import STATISTICS


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
    assert row["peak_memory_mib"] > 100
    assert "| 48 px |" in done.stdout
    assert [row["statistic"] for row in figures["statistics"]] == list(STATISTICS)
    gram = figures["statistics"][0]
    for row in figures["statistics"]:
        assert row["over_gram"] == row["evaluation_seconds"] / gram["evaluation_seconds"] > 0
        assert f"| {row['statistic']} |" in done.stdout
