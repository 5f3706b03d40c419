"""A catalog of the user's own: what it adds, what it replaces, and the one line that a mistake in it gets."""

import pytest
from conftest import CHECKOUT

import nst_lab
from nst_lab.errors import ConfigError, FetchError
from nst_lab.images import catalog
from nst_lab.images.pictures import load_image

PAINTING = CHECKOUT / "nst_lab/assets/paintings/ink_wash.png"
PINNED = f"sha256: {'ab' * 32}"


def test_own_entries_are_added_and_take_the_place_of_shipped_ones(own_catalog, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/me.png").write_bytes(PAINTING.read_bytes())
    own_catalog(
        "me: {title: Self-portrait, artist: I, year: 2026, rights: mine, path: pictures/me.png}\n"
        "chelsea: {path: pictures/me.png, stand_in: coffee}\n"
    )
    assert catalog.locate("me") == tmp_path / "pictures/me.png"
    assert catalog.credit("me") == "Self-portrait, I 2026 (mine)"
    assert catalog.where("me") == "own file"
    assert load_image("chelsea").shape == (1, 3, 512, 400)
    assert catalog.stand_in("chelsea") == "coffee"
    assert nst_lab.compose(["content.image=me"]).content.image == "me"
    assert catalog.short_names(["me", "me"]) == ["me_1", "me_2"]


def test_an_own_file_is_verified_where_its_hash_is_given(own_catalog, tmp_path):
    (tmp_path / "me.png").write_bytes(PAINTING.read_bytes()[1:])
    own_catalog(f"me: {{path: me.png, {PINNED}}}")
    with pytest.raises(FetchError, match=r"me: .*me\.png is another picture or damaged"):
        catalog.locate("me")


MISTAKES = {
    "- a": "expected names of images",
    "a: [1": "not YAML",
    "a: 3": "a: expected keys among title, artist",
    "a: {}": "a: expected one source, path, url with sha256, or package with file; found none",
    "a: {path: x.png, path: y.png}": "path is given twice",
    "a: {path: x.png, titel: T}": "a: titel: no such key; valid: title, artist",
    "a: {path: x.png, package: skimage, file: x}": "found package and path",
    "a: {package: skimage}": "a: package needs file",
    "a: {url: https://example.org/x.png}": "a: url needs sha256",
    f"a: {{url: 'http://example.org/x.png', {PINNED}}}": "an address that begins with https://",
    f"a: {{url: 'file:///etc/x.png', {PINNED}}}": "an address that begins with https://",
    f"a: {{url: 'https://example.org/', {PINNED}}}": "the name of a file with an extension",
    "a: {url: https://example.org/x.png, sha256: abc}": "sha256=abc: expected 64 hexadecimal digits",
    "a: {path: x.png, pixels: 3}": "pixels=3: expected width and height, such as 1024x768",
    "a: {path: x.png, bytes: -1}": "bytes=-1: expected a whole number greater than 0",
    "a: {path: x.png, year: [1]}": "year=[1]: expected a year",
    "a: {path: x.png, title: ''}": "title=: expected a line of text",
    "a: {path: x.png, stand_in: nothing}": "stand_in=nothing: expected an image without a url",
    "a: {path: x.png, stand_in: neckarfront}": "stand_in=neckarfront: expected an image without a url",
    "a/b: {path: x.png}": "a/b: a name is made of letters",
    "1: {path: x.png}": "1: a name is made of letters",
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_in_ones_own_catalog_is_one_line(own_catalog, text, expected):
    path = own_catalog(text)
    with pytest.raises(ConfigError) as caught:
        catalog.entries()
    line = str(caught.value)
    assert line.startswith(f"NST_LAB_CATALOG: {path}: ")
    assert expected in line
    assert "\n" not in line


def test_an_own_catalog_that_is_absent_or_no_text_is_one_line(own_catalog, tmp_path, monkeypatch):
    own_catalog("").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"not a text file in UTF-8"):
        catalog.entries()
    monkeypatch.setenv("NST_LAB_CATALOG", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read \(No such file"):
        nst_lab.compose([])


@pytest.mark.parametrize("source", ["path: gone.png", "package: skimage, file: gone.png", "package: a..b, file: x"])
def test_a_source_that_is_not_there_is_found_when_the_configuration_is_checked(own_catalog, source):
    own_catalog(f"gone: {{{source}}}")
    with pytest.raises(ConfigError, match=r"content\.image=gone"):
        nst_lab.compose(["content.image=gone"])
    assert catalog.where("gone") == "missing"
