"""Fields of a mapping read from YAML, each checked when it is taken; a mistake is one line."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeVar

from nst_lab.config.checks import WORDS
from nst_lab.config.values import show
from nst_lab.errors import ConfigError, nearest

T = TypeVar("T")


class Fields:
    """The fields of a mapping.

    Args:
        where: the beginning of every error, such as the file.
        fields: what should be a mapping.
        known: its valid keys; any by default.
        prefix: the keys above these, ending in a dot.

    Raises:
        ConfigError: it is no mapping, or has another key.
    """

    def __init__(self, where: str, fields: Any, known: Sequence[str] | None = None, prefix: str = ""):
        self.where, self.prefix = where, prefix
        if not isinstance(fields, dict):
            at = f"{where}: {prefix.removesuffix('.')}" if prefix else where
            raise ConfigError(f"{at}: expected keys with values, got {show(fields) or 'nothing'}")
        self.fields = {str(key): value for key, value in fields.items()}
        for key in self.fields:
            if known is not None and key not in known:
                raise self.error(key, f"no such key; valid: {', '.join(known)}{nearest(key, known)}")

    def error(self, key: str, what: str) -> ConfigError:
        """The error of a key, with its value."""
        value = f"={show(self.fields[key])}" if key in self.fields else ""
        return ConfigError(f"{self.where}: {self.prefix}{key}{value}: {what}")

    def inner(self, key: str, known: Sequence[str] | None = None) -> "Fields":
        """The fields of a mapping within this one; none if it is absent."""
        return Fields(self.where, self._take(key, {}), known, f"{self.prefix}{key}.")

    def text(self, key: str) -> str:
        """A text."""
        return self._typed(key, self._take(key), str)

    def texts(self, key: str) -> list[str]:
        """A list of texts, empty by default."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, "expected a list of texts such as [size=64, style=mosaic]")
        return value

    def flag(self, key: str) -> bool:
        """True or false, false by default."""
        return self._typed(key, self._take(key, False), bool)

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._typed(key, self._take(key), float)
        if not isfinite(value):
            raise self.error(key, "expected a finite number")
        return value

    def whole(self, key: str, default: int | None = None, *, least: int | None = None) -> int:
        """A whole number."""
        value = self._typed(key, self._take(key, default), int)
        if least is not None and value < least:
            raise self.error(key, f"expected at least {least}")
        return value

    def _take(self, key: str, default: Any = None) -> Any:
        value = self.fields.get(key, default)
        if value is None:
            raise self.error(key, "needed")
        return value

    def _typed(self, key: str, value: Any, kind: type[T]) -> T:
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.error(key, f"expected {WORDS[kind]}")
        return value
