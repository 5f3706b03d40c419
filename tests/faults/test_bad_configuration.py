"""Whatever stands on a command line or in a user's file is carried out or refused in one line that names it."""

import io
import os
import random
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from conftest import TINY
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nasty_words import CONVENTIONS, KEYS, SECTIONS, TEXTS, VALUES

from nst_lab import app
from nst_lab.command_line import printable
from nst_lab.comparison import command as comparison
from nst_lab.config.checks import schema_keys
from nst_lab.config.composition import Composer
from nst_lab.errors import ConfigError
from nst_lab.figures import command as figures
from nst_lab.housekeeping import command as housekeeping
from nst_lab.images import catalog
from nst_lab.images import command as images
from nst_lab.network import measure
from nst_lab.search import command as searches

pytestmark = pytest.mark.timeout(240)

LONG = {"max_examples": 100, "derandomize": True, "deadline": None, "database": None}


def answer(command, *arguments: str) -> tuple[int, str]:
    """Exit status of a command, and the one line of a refusal."""
    errors = io.StringIO()
    with redirect_stderr(errors), redirect_stdout(io.StringIO()):
        status = command(arguments)
    told = errors.getvalue()
    if status == 2:
        assert told.count("\n") == 1, told
        assert told.endswith("\n")
        assert told.isascii() or told[:-1].isprintable()
    return status, told


def named(line: str, override: str) -> bool:
    """Whether a refusal speaks of an override: of its key, or its section, or of all of it."""
    key = override.lstrip("+~").partition("=")[0]
    words = [*key.split("@"), key.partition(".")[0] if key.partition(".")[0] in SECTIONS else key]
    if key.startswith("hydra."):
        words.append(".".join(key.split(".")[:2]))
    return any(word and word in line for word in words) or printable(override) in line


overrides = st.builds(
    "{}{}{}={}".format,
    st.sampled_from(["", "", "", "", "+", "++", "~"]),
    st.sampled_from(KEYS),
    st.sampled_from(["", "", "", "", "", "@loss", "@_global_", "@a:b"]),
    st.sampled_from(VALUES),
)
words = st.one_of(
    overrides,
    overrides,
    overrides,
    st.sampled_from(KEYS).map("~{}".format),
    st.text(max_size=30).filter(lambda text: text[:1] != "-"),
)


@pytest.mark.timeout(300)
@settings(**LONG, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(words, min_size=1, max_size=4), st.sampled_from([(), ("-m",)]))
@example(["style.images=[[mosaic]]"], ())
@example(["out_dir='~nobody_of_this_name/x'"], ())
@example(["hydra.sweeper=null"], ())
@example(["loss=null"], ())
@example(["seed=range(1,1000)", "model.seed=range(1,1000)"], ("-m",))
@example(['name=${oc.env:NOT_THERE,"a name"}'], ())
def test_a_command_line_is_taken_or_refused_in_one_line_that_names_its_mistake(given_words, flags):
    """Everything is checked, and then printed instead of run."""
    status, told = answer(app.command, *flags, *TINY, "--cfg", "job", *given_words)
    assert status in (0, 2)
    if status == 2:
        assert told.startswith("nst-lab: ")
        assert any(named(told, word) for word in given_words), told
    else:
        assert told == ""


def refusal(composer: Composer, override: str) -> str | None:
    try:
        [parsed] = composer.parse([override])
        if not parsed.is_sweep_override():  # which is split before
            composer.cell([*TINY, override])
    except ConfigError as error:
        return printable(str(error))
    return None


def test_every_key_takes_or_refuses_a_value_of_any_kind():
    """Six values of each key: others for every one, and always the same."""
    composer, draws = Composer(), random.Random(0)
    for key in schema_keys():
        for value in draws.sample([value for value in VALUES if "(" not in value], 6):
            override = f"{key}={value}"
            line = refusal(composer, override)
            assert line is None or named(line, override), (override, line)


@pytest.mark.parametrize(
    "word",
    [
        "device=cuda:999999999999999999999999", "size=99999999999999999999999999", "style.size=99999999999999999999",
        "scales=[{factor:1e308,share:1},{factor:1,share:1}]", "scales=[{factor:1,share:1e308},{factor:1,share:1e308}]",
        "scales=[{factor:1e-320,share:1},{factor:1,share:1}]", "log.images=1000000000", "out_dir='a\0b'",
        "out_dir=/dev/null", "out_dir=" + "x" * 300, "content.image=/dev/zero", "loss.style_weight=1e999",
    ],
    ids=lambda word: ascii(word[:40]),
)  # fmt: skip
def test_what_would_fail_in_the_run_is_refused_before_it(word, here):
    status, told = answer(app.command, *TINY, "dry_run=true", word)
    assert status == 2
    key = word.partition("=")[0]
    assert key in told or told.startswith("nst-lab: size=32: the result becomes 1x1 pixels at the coarsest scale")
    assert not list(here.iterdir())


@pytest.mark.parametrize("device", ["/dev/zero", "fifo", "."])
def test_a_file_that_never_ends_is_none(device, here, own_catalog, monkeypatch):
    os.mkfifo("fifo")
    status, told = answer(app.command, "model.normalized=true", f"model.means={device}", "--cfg", "job")
    assert (status, told.startswith(f"nst-lab: model.means={device}: ")) == (2, True)
    monkeypatch.setenv("NST_LAB_CATALOG", device)
    status, told = answer(images.command, "list")
    assert (status, told.startswith(f"nst-images: NST_LAB_CATALOG: {device}: ")) == (2, True)


@pytest.mark.parametrize(
    "flags",
    [
        ["--cfg", "job", "--package", "nothing"], ["--cfg", "job", "-p", ""], ["--cfg", "job", "-p", "loss..x"],
        ["--cfg", "nothing"], ["--cfg"], ["--info", "nothing"], ["--config-dir"], ["--config-dir", "a\0b"],
        ["--config-dir", "~nobody_of_this_name/x"], ["--config-dir", "/dev/null"], ["--run", "--multirun"],
        ["--nothing"], ["-m", "-x"], ["--cfg", "job", "--info"], ["-c", "job", "--resolve=3"], ["--"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_flags_that_are_none_are_refused(flags, here):
    status, told = answer(app.command, *flags, "size=abc")
    assert status == 2
    assert told.startswith("nst-lab: ")


def file_of_the_user(here: Path, kind: str, text: bytes) -> Path:
    path = here / "mine" / kind / "mine.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


COMMANDS = {
    "experiment": (app.command, ["--config-dir", "mine", "--cfg", "job", "experiment=mine"], "nst-lab: "),
    "style": (app.command, ["--config-dir", "mine", "--cfg", "job", "style=mine"], "nst-lab: "),
    "figure": (figures.command, ["--config-dir", "mine", "figure=mine", "dry_run=true"], "nst-figure: figure=mine: "),
    "search": (searches.command, ["--config-dir", "mine", "mine", "dry_run=true"], "nst-search: "),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_file_of_the_users_is_taken_or_refused_in_one_line_and_never_obeyed(kind, here):
    command, arguments, beginning = COMMANDS[kind]
    for what, text in TEXTS.items():
        header = b"# @package _global_\n" if kind == "experiment" else b""
        file_of_the_user(here, kind, header + text)
        status, told = answer(command, *arguments)
        assert status == 2 or (kind in ("experiment", "style") and status == 0), what
        assert told.startswith(beginning) or not told, (what, told)
        assert [path.name for path in here.iterdir()] == ["mine"], what


@pytest.mark.parametrize("text", [*TEXTS.values(), *CONVENTIONS.values()], ids=[*TEXTS, *CONVENTIONS])
def test_a_convention_of_the_users_is_refused_in_one_line(text, here):
    file_of_the_user(here, "convention", text)
    status, _ = answer(app.command, "--config-dir", "mine", "--cfg", "job", "convention=mine")
    assert status == 2
    assert "pwned" not in [path.name for path in here.iterdir()]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_catalog_of_the_users_is_refused_in_one_line_that_names_it(text, own_catalog, here):
    path = own_catalog("")
    path.write_bytes(text)
    catalog._entries.cache_clear()
    status, told = answer(images.command, "list")
    assert status == 2
    assert told.startswith(f"nst-images: NST_LAB_CATALOG: {path}: ")
    assert [each.name for each in here.iterdir()] == [path.name]


DIGITS = "9" * 5000
OTHERS = {
    figures: (
        "figure=", "figure=a\0b", "figure=[a]", "figure=../x", "figure=" + "x" * 3000, "+figure=x", "~figure",
        "list list",
        "figure=gatys2015_fig2 size=1e999", "figure=gatys2015_fig2 size=" + DIGITS, "figure=gatys2015_fig2 quality=[a]",
        "figure=gatys2015_fig2 out_dir=a\0b dry_run=true", "figure=gatys2015_fig2 name=/ dry_run=true images=built_in",
        "figure=gatys2015_fig2 evaluations={} images=built_in", "figure=gatys2015_fig2 hydra.sweeper=null",
        "--config-dir /dev/null", "--config-dir a\0b figure=x", "figure=gatys2015_fig2 size=\udce9",
    ),
    comparison: (
        "", "nowhere", "a\0b", "x" * 3000, ". --max-content nan", ". --max-content 1e999", ". --where =", ". --where a",
        "\udce9", ". --nothing", "--csv", "/dev/zero",
    ),
    housekeeping: (
        "", "nothing", "list a\0b", "list nowhere", "list --status ,", "list --status \x1b", "list --sort nothing",
        "clean --older-than 1e9", "clean --older-than -1d", f"clean --older-than {DIGITS}d", "size " + "x" * 3000,
        "clean --completed", "clean", "list \udce9", "list /dev/zero",
    ),
    searches: (
        "", "nothing", "a\0b", "a\0b.yaml", "x" * 300, "x" * 300 + ".yaml", "/dev/zero", "fifo.yaml", "folder.yaml",
        f"alpha_over_beta --trials {DIGITS}", "alpha_over_beta --trials 1e3", "alpha_over_beta --trials -1",
        "~nobody_of_this_name/x.yaml", "alpha_over_beta size=" + DIGITS, "alpha_over_beta name=/", "alpha_over_beta x",
        "alpha_over_beta hydra.mode=RUN", "alpha_over_beta --config-dir a\0b",
    ),
    measure: (
        "", "nowhere", "folder.yaml", "folder.yaml --output", "folder.yaml --output x --size abc", "nowhere --output x",
        "folder.yaml --output x --weights random", "a\0b --output x --weights random",
        "folder.yaml --output x --weights nothing", f"folder.yaml --output x --weights random --seed {10**30}",
        "folder.yaml --output x --weights random --seed -1", "folder.yaml --output x --weights random --device cpu:x",
        "folder.yaml --output x --nothing",
    ),
    images: (
        "", "nothing", "fetch", "fetch a\0b", "fetch \udce9", "fetch " + "x" * 3000, "list --sheet a.gif",
        "list --sheet a\0b.png", "list --sheet /dev/null/a.png", "list --sheet folder.yaml", "list --sheet", "list x",
    ),
}  # fmt: skip
CALLS = [(module, words) for module, calls in OTHERS.items() for words in calls]


@pytest.mark.parametrize(("module", "line"), CALLS, ids=lambda part: ascii(getattr(part, "__name__", part))[:60])
def test_the_other_commands_refuse_in_one_line_too(module, line, here):
    os.mkfifo("fifo.yaml")
    Path("folder.yaml").mkdir()
    status, told = answer(module.command, *line.split(" ") if line else [])
    assert status == 2
    assert told.startswith("nst-")
    assert sorted(path.name for path in here.iterdir()) == ["fifo.yaml", "folder.yaml"]
