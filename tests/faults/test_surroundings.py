"""Whatever a caller has set in torch, a run is the run that its settings describe, and what failed leaves no trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from conftest import TINY

import nst_lab


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "float64 by default": float64,
    "bfloat16 wherever it serves": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "tensors without values": lambda: torch.device("meta"),
}


def make(folder: str, *more: str) -> bytes:
    return (nst_lab.run(nst_lab.compose([*TINY, f"out_dir={folder}", *more])).folder / "result.png").read_bytes()


@pytest.mark.parametrize("more", [[], ["init=noise", "optimizer=adam", "loss.statistic=swd", "model.seed=7"]])
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_run_is_the_same_and_torch_is_left_as_it_was(name, more, here):
    surroundings: Callable = SURROUNDINGS[name]
    with surroundings():
        before = torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        inside = make("inside", *more)
        assert before == (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    assert inside == make("outside", *more)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_so_is_a_transfer(name):
    content, style = nst_lab.load_image("chelsea"), nst_lab.load_image("mosaic")
    config = nst_lab.compose([*TINY, "init=noise"])
    with SURROUNDINGS[name]():
        inside = nst_lab.transfer(content, [style], config)
    outside = nst_lab.transfer(content, [style], config)
    assert inside.image.dtype == torch.float32
    assert torch.equal(inside.image, outside.image)
    assert inside.losses == outside.losses
