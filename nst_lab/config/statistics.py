"""What each style statistic allows. Kept apart from `losses/` so that a configuration is checked without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What can be done with a statistic.

    `guidable`: its means may be weighted by a guide T², so that it describes a part of a picture. `blendable`: its
    measurements of several styles may be averaged into one target (`style.blend=targets`). `random`: it depends on
    draws, which `seed` and the layer's name determine. `obstacle` is why it allows neither of the first two.
    `recordable`: its evaluation never waits for the device, so that it can be a CUDA graph. `workspace` is the memory
    that it needs beside the activations, in floats for each value of the largest style layer; measured at 512 px.
    """

    guidable: bool = True
    blendable: bool = True
    random: bool = False
    obstacle: str = ""
    recordable: bool = True
    workspace: float = 0.0


_SORTED = "it sorts the activations, and positions that are sorted can be neither weighted nor averaged"
_BANDWIDTH = "its bandwidth is that of one whole style image"

STATISTICS = {
    "gram": Traits(),
    "moments": Traits(workspace=0.8),
    "bn": Traits(workspace=2.5),
    "w2": Traits(recordable=False, workspace=3),
    "mmd_poly": Traits(workspace=0.8),
    "mmd_gauss": Traits(guidable=False, blendable=False, random=True, obstacle=_BANDWIDTH, workspace=11),
    "swd": Traits(guidable=False, blendable=False, random=True, obstacle=_SORTED, workspace=7),
    "histogram": Traits(guidable=False, blendable=False, obstacle=_SORTED, workspace=2.5),
}
GRAM_BASED = ("gram", "histogram")  # those that contain a Gram matrix
