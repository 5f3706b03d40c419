"""A whole transfer on tiny pictures: sizes, schedules, starts, repeatability, what the result says of itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nst_lab import Result, compose, transfer
from nst_lab.config.schema import Config, Scale
from nst_lab.errors import ConfigError
from nst_lab.images.pictures import resize, target_size
from nst_lab.losses.objective import Objective, needed_taps
from nst_lab.network.vgg import VGG19, build_network
from nst_lab.network.weights import load_weights, prepare_weights
from nst_lab.optimisation.initial import noise_image
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.scales import split_budget
from nst_lab.optimisation.synthesis import Synthesis, resolve_device

TINY = ["model.weights=random", "model.normalized=false", "layers.content=[relu2_1]", "layers.style=[relu1_1,relu2_1]"]
TWO_SCALES = "scales=[{factor: 0.5, share: 0.5},{factor: 1, share: 0.5}]"
THREE_SCALES = "scales=[{factor: 0.25, share: 0.5},{factor: 0.5, share: 0.3},{factor: 1, share: 0.2}]"


def tiny(*overrides: str) -> Config:
    return compose([*TINY, "size=32", "optimizer.evaluations=4", *overrides])


def picture(height: int, width: int, seed: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


CONTENT, STYLE, OTHER = picture(24, 40, 0), picture(36, 30, 1), picture(20, 20, 2)


@pytest.fixture(scope="module")
def network() -> VGG19:
    config = tiny()
    return build_network(config.model, load_weights("random", config.model.seed), needed_taps(config))


def record(config: Config, network: VGG19 | None = None, content: Tensor | None = CONTENT) -> list[Step]:
    return list(Synthesis(Inputs(content, {"starry_strokes": STYLE}), config, network))


def transfer_steps(config: Config) -> tuple[Result, list[Step]]:
    steps: list[Step] = []
    return transfer(CONTENT, [STYLE], config, on_step=steps.append), steps


@pytest.mark.parametrize("rule", ["longer", "shorter", "height", "area", "exact"])
def test_the_result_has_the_contents_aspect_by_the_size_rule(rule: str, network: VGG19) -> None:
    steps = record(tiny(f"size_rule={rule}", "optimizer.evaluations=1"), network)
    assert steps[-1].image.shape[-2:] == target_size(24, 40, 32, rule)


def test_the_style_has_its_own_size(network: VGG19) -> None:
    losses = record(tiny("style.size=17", "optimizer.evaluations=1"), network)[0].losses
    content, style = resize(CONTENT, 19, 32), resize(STYLE, 17, 14)
    expected = Objective(network, content, {"starry_strokes": style}, tiny())(content)
    assert losses.to_floats()["terms"] == pytest.approx(expected.to_floats()["terms"], rel=1e-5)


def test_a_texture_needs_no_content_and_has_the_first_styles_aspect() -> None:
    result = transfer(
        None, [STYLE], tiny("content=none", "loss.content_weight=0", "init=noise", "optimizer.evaluations=8")
    )
    assert result.image.shape == (1, 3, 32, 27)
    assert result.losses["content"] == 0
    assert result.losses["total"] < result.history[0]


def test_a_result_is_a_clipped_picture_with_its_numbers() -> None:
    result, steps = transfer_steps(tiny("init=noise", "optimizer.evaluations=6"))
    assert result.image.dtype == torch.float32
    assert 0 <= result.image.min() <= result.image.max() <= 1
    assert (result.evaluations, result.stop.reason) == (6, "budget")
    assert result.history == [step.losses.total.item() for step in steps]
    assert result.seconds > 0


def test_the_losses_of_a_result_belong_to_its_picture(network: VGG19) -> None:
    result, steps = transfer_steps(tiny("init=content", "optimizer.evaluations=5"))
    last = [step for step in steps if step.accepted][-1]
    assert torch.equal(result.image, last.image.clamp(0, 1))
    content, style = resize(CONTENT, 19, 32), resize(STYLE, 32, 27)
    again = Objective(network, content, {"starry_strokes": style}, tiny())(last.image).to_floats()
    assert result.losses["terms"] == pytest.approx(again["terms"], rel=1e-5)
    assert result.losses["total"] == pytest.approx(again["total"], rel=1e-5)


def test_a_run_that_ends_on_a_rejected_trial_returns_the_last_accepted_picture(network: VGG19) -> None:
    eager = ["init=noise", "optimizer.learning_rate=20"]
    steps = record(tiny(*eager, "optimizer.evaluations=30"), network)
    rejected = next(index for index, step in enumerate(steps) if not step.accepted)
    result = transfer(CONTENT, [STYLE], tiny(*eager, f"optimizer.evaluations={rejected + 1}"))
    accepted = steps[rejected - 1]
    assert result.evaluations == rejected + 1
    torch.testing.assert_close(result.image, accepted.image.clamp(0, 1))
    assert result.losses["total"] == pytest.approx(accepted.losses.total.item())
    assert result.losses["total"] < result.history[-1]


def test_evaluations_are_numbered_through_all_scales(network: VGG19) -> None:
    steps = record(tiny(THREE_SCALES, "optimizer.evaluations=10"), network)
    assert [step.evaluation for step in steps] == list(range(1, 11))
    assert [step.scale for step in steps] == [0] * 5 + [1] * 3 + [2] * 2
    assert [step.image.shape[-1] for step in steps] == [8] * 5 + [16] * 3 + [32] * 2
    assert [step.last for step in steps] == [False] * 9 + [True]
    assert [step.evaluation for step in steps if step.stop] == [5, 8, 10]


def test_a_scale_starts_from_the_picture_of_the_one_before(network: VGG19) -> None:
    config = tiny(TWO_SCALES, "optimizer.evaluations=6")
    steps = record(config, network)
    before = [step for step in steps if step.scale == 0 and step.accepted][-1].image
    after = next(step for step in steps if step.scale == 1).image
    torch.testing.assert_close(after, resize(before, 19, 32, clip=False))


def test_evaluations_that_a_scale_saves_go_to_the_following_ones(network: VGG19) -> None:
    """The first scale starts at a perfect match, so it converges at once."""
    config = tiny("init=style", "loss.content_weight=0", "scales=[{factor: 0.5, share: 0.9},{factor: 1, share: 0.1}]")
    steps = list(Synthesis(Inputs(None, {"starry_strokes": picture(32, 32, 5)}), config, network))
    assert steps[0].stop.reason == "converged"
    assert [step.scale for step in steps[:2]] == [0, 1]
    assert steps[-1].last


def test_the_last_stop_speaks_of_the_whole_run(network: VGG19) -> None:
    assert "6 evaluations" in record(tiny(TWO_SCALES, "optimizer.evaluations=6"), network)[-1].stop.detail


def test_what_is_not_finite_in_a_later_scale_is_named_with_the_evaluation_of_the_whole_run(network: VGG19) -> None:
    style = picture(32, 27, 1)
    style[..., 3, 3] = 1e30  # resizing clips it, so it is harmless until the full size
    config = tiny(TWO_SCALES, "optimizer.evaluations=6")
    last = list(Synthesis(Inputs(CONTENT, {"starry_strokes": style}), config, network))[-1]
    assert (last.stop.reason, last.evaluation, last.scale, last.last) == ("not_finite", 4, 1, True)
    assert last.stop.detail.endswith("at evaluation 4")


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8),
    st.integers(0, 500),
)
@settings(deadline=None)
def test_a_budget_is_split_into_parts_of_at_least_one(shares: list[float], extra: int) -> None:
    scales = [Scale(factor=1.0, share=share) for share in shares]
    budgets = split_budget(len(scales) + extra, scales)
    assert len(budgets) == len(scales)
    assert sum(budgets) == len(scales) + extra
    assert min(budgets) >= 1


@given(st.integers(2, 6), st.integers(1, 50))
def test_equal_shares_are_equal_budgets(count: int, each: int) -> None:
    assert split_budget(count * each, [Scale(factor=1.0, share=1.0)] * count) == [each] * count


def test_every_kind_of_start_is_the_first_picture_evaluated() -> None:
    style, file = picture(32, 32, 7), picture(32, 32, 8)
    content = picture(32, 32, 9)
    config = tiny("init.noise_std=0.1")
    noise = noise_image(32, 32, config.init, torch.Generator().manual_seed(0))
    expected = {
        "content": content,
        "style": style,
        "file": file,
        "gray": torch.full((1, 3, 32, 32), 0.5),
        "noise": noise,
        "mix": (content + noise) / 2,
    }
    for kind, image in expected.items():
        seen: list[Step] = []
        config = tiny("init.noise_std=0.1", f"init.kind={kind}", "init.image=chelsea", "optimizer.evaluations=1")
        transfer(content, [style], config, init=file, on_step=seen.append)
        torch.testing.assert_close(seen[0].image, image, msg=lambda text, kind=kind: f"{kind}: {text}")


def test_the_same_seed_gives_the_same_picture_and_another_seed_another() -> None:
    first, again, other = (transfer(CONTENT, [STYLE], tiny("init=noise", f"seed={seed}")) for seed in (3, 3, 4))
    assert torch.equal(first.image, again.image)
    assert first.history == again.history
    assert not torch.equal(first.image, other.image)


def test_a_shared_network_gives_the_same_pictures_as_one_of_its_own(network: VGG19) -> None:
    alone, shared = record(tiny()), record(tiny(), network)
    assert torch.equal(alone[-1].image, shared[-1].image)


def test_watching_does_not_alter_the_result() -> None:
    watched = transfer(CONTENT, [STYLE], tiny(), on_step=lambda step: step.image.zero_())
    assert torch.equal(watched.image, transfer(CONTENT, [STYLE], tiny()).image)


def refusal(*arguments: object, **named: object) -> str:
    with pytest.raises(ConfigError) as caught:
        transfer(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_picture_too_small_for_the_deepest_layer_is_refused_with_size_and_layer() -> None:
    deep = "layers.style=[relu1_1,relu5_1]"
    message = refusal(CONTENT, [STYLE], tiny(deep, "size=12"))
    assert "size=12" in message
    assert "relu5_1" in message
    assert "at least 16" in message
    assert "relu5_1" in refusal(CONTENT, [STYLE], tiny(deep, "size=32", "size_rule=exact", THREE_SCALES))
    assert "starry_strokes" in refusal(CONTENT, [STYLE], tiny(deep, "size_rule=exact", "style.size=15"))


def deepest_at(size: int, padding: str) -> Config:
    sizes = [f"size={size}", "size_rule=exact", "optimizer.evaluations=2"]
    return tiny("layers.style=[relu1_1,relu5_1]", f"model.padding={padding}", *sizes)


@pytest.mark.parametrize(("padding", "size"), [("zeros", 16), ("replicate", 16), ("reflect", 32)])
def test_the_smallest_picture_that_is_not_refused_runs(padding: str, size: int) -> None:
    assert transfer(CONTENT, [STYLE], deepest_at(size, padding)).evaluations == 2


def test_a_picture_that_has_nothing_to_reflect_at_the_deepest_layer_is_refused() -> None:
    assert "relu5_1" in refusal(CONTENT, [STYLE], deepest_at(16, "reflect"))


def test_the_number_of_pictures_must_be_that_of_the_configured_styles() -> None:
    assert "names 1 styles, 2 pictures" in refusal(CONTENT, [STYLE, OTHER], tiny())


def test_pictures_that_are_none_are_refused_in_a_line() -> None:
    assert "content is torch.float32 (1, 3, 0, 4)" in refusal(torch.rand(1, 3, 0, 4), [STYLE], tiny())
    assert "style starry_strokes is a NoneType" in refusal(CONTENT, [None], tiny())
    assert "styles is a Tensor, expected a list" in refusal(CONTENT, STYLE, tiny())
    for masks, message in (
        ([torch.rand(1, 1, 0, 4)], "masks, style starry_strokes is torch.float32 (1, 1, 0, 4)"),
        (5, "masks is a int, expected a list with one entry for each of style.images"),
        ((mask for mask in [torch.rand(1, 1, 4, 4)]), "masks is a generator"),
    ):
        assert message in refusal(CONTENT, [STYLE], tiny(), masks=masks)


def test_a_faint_mask_is_a_mask() -> None:
    faint, ones = torch.full((1, 1, 4, 4), 1e-25), torch.ones(1, 1, 4, 4)
    histories = [transfer(CONTENT, [STYLE], tiny(), masks=[mask]).history for mask in (faint, ones)]
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)


def test_styles_are_named_as_configured() -> None:
    config = tiny("style.images=[starry_strokes,woodcut_waves]", "optimizer.evaluations=1")
    terms = transfer(CONTENT, [STYLE, OTHER], config).losses["terms"]
    assert {name.split("/")[1] for name in terms if name.startswith("style/")} == {"starry_strokes", "woodcut_waves"}


def test_the_default_network_is_the_normalised_caffe_one() -> None:
    config = compose(["size=16", "layers.content=[relu1_1]", "layers.style=[relu1_1]", "optimizer.evaluations=1"])
    weights = prepare_weights("caffe", 0, True)
    shared = record(config, build_network(config.model, weights, needed_taps(config)))
    assert torch.equal(record(config)[0].losses.total, shared[0].losses.total)


def test_devices_by_name() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="not available on this machine"):
        resolve_device("cuda:99")
