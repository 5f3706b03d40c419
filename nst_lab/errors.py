"""The errors that a user can cause, each told in one line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: one line that names the key or file, the value and what would be valid."""


class ConfigError(UserError):
    """The configuration is wrong. Raised before any work starts; the command line exits with 2."""


class ImageError(UserError):
    """An image file cannot be decoded or used. Names the file and the reason."""


class FetchError(ImageError):
    """An image of the catalog cannot be fetched, or a file of its name is not that image. Names it and what to do."""


class WeightsError(UserError):
    """Network weights cannot be found, verified or read. Names the source and what to do."""


class DeviceMemoryError(UserError):
    """A device has not the memory for a run."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """`; did you mean X?` for the closest of `choices`, or nothing."""
    matches = difflib.get_close_matches(str(name), list(choices), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
