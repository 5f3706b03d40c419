"""How a value is written in a message, and the checks that several parts of a configuration share."""

from collections.abc import Sequence
from typing import Any

from nst_lab.config.grammar import shortest
from nst_lab.errors import ConfigError
from nst_lab.images import catalog


def show(value: Any) -> str:
    """A value as it is written in YAML and on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {show(item)}' for key, item in value.items())}}}"
    return shortest(value) if isinstance(value, float) else str(value).replace("\n", "\\n")


def value_at(settings: Any, key: str) -> Any:
    """The value of a dotted key in nested dictionaries; None where there is none."""
    for part in key.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def check_count(key: str, values: Sequence[object], of_key: str, names: Sequence[object]) -> None:
    """Raise unless there is one value for each of `names`."""
    if len(values) != len(names):
        raise ConfigError(
            f"{key}={show(values)}: {len(values)} values, expected {len(names)}, one for each of {of_key}={show(names)}"
        )


def check_distinct(key: str, names: list[str]) -> None:
    """Raise if a name is listed twice."""
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{key}={show(names)}: {', '.join(sorted(repeated))} is listed twice")


def check_image(key: str, image: str) -> None:
    """Raise unless `image` is a catalog name or an existing file. Nothing is fetched."""
    catalog.entries()  # a mistake in the user's own catalog is not one of this key
    try:
        catalog.check(image)
    except ConfigError as error:
        raise ConfigError(f"{key}={image}: {str(error).removeprefix(f'{image}: ')}") from None
