"""Images of the catalog that are not built in: a local mirror, the cache, or one verified download.

`NST_LAB_MIRROR` names a folder of image files, looked in first; `NST_LAB_CACHE` takes the place of the user's cache.
A file counts only if its sha256 is the catalog's.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from nst_lab.errors import ConfigError, FetchError
from nst_lab.images.catalog_file import Entry, is_safe

if TYPE_CHECKING:
    import requests

TIMEOUT = (10, 30)  # seconds to connect, and to wait for the next piece
RETRIES = 2  # after a failed download, one second and two seconds later
SLOWEST = 1000  # bytes a second on the average; a server that keeps one waiting for ever is given up
PIECE = 2**12  # bytes
MOST_BYTES = 2**30  # of a picture whose size the catalog does not know

log = logging.getLogger(__name__)

Progress = Callable[[int], None]  # is told the bytes received so far; 0 where a download begins anew


def mirror_folder() -> Path | None:
    """The folder that `NST_LAB_MIRROR` names.

    Raises:
        ConfigError: it is not a folder.
    """
    named = os.environ.get("NST_LAB_MIRROR")
    if not named:
        return None
    folder = Path(os.path.expanduser(named))
    if not folder.is_dir():
        raise ConfigError(f"NST_LAB_MIRROR={named}: not a folder")
    return folder


def cache_folder() -> Path:
    """Where downloads are kept."""
    if named := os.environ.get("NST_LAB_CACHE"):
        return Path(os.path.expanduser(named))
    import pooch

    return Path(pooch.os_cache("nst_lab"))


def in_mirror(entry: Entry, names: Iterable[str]) -> Path | None:
    """The image in the mirror, under any of `names`.

    Raises:
        FetchError: a file of such a name is there, but with other bytes.
    """
    folder = mirror_folder()
    files = [folder / name for name in names if (folder / name).is_file()] if folder else []
    for file in files:
        if sha256_of(file) == entry.sha256:
            return file
    if files:
        raise FetchError(
            f"{entry.name}: {files[0]} of NST_LAB_MIRROR is another picture or damaged (sha256 "
            f"{sha256_of(files[0])[:12]}…, expected {entry.sha256:.12}…)"
        )
    return None


def in_cache(entry: Entry) -> Path | None:
    """The image in the cache; None also where the file there is damaged."""
    file = cache_folder() / entry.file_names[0]
    return file if file.is_file() and sha256_of(file) == entry.sha256 else None


def sha256_of(file: Path) -> str:
    """Raises: FetchError: the file cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise FetchError(f"{file}: cannot be read ({error.strerror})") from error


def download(entry: Entry, progress: Progress | None = None) -> Path:
    """Fetch an image into the cache, where it appears complete and verified or not at all.

    Raises:
        FetchError: no network, a server that fails, other bytes than expected, or a cache that cannot be written.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)  # it would tell of every step
    most = entry.bytes or MOST_BYTES
    file, host = entry.file_names[0], entry.address.hostname
    cache = pooch.create(
        cache_folder(), "", registry={file: f"sha256:{entry.sha256}"}, urls={file: entry.url}, retry_if_failed=RETRIES
    )
    try:
        path = Path(cache.fetch(file, downloader=lambda url, to, _: receive(url, Path(to), most, progress)))
    except requests.RequestException as error:
        reason = in_short(error)
    except ValueError as error:
        reason = "other bytes than expected" if "hash" in str(error) else in_short(error)
    except OSError as error:
        raise FetchError(
            f"{entry.name}: {cache.path} cannot be written ({error.strerror or 'no permission'}); set NST_LAB_CACHE"
        ) from error
    else:
        log.info("%s: fetched from %s", entry.credit, host)
        return path
    raise FetchError(
        f"{entry.name}: cannot be fetched from {host} ({reason}); without a network set NST_LAB_MIRROR to a folder "
        f"that holds {file}, or give the path of a picture"
    )


def receive(url: str, to: Path, most: int, progress: Progress | None = None) -> None:
    """Write what an address gives to a file, whatever it may be: the caller verifies it, or removes what is there.

    Raises:
        ValueError: more than `most` bytes, too slow, or redirected to where it is not safe; in words.
        requests.RequestException: another failure, for `in_short`.
        OSError: the file cannot be written.
    """
    import requests

    received, started = 0, time.monotonic()
    hooks = {"response": _refuse_unsafe_redirect}
    with to.open("wb") as file, requests.get(url, stream=True, timeout=TIMEOUT, hooks=hooks) as response:
        response.raise_for_status()
        for piece in response.iter_content(PIECE):
            received += len(piece)
            if received > most:
                raise ValueError(f"more than the expected {most} bytes")
            if received < SLOWEST * (time.monotonic() - started - TIMEOUT[1]):
                raise ValueError(f"slower than {SLOWEST} bytes a second")
            file.write(piece)
            if progress:
                progress(received)


def _refuse_unsafe_redirect(response: "requests.Response", **_options: object) -> None:
    if response.is_redirect:
        target = urljoin(response.url, response.headers["location"])
        if not is_safe(target):
            response.close()
            raise ValueError(f"redirected to {target}, which is not https")


def in_short(error: Exception) -> str:
    """A failure of requests in few words; its own fill lines with addresses of objects."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, requests.TooManyRedirects):
        return "redirected in circles"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
