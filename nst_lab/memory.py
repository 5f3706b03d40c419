"""What the runs of one process share, bounded: the least recently used goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


class Memory:
    """Remembers tensors, or dictionaries and tuples of them, up to `limit` bytes; larger ones are not kept at all.

    What is recalled is what was made: it must not be changed.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def recall(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for `key` before, or what `make` makes now."""
        if key in self.kept:
            self.kept.move_to_end(key)
            recalled: T = self.kept[key][0]
            return recalled
        made = make()
        size = _bytes(made)
        if size <= self.limit:
            self.kept[key] = made, size
            while sum(size for _, size in self.kept.values()) > self.limit:
                self.kept.popitem(last=False)
        return made


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    return sum(map(_bytes, value.values() if isinstance(value, dict) else value))
