"""The catalog: what it says of every image, and the way from a name to a verified file."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import CHECKOUT, TINY
from picture_server import serving

import nst_lab
from nst_lab.errors import ConfigError, FetchError
from nst_lab.images import catalog, fetch
from nst_lab.images.pictures import image_size, load_image
from nst_lab.running import runs

PAINTING = (CHECKOUT / "nst_lab/assets/paintings/ink_wash.png").read_bytes()
SHA256 = hashlib.sha256(PAINTING).hexdigest()
PAPER_IMAGES = {
    "neckarfront", "shipwreck", "starry_night", "the_scream", "composition_vii", "great_wave", "femme_nue_assise",
    "pebbles", "c17_fig3_content", "c17_fig3_style",
}  # fmt: skip
SEED_IMAGES = {f"seed_c{n}" for n in range(1, 11)} | {f"seed_s{n}" for n in range(1, 9)}


@pytest.fixture(autouse=True)
def _no_waiting(own_folders, monkeypatch):
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr(fetch, "TIMEOUT", (5, 0.3))


@pytest.fixture(scope="module")
def server():
    with serving(PAINTING) as running:
        yield running


@pytest.fixture
def served(own_catalog, server):
    """An image called `served`, of this server."""

    def write(behaviour: str, sha256: str = SHA256, size: int = len(PAINTING)) -> None:
        url = server.url(behaviour)
        own_catalog(f"served: {{title: Served, url: '{url}', sha256: {sha256}, bytes: {size}}}")

    return write


def cached(tmp_path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*")) if (tmp_path / "cache").exists() else []


# What the shipped catalog says


def test_the_catalog_has_every_image_of_the_papers_and_of_the_seed_project():
    fetched = {name for name, entry in catalog.entries().items() if entry.url}
    assert fetched == PAPER_IMAGES | SEED_IMAGES


@pytest.mark.parametrize("name", sorted(PAPER_IMAGES | SEED_IMAGES))
def test_what_is_fetched_is_pinned_and_has_a_stand_in(name):
    entry = catalog.entries()[name]
    assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/\S+\.jpg", entry.url)
    assert entry.sha256
    assert entry.bytes > 6000
    assert entry.pixels or name in SEED_IMAGES
    assert entry.title
    assert entry.rights
    assert catalog.entries()[catalog.stand_in(name)].package
    catalog.check(name)


def test_what_is_built_in_is_there_and_has_the_size_that_the_catalog_says():
    built_in = [name for name, entry in catalog.entries().items() if entry.package]
    assert len(built_in) >= 20
    for name in built_in:
        assert image_size(name) == tuple(load_image(name).shape[-2:]), name
        assert catalog.stand_in(name) == name


def test_a_credit_names_the_artist_the_year_and_the_rights():
    assert catalog.credit("starry_night") == "The Starry Night, Vincent van Gogh 1889 (public domain)"
    assert catalog.credit("neckarfront") == "Neckarfront in Tübingen, Andreas Praefcke (CC BY 3.0)"
    assert catalog.credit("/some/photo.jpg") == "photo.jpg"


def test_a_catalog_needs_neither_torch_nor_a_network_library_to_be_asked():
    code = (
        "import sys\nfrom nst_lab.images import catalog\ncatalog.check('starry_night')\ncatalog.credit('chelsea')\n"
        "assert not {'torch', 'pooch', 'requests', 'skimage', 'PIL'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# Checking and identifying without the network


def test_a_configuration_with_paper_images_is_valid_and_identified_without_fetching(monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "download", lambda *_: pytest.fail("fetched"))
    config = nst_lab.compose([*TINY, "content=neckarfront", "style=turner_and_munch"])
    hashes = runs.identify(config).hashes
    assert hashes["content"] == catalog.entries()["neckarfront"].sha256
    assert image_size("the_scream") == (1528, 1200)
    assert cached(tmp_path) == []


def test_the_identity_is_the_same_before_and_after_fetching(served):
    served("well")
    before = catalog.sha256("served")
    assert hashlib.sha256(catalog.locate("served").read_bytes()).hexdigest() == before


def test_a_name_unknown_is_one_line_with_names_and_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean starry_night\?") as caught:
        catalog.check("stary_night")
    assert "chelsea" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_cannot_fetch_fails_with_that_line_and_the_others_go_on(here, capsys, served):
    from nst_lab.app import command

    served("404")
    assert command(["-m", *TINY, "name=mixed", "content.image=served,chelsea"]) == 1
    error = capsys.readouterr().err
    assert "served: cannot be fetched from 127.0.0.1 (404" in error
    assert "Traceback" not in error
    assert (here / "outputs/mixed/grid.png").is_file()


# Mirror


def test_the_mirror_comes_first_by_either_name(served, tmp_path, monkeypatch, server):
    served("well")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("NST_LAB_MIRROR", str(mirror))
    asked = server.asked["well"]
    for name in ("served.png", "picture.png"):
        (mirror / name).write_bytes(PAINTING)
        assert catalog.locate("served") == mirror / name
        assert catalog.where("served") == "mirror"
        (mirror / name).unlink()
    assert server.asked["well"] == asked


def test_a_wrong_file_in_the_mirror_is_refused_in_one_line(served, tmp_path, monkeypatch):
    served("well")
    (tmp_path / "served.png").write_bytes(PAINTING[:-1])
    monkeypatch.setenv("NST_LAB_MIRROR", str(tmp_path))
    with pytest.raises(FetchError, match=r"served: .*served\.png of NST_LAB_MIRROR is another picture or damaged"):
        catalog.locate("served")
    assert catalog.where("served") == "wrong file"


def test_an_image_is_found_in_the_mirror_under_another_name_of_the_same_picture(own_catalog, tmp_path, monkeypatch):
    entry = "url: https://example.org/{}.png, sha256: " + SHA256
    own_catalog(f"one: {{{entry.format('a')}}}\ntwo: {{{entry.format('b')}}}\n")
    (tmp_path / "one.png").write_bytes(PAINTING)
    monkeypatch.setenv("NST_LAB_MIRROR", str(tmp_path))
    assert catalog.locate("two") == tmp_path / "one.png"


def test_a_mirror_that_is_no_folder_is_refused_when_the_configuration_is_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("NST_LAB_MIRROR", str(tmp_path / "none"))
    catalog.check("chelsea")
    with pytest.raises(ConfigError, match=r"NST_LAB_MIRROR=.*none: not a folder"):
        nst_lab.compose(["content=neckarfront"])


# Cache and download


@pytest.mark.parametrize("behaviour", ["well", "moved", "404_once", "500_twice"])
def test_a_download_is_kept_and_used_again(served, server, behaviour, tmp_path):
    served(behaviour)
    server.asked.clear()
    received = []
    path = catalog.locate("served", progress=received.append)
    assert path.read_bytes() == PAINTING
    assert cached(tmp_path) == [path]
    assert received[-1] == len(PAINTING)
    asked = sum(server.asked.values())
    assert catalog.locate("served") == path
    assert sum(server.asked.values()) == asked
    assert catalog.where("served") == "cached"
    assert load_image("served").shape == (1, 3, 512, 400)


FAILURES = {
    "wrong": "other bytes than expected",
    "cut": "the connection broke off",
    "hang": "no answer in time",
    "long": f"more than the expected {len(PAINTING)} bytes",
    "404": "404 Not Found",
    "500": "500 Internal Server Error",
    "moved_to_http": "redirected to http://192.0.2.1/a.png, which is not https",
}


@pytest.mark.parametrize(("behaviour", "reason"), FAILURES.items(), ids=FAILURES)
def test_a_failed_download_is_one_line_with_the_remedy_and_leaves_nothing(served, server, tmp_path, behaviour, reason):
    served(behaviour)
    server.asked.clear()
    with pytest.raises(FetchError) as caught:
        catalog.locate("served")
    line = str(caught.value)
    assert line.startswith(f"served: cannot be fetched from 127.0.0.1 ({reason}); ")
    assert "NST_LAB_MIRROR" in line
    assert "served.png" in line
    assert "\n" not in line
    assert cached(tmp_path) == []
    assert server.asked[behaviour] == 1 + fetch.RETRIES


def test_without_a_network_the_line_says_what_to_do(own_catalog):
    own_catalog(f"far: {{url: 'http://127.0.0.1:1/far.png', sha256: {SHA256}}}")
    with pytest.raises(FetchError, match=r"far: cannot be fetched from .* \(no connection\); .*NST_LAB_MIRROR"):
        load_image("far")


def test_a_damaged_file_in_the_cache_is_fetched_again(served, tmp_path):
    served("well")
    path = catalog.locate("served")
    path.write_bytes(PAINTING[:1000])
    assert catalog.where("served") == "to fetch"
    assert catalog.locate("served").read_bytes() == PAINTING


def test_a_cache_that_cannot_be_written_is_one_line(served, tmp_path, monkeypatch):
    served("well")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NST_LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FetchError, match=r"served: .*cache cannot be written .*NST_LAB_CACHE"):
        catalog.locate("served")
