"""Make the built-in masks: the sky and the ground of photographs, from the photographs themselves.

    python scripts/masks.py                 all, into nst_lab/assets/masks
    python scripts/masks.py rocket --out /tmp
    python scripts/masks.py --check         whether the files hold what would be made

The sky is what is blue and hangs together with the upper edge; the ground is the rest. A photograph that is not built
in is fetched, or found in NST_LAB_MIRROR.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import color, filters, measure, morphology

from nst_lab.images.pictures import load_image, resize, target_size

ASSETS = Path(__file__).resolve().parent.parent / "nst_lab" / "assets" / "masks"
SIZE = 512  # pixels on the longer side
SOFTNESS = 2.0  # standard deviation of the edge, in pixels
SMALLEST = 1 / 500  # of the picture: islands in the sky and holes in the ground that are smaller are not kept


@dataclass(frozen=True)
class Sky:
    """How blue the sky is at least: `blue` is CIELAB's -b*; gaps of up to `bridged` pixels in it are closed."""

    blue: float
    bridged: int


SKIES = {"rocket": Sky(blue=13, bridged=3), "neckarfront": Sky(blue=10, bridged=1)}


def sky(rgb: np.ndarray, looks: Sky) -> np.ndarray:
    """The sky of a photograph (H, W, 3) in [0, 1], as a soft mask (H, W) in [0, 1]."""
    blue = color.rgb2lab(rgb)[..., 2] < -looks.blue
    blue = morphology.closing(blue, morphology.disk(looks.bridged))
    regions = measure.label(blue)
    hanging = np.isin(regions, np.setdiff1d(regions[0], 0)).astype(np.uint8)
    smallest = round(SMALLEST * hanging.size)
    whole = morphology.area_opening(morphology.area_closing(hanging, smallest), smallest)
    return filters.gaussian(whole.astype(float), SOFTNESS, mode="nearest").clip(0, 1)


def masks(name: str) -> dict[str, np.ndarray]:
    """The masks of a photograph by their names, uint8 (H, W)."""
    picture = load_image(name)
    picture = resize(picture, *target_size(*picture.shape[-2:], SIZE, "longer"))
    levels = (255 * sky(picture[0].permute(1, 2, 0).numpy(), SKIES[name])).round().astype(np.uint8)
    return {f"{name}_sky": levels, f"{name}_ground": 255 - levels}


def difference(levels: np.ndarray, path: Path) -> tuple[str, bool]:
    """In words, how a mask differs from a file, and whether that is more than rounding explains."""
    if not path.exists():
        return "no file", True
    with Image.open(path) as image:
        stored = np.asarray(image).astype(int)
    if stored.shape != levels.shape:
        return f"{stored.shape} pixels instead of {levels.shape}", True
    gap = np.abs(stored - levels)
    return f"differs by {gap.mean():.3f} of 255 in the mean, by {gap.max()} at most", gap.mean() > 0.1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the built-in masks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"photographs (default: {' '.join(SKIES)})")
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder for the PNG files (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.names if name not in SKIES]:
        parser.error(f"no masks of: {', '.join(unknown)} (known: {', '.join(SKIES)})")
    failures = 0
    for photograph in options.names or SKIES:
        for name, levels in masks(photograph).items():
            path = options.out / f"{name}.png"
            if options.check:
                words, wrong = difference(levels, path)
                failures += wrong
                print(f"{name:20} {words}")
                continue
            options.out.mkdir(parents=True, exist_ok=True)
            Image.fromarray(levels).save(path, optimize=True)
            print(f"{name:20} {levels.shape[1]}x{levels.shape[0]} {path.stat().st_size:6d} bytes")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
