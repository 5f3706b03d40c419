"""Style statistics in configurations and real runs: refusals, factors, two styles and two scales, seeds."""

from io import BytesIO

import pytest
import torch
from conftest import TINY

import nst_lab
from nst_lab import compose
from nst_lab.config.statistics import STATISTICS
from nst_lab.errors import ConfigError
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.synthesis import Synthesis

every = pytest.mark.parametrize("name", STATISTICS)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["loss.statistic=swd", "style.blend=targets"], ("style.blend=targets: ", "swd", "sorts", "bn")),
        (["loss.statistic=mmd_gauss", "style.blend=targets"], ("style.blend=targets: ", "mmd_gauss", "bandwidth")),
        (["loss.statistic=histogram", "style.blend=targets"], ("style.blend=targets: ", "histogram", "weighted")),
        (["loss.statistic=bn", "loss.gram_shift=-1"], ("loss.gram_shift=-1: ", "bn has no Gram matrix")),
        (["loss.statistic=w2", "loss.style_scale=target"], ("loss.style_scale=target: ", "gram", "not w2")),
        (
            ["loss.statistic=histogram", "layers.style=[relu2_1]"],
            ("loss.histogram_layers=[relu1_1, relu4_1]: ", "relu2_1"),
        ),
        (["loss.histogram_layers=[relu9_1]"], ("loss.histogram_layers=", "relu9_1")),
        (["loss.mmd_samples=0"], ("loss.mmd_samples=0: ", "from 1 to 100000")),
    ],
)
def test_what_a_statistic_cannot_do_is_refused_with_the_reason(overrides: list[str], parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["style=strokes_and_waves", *overrides])
    for part in parts:
        assert part in str(caught.value)


def test_one_style_may_be_a_blend_of_any_statistic() -> None:
    compose(["loss.statistic=swd", "style.blend=targets"])
    compose(["loss.statistic=swd", "style.blend=targets", "style=strokes_and_waves", "style.weights=[1,0]"])


@every
def test_the_factor_is_the_statistics_in_gatys_and_one_elsewhere(name: str) -> None:
    gram = compose(["loss.statistic=gram"]).loss.style_factor
    own = compose([f"loss.statistic={name}"])
    assert gram == 1
    assert (own.loss.style_factor != 1) == (name != "gram")
    assert own.convention_overrides == ([] if name == "gram" else ["loss.statistic"])
    for convention in ("seed", "crowson"):
        histograms = "loss.histogram_layers=[relu1_1,conv1_1]"  # the seed taps before the ReLU
        other = compose([f"convention={convention}", f"loss.statistic={name}", histograms])
        assert other.loss.style_factor == 1
    explicit = compose([f"loss.statistic={name}", "loss.style_factor=7"])
    assert explicit.loss.style_factor == 7
    assert "loss.style_factor" in explicit.convention_overrides


@every
def test_a_run_with_two_styles_and_two_scales_goes_down_and_resumes_to_the_same_bits(name: str) -> None:
    config = compose([
        *TINY, f"loss.statistic={name}", "style=strokes_and_waves", "optimizer.evaluations=8", "loss.mmd_samples=16",
        "scales=[{factor: 0.5, share: 0.5}, {factor: 1, share: 0.5}]", "device=cpu",
    ])  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(1, 3, 32, 24 + 4 * k, generator=generator) for k in range(3)]
    inputs = Inputs(pictures[0], dict(zip(config.style.images, pictures[1:], strict=True)))
    steps, kept = [], BytesIO()
    synthesis = Synthesis(inputs, config)
    for step in synthesis:
        steps.append((step.evaluation, step.losses.total.item(), step.image.clone()))
        if step.evaluation == 5:
            torch.save(synthesis.state_dict(), kept)
    totals = [total for _, total, _ in steps]
    assert min(totals[1:4]) < totals[0]
    assert min(totals[5:]) < totals[4]
    again = Synthesis(inputs, config)
    kept.seek(0)
    again.load_state_dict(torch.load(kept))
    resumed = [(step.evaluation, step.losses.total.item(), step.image.clone()) for step in again]
    assert [step[:2] for step in resumed] == [step[:2] for step in steps[5:]]
    assert all(torch.equal(a[2], b[2]) for a, b in zip(resumed, steps[5:], strict=True))


@every
def test_a_run_by_each_statistic_ends_in_a_picture_of_its_own(here, name: str) -> None:
    config = compose([*TINY, f"loss.statistic={name}"])
    done = nst_lab.run(config)
    assert done.manifest["status"] == "completed"
    assert done.image().shape[-1] == 32
    if name != "gram":
        assert f"-{name}-" in done.folder.name


def test_runs_of_two_seeds_in_one_process_do_not_share_targets_that_are_drawn(here) -> None:
    together = [nst_lab.run(compose([*TINY, "loss.statistic=swd", f"seed={seed}"])) for seed in (0, 1)]
    alone = nst_lab.run(compose([*TINY, "loss.statistic=swd", "seed=1", "force=true", "name=alone"]))
    final = [run.manifest["losses"]["total"] for run in (*together, alone)]
    assert final[1] == final[2] != final[0]
