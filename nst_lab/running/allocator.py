"""What becomes of the memory of tensors that have gone: it is kept for others, or given back at once.

By default glibc maps a block of more than 32 MiB anew for every tensor, as the layers of pictures from 362x362 px on
are, and each of its pages costs a fault. To keep all memory saves a seventh of the time of an evaluation at 512x512 px;
but what is kept has holes, of a gigabyte at 768x768 px. Large pictures give all back; with pages of 2 MiB, which
`nst_lab/__init__.py` asks for, that costs little.
"""

import ctypes
from contextlib import suppress

LARGE = 2**18  # pixels of a picture, above which all is given back
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # names of parameters in malloc.h of glibc
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}  # no block is mapped, and all of the heap stays
GIVEN_BACK = {MMAP_MAX: 2**16, MMAP_THRESHOLD: 4 * 2**20, TRIM_THRESHOLD: 128 * 2**10}


def gives_back(pixels: int) -> bool:
    """Whether a picture of so many gives back what has gone, and keeps nothing."""
    return pixels > LARGE


def keep_or_give_back(pixels: int) -> None:
    """Choose what suits a picture of so many, for the whole process. Other C libraries are left as they are."""
    with suppress(AttributeError, OSError, TypeError):  # none with such a function
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in (GIVEN_BACK if gives_back(pixels) else KEPT).items():
            mallopt(parameter, value)
