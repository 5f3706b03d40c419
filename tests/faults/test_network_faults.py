"""Servers that fail in every way: a line that names the file, nothing kept that is not whole, and another try works.

The rule for addresses: https, or http that leads no further than this machine; also where a server redirects to.
"""

import hashlib
import time
from types import SimpleNamespace

import pytest
from conftest import CHECKOUT, TINY
from launched import complaints
from picture_server import serving

from nst_lab.app import command
from nst_lab.errors import FetchError, WeightsError
from nst_lab.images import catalog, fetch
from nst_lab.images.catalog_file import is_safe
from nst_lab.network import weight_files
from nst_lab.network.weight_files import torchvision_file

PAINTING = (CHECKOUT / "nst_lab/assets/paintings/ink_wash.png").read_bytes()
SHA256 = hashlib.sha256(PAINTING).hexdigest()
WEIGHTS = f"vgg19-{SHA256[:8]}.pth"


@pytest.fixture(autouse=True)
def _impatient(own_folders, monkeypatch):
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr(fetch, "TIMEOUT", (5, 0.3))
    monkeypatch.setattr(fetch, "SLOWEST", 50_000)
    monkeypatch.setattr(fetch, "MOST_BYTES", 2 * len(PAINTING))
    monkeypatch.setattr(weight_files, "MOST_BYTES", 2 * len(PAINTING))


@pytest.fixture(scope="module")
def server():
    with serving(PAINTING) as running:
        yield running


FAILURES = {
    "hang": "no answer in time",
    "cut": "the connection broke off",
    "trickle": "slower than 50000 bytes a second",
    "endless": f"more than the expected {2 * len(PAINTING)} bytes",
    "circle": "redirected in circles",
    "moved_to_http": "redirected to http://192.0.2.1/a.png, which is not https",
    "moved_to_file": "redirected to file:///etc/hostname, which is not https",
    "404": "404 Not Found",
    "500": "500 Internal Server Error",
}


def reachable(own_catalog, url: str) -> None:
    """Make it the address of the image `served`, whose size nobody knows."""
    own_catalog(f"served: {{url: '{url}', sha256: {SHA256}}}")
    catalog._entries.cache_clear()


@pytest.mark.parametrize(("behaviour", "reason"), (FAILURES | {"wrong": "other bytes than expected"}).items())
def test_a_picture_is_there_whole_or_not_at_all_and_the_next_try_works(
    own_catalog, server, tmp_path, behaviour, reason
):
    reachable(own_catalog, server.url(behaviour))
    started = time.monotonic()
    with pytest.raises(FetchError) as caught:
        catalog.locate("served")
    assert time.monotonic() - started < 10
    assert str(caught.value).startswith(f"served: cannot be fetched from 127.0.0.1 ({reason}); ")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    reachable(own_catalog, server.url("well"))
    assert catalog.locate("served").read_bytes() == PAINTING


@pytest.mark.parametrize(("behaviour", "reason"), (FAILURES | {"wrong": "invalid hash: "}).items())
def test_weights_are_there_whole_or_not_at_all_and_the_next_try_works(server, tmp_path, monkeypatch, behaviour, reason):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    started, url = time.monotonic(), server.url(behaviour, WEIGHTS)
    with pytest.raises(WeightsError) as caught:
        torchvision_file(url)
    assert time.monotonic() - started < 10
    assert str(caught.value).startswith(f"model.weights=torchvision: {url} could not be downloaded ({reason}")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert torchvision_file(server.url("well", WEIGHTS)).read_bytes() == PAINTING


def test_a_cache_that_cannot_be_made_is_one_line(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"could not be downloaded \(Not a directory\)"):
        torchvision_file(server.url("well", WEIGHTS))


def test_without_a_network_a_run_is_one_line_that_names_the_address(here, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(here))
    monkeypatch.setattr(weight_files.torchvision_file, "__defaults__", (f"http://127.0.0.1:1/{WEIGHTS}",))
    assert command([*TINY, "model.weights=torchvision"]) == 1
    [told, line] = complaints(capsys.readouterr().err)
    assert told == f"fetching http://127.0.0.1:1/{WEIGHTS}"
    assert f"http://127.0.0.1:1/{WEIGHTS} could not be downloaded (no connection); without a network" in line


def test_a_server_is_given_up_after_half_a_minute_without_a_piece(monkeypatch):
    monkeypatch.undo()
    assert max(fetch.TIMEOUT) <= 30
    assert fetch.SLOWEST >= 1000


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.org/a.png", True),
        ("http://localhost:80/a.png", True),
        ("http://127.0.0.1/a.png", True),
        ("http://[::1]/a.png", True),
        ("http://example.org/a.png", False),
        ("http://localhost.example.org/a.png", False),
        ("http://127.0.0.1@example.org/a.png", False),
        ("http://10.0.0.1/a.png", False),
        ("ftp://example.org/a.png", False),
        ("file:///etc/passwd", False),
        ("//example.org/a.png", False),
        ("https:///a.png", False),
    ],
)
def test_only_https_and_this_machine_are_safe(url, safe):
    assert is_safe(url) is safe
