"""A figure of one's own whose runs take a moment, and the command that makes it."""

from conftest import TINY

from nst_lab.figures.command import command

# A figure of one row and three columns, whose runs take a moment.
SMALL = """
paper: "A. Nonymous, On Trying (2026)"
number: Figure 7
title: Three seeds
expected: {cpu: a moment, gpu: less}
settings:
  init: noise
  content: neckarfront
  style.images: [composition_vii]
columns:
  - {label: one, settings: {seed: 1}}
  - {label: two, settings: {seed: 2}}
  - {label: three, settings: {seed: 3}}
differences: ["It is invented."]
"""
QUICK = [text for text in TINY if not text.startswith(("size", "optimizer.evaluations"))]
BUILT_IN = ("images=built_in", "size=32", "evaluations=3")


def make(*words: str) -> int:
    return command(["--config-dir", "mine", "figure=small", *BUILT_IN, *QUICK, *words])
