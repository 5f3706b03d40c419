"""Names of images -> files: built in, from a mirror or the cache, fetched once and verified; or any path.

The shipped catalog is `assets/catalog.yaml`; `NST_LAB_CATALOG` names a file of the user's own, whose entries are added
and take the place of shipped ones of the same name. Importing this loads neither torch nor a network library.
"""

import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import count
from pathlib import Path

from nst_lab.errors import ConfigError, FetchError, nearest
from nst_lab.images import catalog_file, fetch
from nst_lab.images.catalog_file import Entry


def entries() -> dict[str, Entry]:
    """The whole catalog by name.

    Raises:
        ConfigError: the user's catalog is wrong.
    """
    return _entries(os.environ.get("NST_LAB_CATALOG"))


@cache
def _entries(own: str | None) -> dict[str, Entry]:
    with resources.as_file(resources.files("nst_lab") / "assets" / "catalog.yaml") as path:
        shipped = catalog_file.read(path)
    if not own:
        return shipped
    try:
        added = catalog_file.read(Path(os.path.expanduser(own)))
        for entry in added.values():
            other = (shipped | added).get(entry.stand_in or "")
            if entry.stand_in and (other is None or other.url):
                raise ConfigError(f"{own}: {entry.name}: stand_in={entry.stand_in}: expected an image without a url")
    except ConfigError as error:
        raise ConfigError(f"NST_LAB_CATALOG: {error}") from error
    return shipped | added


def check(name_or_path: str) -> None:
    """Raise unless this is a name of the catalog or an existing file. Nothing is fetched for it.

    Raises:
        ConfigError: neither, or the catalog, the mirror's folder or an installed package is not what it should be.
    """
    entry = entries().get(name_or_path)
    if entry is None:
        _own_file(name_or_path)
    elif entry.url:
        fetch.mirror_folder()
    else:
        _installed(entry)


def find(name_or_path: str) -> Path | None:
    """The file behind a name or a path if it is on this machine, verified where the catalog knows its sha256.

    Raises:
        ConfigError: as `check`.
        FetchError: a file is there, but it is not the one of the catalog.
    """
    entry = entries().get(name_or_path)
    if entry is None:
        return _own_file(name_or_path)
    if not entry.url:
        return _installed(entry)
    return fetch.in_mirror(entry, _mirror_names(entry)) or fetch.in_cache(entry)


def locate(name_or_path: str, progress: fetch.Progress | None = None) -> Path:
    """The file behind a name or a path, fetched if need be. A name wins over a file of the same name without a suffix.

    Raises:
        ConfigError: as `check`.
        FetchError: the image is on this machine neither in the mirror nor in the cache, and cannot be fetched.
    """
    return find(name_or_path) or fetch.download(entries()[name_or_path], progress)


def where(name: str) -> str:
    """Where the image of a catalog name is: built in, own file, mirror, cached or to fetch; else what is wrong.

    Raises:
        ConfigError: the mirror is not a folder.
    """
    entry = entries()[name]
    if entry.url:
        fetch.mirror_folder()
    try:
        file = find(name)
    except FetchError:
        return "wrong file"
    except ConfigError:
        return "missing"
    if file is None:
        return "to fetch"
    if not entry.url:
        return "built in" if entry.package else "own file"
    return "cached" if file.parent == fetch.cache_folder() else "mirror"


def sha256(name_or_path: str) -> str:
    """The hash of an image's bytes; the catalog's own where it has one, so that nothing is fetched.

    Raises:
        ConfigError: as `check`.
    """
    entry = entries().get(name_or_path)
    return entry.sha256 if entry and entry.sha256 else fetch.sha256_of(locate(name_or_path))


def stand_in(name: str) -> str:
    """The built-in image that takes the place of a catalog image where there is no network; else the name itself."""
    entry = entries().get(name)
    return entry.stand_in if entry and entry.stand_in else name


def short_names(images: Sequence[str]) -> list[str]:
    """How images are called in terms, curves, folders: catalog name or file stem, numbered where two are the same."""
    stems = [image if image in entries() else Path(image).stem for image in images]
    names: list[str] = []
    for stem in stems:
        numbered = (f"{stem}_{number}" for number in count(1))
        free = (name for name in numbered if name not in names and name not in stems)
        names.append(stem if stems.count(stem) == 1 else next(free))
    return names


def credit(name_or_path: str) -> str:
    """Title, artist, year and rights of a catalog image; the file's name for any other."""
    entry = entries().get(name_or_path)
    return entry.credit if entry else Path(name_or_path).name


def _own_file(name_or_path: str) -> Path:
    path = Path(os.path.expanduser(name_or_path))
    if os.path.isfile(path):  # unlike Path.is_file, false for what cannot be a name
        return path
    at_hand = [name for name, entry in entries().items() if not entry.url]
    raise ConfigError(
        f"{name_or_path}: neither a file nor a name of the catalog ({', '.join(at_hand)} and "
        f"{len(entries()) - len(at_hand)} more, see nst-images list){nearest(name_or_path, entries())}"
    )


def _installed(entry: Entry) -> Path:
    """The file of an image inside a package, or of the user's own, which is verified if the catalog can."""
    if entry.package and entry.file:
        folder = _package_folder(entry.package)
        path = folder / entry.file if folder else None
        if path is None or not path.is_file():
            raise ConfigError(f"{entry.name}: the package {entry.package}, which should carry it, does not")
    else:
        path = entry.path
        if path is None or not path.is_file():
            raise ConfigError(f"{entry.name}: {path}, which the catalog names, is not a file")
    if entry.sha256 and fetch.sha256_of(path) != entry.sha256:
        raise FetchError(f"{entry.name}: {path} is another picture or damaged (its sha256 is not the catalog's)")
    return path


def _package_folder(package: str) -> Path | None:
    """Where an installed package lies; it is not imported for that."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _mirror_names(entry: Entry) -> list[str]:
    """Its own file names, and those of entries that are the same picture, byte by byte."""
    same = [other for other in entries().values() if other.url and other.sha256 == entry.sha256]
    return list(dict.fromkeys(name for other in (entry, *same) for name in other.file_names))
