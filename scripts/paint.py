"""Paint the built-in style images.

As commands:

    python scripts/paint.py                        every work, into nst_lab/assets/paintings
    python scripts/paint.py mosaic --size 1024 --out /tmp
    python scripts/paint.py --list                 names, titles and techniques
    python scripts/paint.py --check                whether the files hold what would be painted
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from paintings import WORKS
from paintings.easel import save
from PIL import Image

ASSETS = Path(__file__).resolve().parent.parent / "nst_lab" / "assets" / "paintings"


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Paint the built-in style images.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="works to paint (all by default)")
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder for the PNG files (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="pixels on the longer side (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list the works and stop")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in WORKS]
    if unknown:
        parser.error(f"no such work: {', '.join(unknown)} (known: {', '.join(WORKS)})")
    if not 64 <= options.size <= 4096:
        parser.error("--size must lie between 64 and 4096")
    return options


def difference(picture: np.ndarray, path: Path) -> tuple[str, bool]:
    """In words, how a picture differs from a file, and whether that is more than rounding explains."""
    if not path.exists():
        return "no file", True
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB")).astype(int)
    if stored.shape != picture.shape:
        return f"{stored.shape[1]}x{stored.shape[0]} pixels instead of {picture.shape[1]}x{picture.shape[0]}", True
    gap = np.abs(stored - picture)
    share = (gap > 0).any(-1).mean()
    # Sines and exponentials end in other digits on other processors, which moves a few pixels by a step.
    return (f"{share:.3%} of the pixels differ, by {gap.max()} at most" if share else "same pixels"), share > 1e-3


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.list:
        for work in WORKS.values():
            print(f"{work.name:20} {work.title:30} {work.technique}")
        return 0
    failures = 0
    for name in options.names or WORKS:
        start = time.perf_counter()
        picture = WORKS[name].paint(options.size)
        seconds = time.perf_counter() - start
        path = options.out / f"{name}.png"
        if options.check:
            words, wrong = difference(picture, path)
            failures += wrong
            print(f"{name:20} {words}")
            continue
        options.out.mkdir(parents=True, exist_ok=True)
        save(picture, path)
        shape = f"{picture.shape[1]}x{picture.shape[0]}"
        print(f"{name:20} {shape:9} {path.stat().st_size:7d} bytes {seconds:5.1f} s  seed {WORKS[name].seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
