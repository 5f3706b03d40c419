"""Names of images -> files: the photographs of scikit-image's wheel and paintings of our own, or any path."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from omegaconf import OmegaConf

from nst_lab.errors import ConfigError, nearest


@dataclass(frozen=True)
class Entry:
    """One image of the catalog. `package` and `file` say which installed package carries it."""

    name: str
    title: str
    artist: str
    rights: str
    package: str
    file: str

    @property
    def credit(self) -> str:
        """One line for captions."""
        return f"{self.title}, {self.artist} ({self.rights})"


@cache
def entries() -> dict[str, Entry]:
    """The whole catalog by name."""
    with resources.as_file(resources.files("nst_lab") / "assets" / "catalog.yaml") as path:
        listed = OmegaConf.to_container(OmegaConf.load(path))
    return {name: Entry(name=name, **facts) for name, facts in listed.items()}


def locate(name_or_path: str) -> Path:
    """The file behind a catalog name or a path. A name wins over a file of the same name without a suffix.

    Raises:
        ConfigError: neither a name of the catalog nor an existing file.
    """
    if entry := entries().get(name_or_path):
        return _inside_package(entry)
    path = Path(name_or_path).expanduser()
    if "\0" not in name_or_path and path.is_file():
        return path
    raise ConfigError(
        f"{name_or_path}: neither a file nor a name of the catalog ({', '.join(entries())})"
        f"{nearest(name_or_path, entries())}"
    )


def short_names(images: Sequence[str]) -> list[str]:
    """How images are called in terms, curves and folders: catalog name or file stem, numbered where two are alike."""
    stems = [image if image in entries() else Path(image).stem for image in images]
    return [f"{stem}_{stems[: i + 1].count(stem)}" if stems.count(stem) > 1 else stem for i, stem in enumerate(stems)]


def credit(name_or_path: str) -> str:
    """Title, artist and rights of a catalog image; the file's name for any other."""
    entry = entries().get(name_or_path)
    return entry.credit if entry else Path(name_or_path).name


def _inside_package(entry: Entry) -> Path:
    spec = importlib.util.find_spec(entry.package)
    path = Path(spec.submodule_search_locations[0]) / entry.file if spec else None
    if path is None or not path.is_file():
        raise ConfigError(f"{entry.name}: the package {entry.package}, which carries it, is not installed completely")
    return path
