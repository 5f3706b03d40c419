"""Thousands of cells in one process: what it takes of memory, files and threads does not grow with their number."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOST_GROWTH = 20 * 2**20  # bytes from the 500th cell to the last; an allocator keeps some of what it is given back

# As `nst-lab -m` makes cells in its own process: `batch` of them at once, each in a folder that it claims.
MAKER = """
import gc, json, os, sys, threading
from dataclasses import replace
from pathlib import Path
import nst_lab
from nst_lab.running.together import drive
from nst_lab.sweeps.launchers import Launch, attempt

count, batch = map(int, sys.argv[1:])
small = ["model=random", "size=16", "layers.content=[relu1_1]", "layers.style=[relu1_1]", "log.distances=false",
         "log.images=0", "optimizer.evaluations=1", "init=noise", "threads=1"]
config, samples = nst_lab.compose(small), []
launch = Launch("long", ["seed"], count, os.getcwd(), {}, os.getcwd())

def sample():
    gc.collect()
    pages = int(open("/proc/self/statm").read().split()[1])
    samples.append([pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd")), threading.active_count()])

def cells():
    for seed in range(count):
        if seed == 500:  # a multiple of the batch: nothing is at work
            sample()
        yield attempt(replace(config, seed=seed), [f"seed={seed}"], launch, seed)

made = drive(cells(), batch)
sample()
assert made == [True] * count
completed = [path for path in Path().glob("outputs/*/*/manifest.json") if '"status": "completed"' in path.read_text()]
assert len(completed) == count
print(json.dumps(samples))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("count", "batch"), [(2000, 1), (1000, 4)])
def test_memory_files_and_threads_do_not_grow_with_the_number_of_cells(here, count, batch):
    command = [sys.executable, "-c", MAKER, str(count), str(batch)]
    ended = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=800)
    assert ended.returncode == 0, ended.stderr[-2000:]
    first, last = json.loads(ended.stdout)
    memory, files, threads = (after - before for before, after in zip(first, last, strict=True))
    assert (files, threads) == (0, 0)
    assert memory < MOST_GROWTH
