"""Weights by the name of a profile: of a list of layers, or of style images."""

from collections.abc import Callable, Sequence

from nst_lab.network.architecture import LAYERS

Profile = Callable[[Sequence[str]], list[float]]

# Another name for a profile -> the name that configurations, manifests and folders carry.
SYNONYMS = {"256:64:16:4:1": "quartering"}


def _powers(ratio: float, steps: Sequence[int]) -> list[float]:
    powers = [ratio**step for step in steps]
    return [power / sum(powers) for power in powers]


def _depths(names: Sequence[str]) -> list[int]:
    """The place of each layer among those given, the shallowest first, whatever their order."""
    by_depth = sorted(names, key=list(LAYERS).index)
    return [by_depth.index(name) for name in names]


PROFILES: dict[str, Profile] = {
    "uniform": lambda names: [1 / len(names) for _ in names],
    "ones": lambda names: [1.0] * len(names),
    "inverse_channels2": lambda names: [1 / LAYERS[name].channels ** 2 for name in names],
    "quartering": lambda names: _powers(1 / 4, range(len(names))),
}

# Novak and Nikulin 2016 (arXiv:1605.04603): style 2^(D−d), content 2^d, with d the depth of a layer among those used.
LAYER_PROFILES: dict[str, dict[str, Profile]] = {
    "style": PROFILES | {"geometric": lambda names: _powers(1 / 2, _depths(names))},
    "content": PROFILES | {"geometric": lambda names: _powers(2, _depths(names))},
}


def layer_weights(kind: str, profile: str | None, names: Sequence[str]) -> list[float] | None:
    """The weights of the content or style layers `names` by a profile; None if it or one of them is unknown."""
    weigh = LAYER_PROFILES[kind].get(SYNONYMS.get(profile, profile)) if profile else None
    return weigh(names) if weigh and all(name in LAYERS for name in names) else None
