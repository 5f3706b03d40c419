"""What the allocator of the C library does with the memory of tensors that have gone: keep it, or give it back.

By default glibc comes to keep blocks of up to 32 MiB for others that fit in there. That saves the mapping of new ones,
a sixth of the time of an evaluation at 512x512 px; but at 1024x1024 px, where it saves a few hundredths, layers and
weights of that size leave 0.2 GB of holes between them.
"""

import ctypes
from contextlib import suppress

LARGE = 10**6  # pixels of a picture
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of parameters in malloc.h of glibc
KEPT = 32 * 2**20, 64 * 2**20  # the largest blocks to keep, and of free ones at the end of the heap; glibc's own limits
GIVEN_BACK = 4 * 2**20, 128 * 2**10


def keep_blocks(height: int, width: int) -> None:
    """Choose what suits a picture of this size, for the whole process. Other C libraries are left as they are."""
    block, end = GIVEN_BACK if height * width >= LARGE else KEPT
    with suppress(AttributeError, OSError, TypeError):  # none with such a function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, block)
        mallopt(TRIM_THRESHOLD, end)
