"""The run names of the project Multiple-style-transfer, as the settings that they stand for.

A name such as pn-c1s1s4-a1b100w1-cl2_2sl1_11_22_12_23_1-oLBFGS has five parts: the start (pc: the content, pn: noise),
the content image and the style images by number, the weights of content (a) and style (b) and the kind of blend (w),
the content and the style layers (each a pair i_j, written without separators), and the optimiser. `_` within a weight
is the decimal point. Source: StyleCNN.py of yrt1993/Multiple-style-transfer 2886650.
"""

import re
from collections.abc import Sequence

from nst_lab.errors import ConfigError, nearest
from nst_lab.network.architecture import CONVOLUTIONS

KEY = "seed_run"
GRAMMAR = "p{c|n}-c#s#[s#…]-a#b#w{1|2}-cl{i_j…}sl{i_j…}-o{LBFGS|Adam|SGD}"
EXAMPLE = "pn-c1s1s4-a1b100w1-cl2_2sl1_11_22_12_23_1-oLBFGS"

NUMBER, LAYERS = r"\d+(?:_\d+)?", r"(?:\d_\d)+"
PARTS = (
    ("the start", r"p(?P<start>[cn])"),
    ("the images", r"c(?P<content>\d+)(?P<styles>(?:s\d+)+)"),
    ("the weights", rf"a(?P<a>{NUMBER})b(?P<b>{NUMBER})w(?P<w>[12])"),
    ("the layers", rf"cl(?P<cl>{LAYERS})sl(?P<sl>{LAYERS})"),
    ("the optimiser", r"o(?P<optimizer>LBFGS|Adam|SGD)"),
)
STARTS = {"c": "content", "n": "noise"}
BLENDS = {"1": "sum", "2": "loss_share"}
OPTIMIZERS = {"LBFGS": "lbfgs_torch", "Adam": "adam", "SGD": "sgd"}
# The groups whose choices set these keys.
SET_BY_GROUP = {
    "content.image": "content",
    "style.images": "style",
    "layers.style": "layers",
    "init.kind": "init",
    "optimizer.name": "optimizer",
}
CONTENTS, STYLES = 10, 8  # the project's images are content1 to content10 and style1 to style8


def overrides(name: str) -> list[str]:
    """The overrides that make the run of this name.

    Raises:
        ConfigError: it is not the name of such a run; the line says which part is wrong.
    """
    found = _match(name)
    contents = [_image(name, "c", found["content"], CONTENTS)]
    styles = [_image(name, "s", number, STYLES) for number in found["styles"].split("s")[1:]]
    return [
        "convention=seed",
        "size=256",
        f"content.image={contents[0]}",
        f"style.images=[{','.join(styles)}]",
        f"style.blend={BLENDS[found['w']]}",
        f"layers.content=[{','.join(_layers(name, found['cl']))}]",
        f"layers.style=[{','.join(_layers(name, found['sl']))}]",
        f"loss.content_weight={found['a'].replace('_', '.')}",
        f"loss.style_weight={found['b'].replace('_', '.')}",
        f"init.kind={STARTS[found['start']]}",
        f"optimizer.name={OPTIMIZERS[found['optimizer']]}",
    ]


def _match(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    parts = name.split("-")
    for index, (what, pattern) in enumerate(PARTS):
        part = parts[index] if index < len(parts) else ""
        match = re.fullmatch(pattern, part)
        if match is None or len(parts) > len(PARTS):
            wrong = f"{what} in {part!r}" if match is None else f"the end after {'-'.join(parts[: len(PARTS)])!r}"
            raise ConfigError(f"{KEY}={name}: cannot read {wrong}; expected {GRAMMAR}, such as {EXAMPLE}")
        found |= match.groupdict()
    return found


def _image(name: str, kind: str, number: str, count: int) -> str:
    if not 1 <= int(number) <= count:
        raise ConfigError(f"{KEY}={name}: no image {kind}{number}; the project has {kind}1 to {kind}{count}")
    return f"seed_{kind}{int(number)}"


def _layers(name: str, pairs: str) -> list[str]:
    layers = [f"conv{pair}" for pair in re.findall(r"\d_\d", pairs)]
    for layer in layers:
        if layer not in CONVOLUTIONS:
            raise ConfigError(f"{KEY}={name}: VGG-19 has no layer {layer}{nearest(layer, CONVOLUTIONS)}")
    return layers


def expand(lines: Sequence[str]) -> list[str]:
    """Override lines with `seed_run=<name>` replaced by its settings; whatever is given beside it wins over those."""
    names = [line.partition("=")[2].strip("\"'") for line in lines if line.partition("=")[0] == KEY]
    others = [line for line in lines if line.partition("=")[0] != KEY]
    if not names:
        return others
    given = {line.lstrip("+").partition("=")[0] for line in others}
    settings = {line.partition("=")[0]: line for line in overrides(names[-1])}
    return [line for key, line in settings.items() if not {key, SET_BY_GROUP.get(key)} & given] + others
