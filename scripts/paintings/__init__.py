"""Original paintings, drawn by program: built-in style images that need no network.

Every work is a module with ``paint(size)``, which returns the picture as bytes (rows x columns x
3) with ``size`` pixels on its longer side.  The same size always gives the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np


@dataclass(frozen=True)
class Work:
    """A painting of the collection; ``name`` is also that of its module and its file."""

    name: str
    title: str
    technique: str

    @property
    def module(self) -> ModuleType:
        return import_module(f".{self.name}", __name__)

    @property
    def seed(self) -> int:
        return self.module.SEED

    def paint(self, size: int = 512) -> np.ndarray:
        """The finished picture, ``size`` pixels on the longer side."""
        return self.module.paint(size)


_COLLECTION = (
    Work("starry_strokes", "Night over the Valley",
         "oil impasto: curved strokes of blues along a whirling flow, rings of yellow dashes"),
    Work("woodcut_waves", "Breaking Wave at Dawn",
         "colour woodcut: flat Prussian blues and cream, dark outlines, engraved hatching, wood grain"),
    Work("pointillist_garden", "Sunday by the River",
         "divisionist oil: even round dots of pure pigment that blend at a distance"),
    Work("cubist_shards", "Guitar, Bottle and Newspaper",
         "analytic cubism: brushed facets in ochre, umber and slate, broken dark contours"),
    Work("ink_wash", "Bamboo and Misty Peaks", "ink on rice paper: wet edges, granulation, dry split-hair strokes"),
    Work("mosaic", "Peacock Floor",
         "Byzantine tesserae: rows of tilted stones following every contour, gold, teal and red"),
    Work("impasto_dabs", "Poppies under a Windy Sky",
         "palette knife: broad ridged slabs and thick dabs in raking light"),
    Work("stained_glass", "Tree and Rising Sun", "leaded window: streaked saturated glass between dark cames"),
    Work("scream_bands", "Evening on the Jetty",
         "expressionist tempera on board: long undulating bands, orange against blue-green"),
    Work("composition_shapes", "Composition with Rainbows",
         "free abstraction: watercolour stains, brushed circles and wedges, whips of black line"),
    Work("art_nouveau", "Tree of Spirals",
         "gold leaf and oil: coiling contoured branches, packed jewel-like ornaments"),
    Work("pencil_hatching", "Mill by the Stream",
         "coloured pencil on buff paper: crossing layers of thin strokes, loose contours"),
)
WORKS = {work.name: work for work in _COLLECTION}
