"""One evaluation of the peers' presets against what the peers themselves print (scripts/peer_values.py)."""

import json
import sys

import pytest
from conftest import CHECKOUT

import nst_lab
from nst_lab.optimisation.synthesis import transfer

sys.path.insert(0, str(CHECKOUT / "scripts"))

from peer_values import STYLE_LAYERS, pixel_hash, write_pictures

PRINTED = json.loads((CHECKOUT / "tests" / "peer_values.json").read_text())
# float32 sums in another order, and the last digit printed, leave less than this.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    paths = write_pictures(tmp_path_factory.mktemp("pictures"))
    assert {name: pixel_hash(path) for name, path in paths.items()} == PRINTED["pictures"]
    return paths


def first_losses(peer, pictures, *overrides, styles=("style",)):
    """Configuration and losses of one evaluation at the start given."""
    paths = {name: str(path) for name, path in pictures.items()}
    config = nst_lab.compose([
        f"experiment=peers/{peer}", "size=256", "size_rule=exact", "optimizer.evaluations=1", "init.kind=file",
        f"content.image={paths['content']}", f"style.images=[{','.join(paths[name] for name in styles)}]",
        f"init.image={paths['init']}", *overrides,
    ])  # fmt: skip
    images = {name: nst_lab.load_image(path) for name, path in paths.items()}
    result = transfer(images["content"], [images[name] for name in styles], config, init=images["init"])
    return config, result.losses


def weighted(config, losses):
    """Every term times its weights, as the peers print them."""
    loss, layers, terms = config.loss, config.layers, losses["terms"]
    found = {"total": losses["total"], "tv": losses["tv"]}
    for layer, weight in zip(layers.content, layers.content_weights, strict=True):
        found[f"content/{layer}"] = loss.content_weight * weight * terms[f"content/{layer}"]
    for layer, weight in zip(layers.style, layers.style_weights, strict=True):
        found[f"style/{layer}"] = loss.style_weight * weight * terms[f"style/style/{layer}"]
    return found


TERMS = ["content/relu4_2", *(f"style/{layer}" for layer in STYLE_LAYERS), "tv", "total"]


@pytest.mark.parametrize(("peer", "overrides"), [("neural_style", ()), ("pastiche", ("loss.tv_weight=100",))])
def test_one_evaluation_agrees_with_the_peer_term_by_term(peer, overrides, pictures):
    found = weighted(*first_losses(peer, pictures, *overrides))
    assert found == pytest.approx({term: PRINTED[peer][term] for term in TERMS}, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("sum_of", "overrides"), [("two equal", ()), ("two weighted", ("style.weights=[2,0.5]",))], ids=str
)
def test_pastiche_sums_its_styles_as_weighted_and_averages_them_by_default(sum_of, overrides, pictures):
    _, losses = first_losses("pastiche", pictures, *overrides, styles=("style", "style2"))
    assert losses["style"] == pytest.approx(PRINTED["pastiche"][f"style, {sum_of}"], rel=TOLERANCE)
