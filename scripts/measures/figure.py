"""A whole figure of a paper, from the command to the sheet: Gatys, Ecker and Bethge 2015, figure 3, of 20 runs."""

import sys
from pathlib import Path

from measures.peers import run

FIGURE = "from nst_lab.figures.command import main; main()"
COLUMNS = 4  # of the figure; the runs of a row have their layers in common


def measure_figure(size: int, evaluations: int, device: str, precision: str, folder: Path) -> dict:
    """Seconds of the figure with a batch for each row, on the built-in pictures."""
    settings = [
        "figure=gatys2015_fig3", "images=built_in", f"size={size}", f"optimizer.evaluations={evaluations}",
        "optimizer.tolerance=0", f"device={device}", f"precision={precision}", f"runner.batch={COLUMNS}",
        f'out_dir="{folder / "figure"}"',
    ]  # fmt: skip
    seconds, _ = run([sys.executable, "-c", FIGURE, *settings], folder)
    return {"size": size, "evaluations": evaluations, "precision": precision, "seconds": seconds}
