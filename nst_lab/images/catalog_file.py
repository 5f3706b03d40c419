"""A catalog as written in YAML -> checked entries; every mistake in one line that names file, entry and key."""

import os
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import yaml

from nst_lab.errors import ConfigError, nearest

if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one, where PyYAML has it


@dataclass(frozen=True)
class Entry:
    """One image of a catalog, from exactly one source.

    `package` and `file`: inside an installed package. `url` with its `sha256`: fetched when first used. `path`: a file
    of the user's. `pixels` is (width, height), `stand_in` the built-in image that takes its place.
    """

    name: str
    title: str
    artist: str = "unknown"
    year: str = ""
    rights: str = "unknown"
    pixels: tuple[int, int] | None = None
    package: str | None = None
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    path: Path | None = None
    stand_in: str | None = None

    @property
    def credit(self) -> str:
        """One line for captions."""
        year = f" {self.year}" if self.year else ""
        return f"{self.title}, {self.artist}{year} ({self.rights})"

    @property
    def address(self) -> SplitResult:
        """The parts of the URL of an image that has one."""
        assert self.url is not None
        return urlsplit(self.url)

    @property
    def file_names(self) -> tuple[str, ...]:
        """What the file of an image with a URL may be called: by its name here, or as its source calls it."""
        original = Path(self.address.path).name
        return f"{self.name}{Path(original).suffix}", original


CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what ends a line or steers a terminal
SOURCES = {"package": "file", "url": "sha256", "path": None}  # what names a source -> what it needs beside itself


def is_safe(url: str) -> bool:
    """Whether it is https, or leads no further than this machine."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    return bool(parts.hostname) and (parts.scheme == "https" or local)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and not CONTROLS.search(value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


# What a key may hold, and the words for it.
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("title", "artist", "rights", "package", "file", "path", "stand_in"), (_is_text, "a line of text")),
    "year": (lambda value: _is_text(value) or type(value) is int, "a year, such as 1889 or c. 1831"),
    "pixels": (_matches(r"[1-9]\d*x[1-9]\d*"), "width and height, such as 1024x768"),
    "url": (lambda value: _is_text(value) and is_safe(value), "an address that begins with https://"),
    "sha256": (_matches("[0-9a-f]{64}"), "64 hexadecimal digits in small letters"),
    "bytes": (lambda value: type(value) is int and value > 0, "a whole number greater than 0"),
}
NAME = re.compile(r"\w[\w.-]*")


def read(path: Path) -> dict[str, Entry]:
    """The entries of a catalog file by name.

    Raises:
        ConfigError: the file cannot be read, or what it says makes no sense.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a device may never end
        raise ConfigError(f"{path}: not a file")
    try:
        listed = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8") from error
    except (ValueError, RecursionError) as error:  # a name or a number that cannot be one; lists too deep
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if listed is None:
        return {}
    if not isinstance(listed, dict):
        raise ConfigError(f"{path}: expected names of images with their facts below them")
    return {name: _entry(path, name, facts) for name, facts in listed.items()}


class _Loader(SafeLoader):
    """YAML as it is, but for names given twice, which would silently lose the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        if repeated := [key for index, key in enumerate(keys) if key in keys[:index]]:
            raise yaml.constructor.ConstructorError(None, None, f"{repeated[0]} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _entry(catalog: Path, name: Any, facts: Any) -> Entry:
    def refuse(problem: str) -> ConfigError:
        return ConfigError(f"{catalog}: {name}: {problem}")

    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise refuse("a name is made of letters, digits, _, - and .")
    if not isinstance(facts, dict):
        raise refuse(f"expected keys among {', '.join(RULES)}")
    for key, value in facts.items():
        if key not in RULES:
            raise refuse(f"{key}: no such key; valid: {', '.join(RULES)}{nearest(key, RULES)}")
        accepts, expected = RULES[key]
        if not accepts(value):
            raise refuse(f"{key}={value}: expected {expected}")
    _check_source(facts, refuse)
    values: dict[str, Any] = {"title": name} | facts
    if "year" in facts:
        values["year"] = str(facts["year"])
    if "pixels" in facts:
        values["pixels"] = tuple(map(int, facts["pixels"].split("x")))
    if "path" in facts:
        values["path"] = catalog.parent / Path(os.path.expanduser(facts["path"]))
    return Entry(name=name, **values)


def _check_source(facts: dict[str, Any], refuse: Callable[[str], ConfigError]) -> None:
    sources = [key for key in SOURCES if key in facts]
    if len(sources) != 1:
        found = f"found {' and '.join(sources)}" if sources else "found none"
        raise refuse(f"expected one source, path, url with sha256, or package with file; {found}")
    companion = SOURCES[sources[0]]
    if companion and companion not in facts:
        raise refuse(f"{sources[0]} needs {companion}")
    if "url" in facts and not Path(urlsplit(facts["url"]).path).suffix:
        raise refuse(f"url={facts['url']}: expected the name of a file with an extension at its end")
