"""What a search says: values on their way to a run, and the one line of a mistake."""

import re
from pathlib import Path

import pytest
from conftest import CHECKOUT
from hypothesis import given
from hypothesis import strategies as st
from searches import LONG, SEARCH, write

import nst_lab
from nst_lab.config.composition import Composer
from nst_lab.config.grammar import override_value
from nst_lab.errors import ConfigError
from nst_lab.search.command import command
from nst_lab.search.plan import read_plan


def test_what_the_command_line_sets_is_not_searched(here):
    searched = read_plan(LONG, ["style.images=[mosaic]"])
    assert list(searched.space) == ["loss.content_weight"]
    assert list(read_plan(LONG, ["style=mosaic"]).space) == ["loss.content_weight"]
    assert list(read_plan(LONG, ["loss.content_weight=1"]).space) == ["style"]
    with pytest.raises(ConfigError, match=r"the command line sets all of its space: loss.content_weight, style"):
        read_plan(LONG, ["loss.content_weight=1", "style=mosaic"])


def test_a_users_folder_adds_searches_and_replaces_shipped_ones(here):
    (here / "my/search").mkdir(parents=True)
    write(SEARCH | {"name": "own"}, "my/search/own.yaml")
    write(SEARCH | {"name": "replaced"}, "my/search/alpha_over_beta.yaml")
    assert read_plan("own", config_dir="my").probes[0].name == "own"
    assert read_plan("alpha_over_beta", config_dir="my").probes[0].name == "replaced"


def test_every_shipped_search_is_sound_and_names_its_command_and_time():
    files = sorted((CHECKOUT / "conf/search").glob("*.yaml"))
    assert files
    for file in files:
        plan = read_plan(file.stem)
        assert plan.probes[0].name == file.stem
        header = file.read_text().split("name:")[0]
        assert f"Command: nst-search {file.stem}" in header
        assert "Expected:" in header


def test_the_search_of_the_readme_is_sound(here):
    [text] = re.findall(r"```yaml\n(# my_search.yaml\n.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
    Path("my_search.yaml").write_text(text)
    plan = read_plan("my_search.yaml")
    assert plan.probes[0].name == "my_search"
    assert len(plan.space) == 4


def test_a_search_is_no_group_of_a_run():
    with pytest.raises(ConfigError, match=r"search=alpha_over_beta: .*nst-search alpha_over_beta"):
        nst_lab.compose(["search=alpha_over_beta"])


TEXTS = st.text(st.characters(exclude_categories=["C"], exclude_characters="$"), min_size=1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), values),
    max_leaves=5,
)


@given(VALUES)
def test_a_value_is_read_back_from_its_override(value):
    [override] = COMPOSER.parse([f"content.image={override_value(value)}"])
    assert override.value() == value


COMPOSER = Composer()

# What is changed of a sound search -> what the line must contain.
MISTAKES = [
    ({"trails": 3}, "trails=3: no such key; valid: name, trials,", "did you mean trials?"),
    ({"name": None}, "name=null: needed"),
    ({"trials": 0}, "trials=0: expected at least 1"),
    ({"trials": 1.5}, "trials=1.5: expected a whole number"),
    ({"startup_trials": True}, "startup_trials=true: expected a whole number"),
    ({"seed": -1}, "seed=-1: expected at least 0"),
    ({"minimise": "stlye"}, "minimise=stlye: no distance", "swd/starry_strokes", "did you mean style?"),
    ({"minimise": "style/mosaic"}, "minimise=style/mosaic: no distance", "style/starry_strokes"),
    ({"at_most": ["content"]}, "at_most: expected keys with values, got [content]"),
    ({"at_most": {"contnt": 1}}, "at_most.contnt: no distance", "did you mean content?"),
    ({"at_least": {"ssim": "low"}}, "at_least.ssim=low: expected a number"),
    ({"overrides": "size=32"}, "overrides=size=32: expected a list of texts"),
    ({"overrides": ["sise=32"]}, "sise=32: no such key", "did you mean size?"),
    ({"overrides": ["size=32,64"]}, "size=32,64: several values are searched as choices"),
    ({"overrides": ["hydra/launcher=processes"]}, "hydra/launcher=processes: not supported"),
    ({"overrides": ["force=true"]}, "force=true: not supported"),
    ({"overrides": ["log.distances=false"]}, "log.distances=false: a search needs the distances"),
    ({"overrides": ["device=cuda:99"]}, "device=cuda:99: not available"),
    ({"overrides": ["content=none", "loss.content_weight=0", "init=noise"], "at_most": {"content": 1}},
     "at_most.content: no distance", "valid: style, style/starry_strokes"),
    ({"space": {}}, "space={}: expected keys with what to search"),
    ({"space": [1]}, "space: expected keys with values, got [1]"),
    ({"space": {"size": "32..64"}}, "space.size: expected keys with values, got 32..64"),
    ({"space": {"loss.contnt_weight": {"low": 1, "high": 2}}}, "no such key", "did you mean loss.content_weight?"),
    ({"space": {"loss.content_weight": {"low": 2, "high": 1}}}, "space.loss.content_weight.low=2: expected less than"),
    ({"space": {"loss.content_weight": {"low": 2}}}, "space.loss.content_weight.high: needed"),
    ({"space": {"loss.content_weight": {"low": 2, "hi": 3}}}, "space.loss.content_weight.hi=3: no such key"),
    ({"space": {"loss.content_weight": {"low": -1, "high": 2}}}, "loss.content_weight=-1: expected a finite number"),
    ({"space": {"loss.content_weight": {"low": 0, "high": 2, "log": True}}}, "low=0: expected more than 0"),
    ({"space": {"loss.content_weight": {"low": 1, "high": 2, "log": True, "step": 1}}}, "step=1: not on a log scale"),
    ({"space": {"loss.content_weight": {"low": 1, "high": float("inf")}}}, "high=inf: expected a finite number"),
    ({"space": {"size": {"low": 32, "high": 40, "step": 3}}}, "size.step=3: expected a whole number of steps"),
    ({"space": {"size": {"low": 32.5, "high": 40}}}, "space.size.low=32.5: expected a whole number"),
    ({"space": {"size": {"choices": [32, 4]}}}, "size=4: the result becomes 4x3 pixels"),
    ({"space": {"style": {"low": 1, "high": 2}}}, "space.style=", "expected {choices: […]}"),
    ({"space": {"style": {"choices": ["mosaic", "monet"]}}}, "style=monet: no such choice"),
    ({"space": {"style": {"choices": ["mosaic"]}}}, "space.style.choices=[mosaic]: expected a list of different"),
    ({"space": {"style": {"choices": ["mosaic", "mosaic"]}}}, "expected a list of different values, two or more"),
    ({"space": {"size": {"choices": [32, 33], "low": 3}}}, "space.size.low=3: no such key; valid: choices"),
    ({"space": {"threads": {"low": 1, "high": 2}}}, "space.threads=", "no setting that a picture depends on"),
    ({"space": {"hydra/launcher": {"choices": ["a", "b"]}}}, "no setting that a picture depends on"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "parts"), [(change, parts) for change, *parts in MISTAKES], ids=str)
def test_a_mistake_in_a_search_is_one_line_and_exits_2_before_any_work(here, capsys, change, parts):
    sound = {"name": "sound", "trials": 2, "minimise": "style", "space": {"seed": {"low": 0, "high": 9}}}
    assert command([write(sound | change)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-search: ")
    for part in parts:
        assert part in line
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "a search is needed, such as alpha_over_beta"),
        (["alpha_over_bet"], "no such search; valid: alpha_over_beta, or the path of a .yaml file; did you mean"),
        (["absent.yaml"], "absent.yaml: no such file"),
        (["alpha_over_beta", "--trials", "many"], "invalid int value: 'many'"),
        (["alpha_over_beta", "--trials", "0"], "trials=0: expected at least 1"),
        (["alpha_over_beta", "--trails", "3"], "--trails 3; nst-search --help says more"),
        (["alpha_over_beta", "loss.content_weight=1e6"], "the command line sets all of its space"),
        (["alpha_over_beta", "size=1,2"], "size=1,2: several values"),
        (["alpha_over_beta", "--config-dir", "nowhere"], "--config-dir nowhere: not a folder"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exits_2(here, capsys, arguments, expected):
    assert command(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize("text", [b"a: [1,\nb", b"", b"- 1", b"\xff\xfe\x00", b"name: 1\nname: 2", b"name: ${foo}"])
def test_a_file_that_is_no_search_is_one_line(here, capsys, text):
    Path("odd.yaml").write_bytes(text)
    assert command(["odd.yaml"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nst-search: odd.yaml: ")
