"""A tiny run as a library call."""

from conftest import TINY

import nst_lab
from nst_lab.optimisation.synthesis import Result


def run(*overrides: str) -> Result:
    config = nst_lab.compose([*TINY, "optimizer.evaluations=9", *overrides])
    pictures = [nst_lab.load_image(name) for name in ("chelsea", "starry_strokes")]
    return nst_lab.transfer(pictures[0], pictures[1:], config)
