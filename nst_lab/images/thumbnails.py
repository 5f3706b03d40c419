"""Small pictures as data URIs, for pages that carry them along."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from nst_lab.errors import ImageError
from nst_lab.images.decode import decode

WEBP_QUALITY = 80  # of 100, lossy


def thumbnails(files: Sequence[Path], side: int) -> list[str | None]:
    """The results of runs, reduced to `side` pixels on the longer side; None for a file that cannot be read.

    In threads: Pillow works outside of Python's lock.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda file: _of_result(file, side), files))


def _of_result(file: Path, side: int) -> str | None:
    try:
        with Image.open(file) as image:
            return _data_uri(image.convert("RGB"), side)
    except Exception:  # Pillow's readers raise whatever a broken file leads them to
        return None


def thumbnail(file: Path, side: int) -> str:
    """Any picture that Pillow opens, its colours as `decode` gives them.

    Raises:
        ImageError: it cannot be decoded.
    """
    image = Image.fromarray((decode(file) * 255).round().astype(np.uint8))
    try:
        return _data_uri(image, side)
    except OSError as error:
        raise ImageError(f"{file}: cannot be reduced ({error})") from error


def _data_uri(image: Image.Image, side: int) -> str:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
