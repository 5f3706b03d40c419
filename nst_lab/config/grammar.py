"""Values as Hydra's grammar of overrides has them: what is read back is the very value."""

import re
from typing import Any

BARE = re.compile(r"(?!(null|true|false|nan|inf)$)[a-z_][\w./-]*", re.IGNORECASE | re.ASCII)  # needs no quotes


def override_value(value: Any) -> str:
    """A value of a YAML file as it is written after `key=` in an override, in full precision."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{override_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(override_value, value))}]"
    if isinstance(value, str):
        return value if BARE.fullmatch(value) else quoted(value)
    return shortest(value) if isinstance(value, float) else str(value)


def quoted(text: str) -> str:
    """A text as a value of the grammar, in which a backslash is special only before a quote and at the end."""
    escaped = re.sub(r"\\+(?='|$)", lambda slashes: 2 * slashes[0], text).replace("'", "\\'")
    return f"'{escaped}'"


def shortest(value: float) -> str:
    """A number in few characters that are read back as the same: 1e6, 0.5, 147528426.22."""
    rounded = re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}")
    return rounded if float(rounded) == value else repr(value)
