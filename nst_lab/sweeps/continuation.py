"""Cells of a sweep that go on from one another, where `runner.continuation` asks for it.

Runs whose weights are neighbours end in pictures that are neighbours: from the result of the one, the other needs a few
evaluations where it would need hundreds from its own start. Numerical analysis calls that continuation; regularisation
paths are computed so (Friedman, Hastie and Tibshirani 2010, section 2.5).
"""

import hashlib
import json
from collections.abc import Sequence

from nst_lab.config.composition import Cell, Composer, flat, to_settings
from nst_lab.config.grammar import quoted
from nst_lab.config.schema import Config
from nst_lab.running import runs
from nst_lab.running.interruption import Deferral

WEIGHTS = (
    "loss.content_weight", "loss.style_weight", "loss.tv_weight", "loss.histogram_weight", "style.weights",
    "style.layer_weights", "layers.content_weights", "layers.style_weights",
)  # fmt: skip
ADDED = ("init.kind", "init.run", "optimizer.evaluations", "scales", "init.curvature", "optimizer.revive")
STOOD_FOR = ("style.profile", "layers.content_profile", "layers.style_profile", "convention_overrides")


def continued(composer: Composer, cells: Sequence[Cell], own: Sequence[str]) -> list[Cell]:
    """The cells, each that has `runner.continuation` and a neighbour composed again so that it goes on from that one.

    Neighbours differ in weights alone: in one if there is such a cell before it, and of several the latest. So a row of
    weights goes on from value to value, and in a grid the first of a row from the first of the row before it. The cell
    then starts from the neighbour's result at full size, without what helps from a start that is far away, and has
    the evaluations that the key says. The first of a group stays as it is: the run that it is in every sweep.

    Args:
        composer: of the cells.
        cells: in the order of the sweep.
        own: overrides that configure Hydra.
    """
    made: list[Cell] = []
    latest: dict[bytes, int] = {}  # by what cells have in common
    for index, cell in enumerate(cells):
        if not _can_go_on(cell.config):
            made.append(cell)
            continue
        same, but_one, but_all = _common(cell.config)
        neighbour = max((latest[key] for key in but_one if key in latest), default=latest.get(but_all))
        if same in latest:
            made.append(made[latest[same]])  # the same run, given twice
        elif neighbour is not None:
            more = _from(made[neighbour].config, cell.config)
            with Deferral():  # as when it was first composed
                made.append(Cell(cell.overrides, composer.cell([*own, *cell.overrides, *more]), more))
        else:
            made.append(cell)
        latest.update(dict.fromkeys((same, *but_one, but_all), index))
    return made


def _can_go_on(config: Config) -> bool:
    """Whether that is asked for, and the shape of the result known before there is one to start from."""
    return config.runner.continuation is not None and bool(config.content.image or config.style.images)


def _from(neighbour: Config, config: Config) -> tuple[str, ...]:
    folder = runs.run_folder(neighbour, runs.identify(neighbour))
    values = "run", quoted(str(folder)), str(config.runner.continuation), "null", "true", "0"
    added = ADDED if config.optimizer.name == "lbfgs" else ADDED[:4]
    return tuple(f"{key}={value}" for key, value in zip(added, values, strict=False))


def given(overrides: Sequence[str]) -> Sequence[str]:
    """The overrides of a run as they were given, without those by which it goes on from another."""
    keys = tuple(text.partition("=")[0] for text in overrides)
    for added in (ADDED, ADDED[:4]):
        if keys[-len(added) :] == added:
            return overrides[: -len(added)]
    return overrides


def _common(config: Config) -> tuple[bytes, list[bytes], bytes]:
    """What a cell has in common with those that are the same, that differ in one weight, and that do in any: hashes."""
    settings = {key: value for key, value in flat(to_settings(config)).items() if key not in STOOD_FOR}
    weights = {key: settings.pop(key) for key in WEIGHTS}
    others = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())

    def but(*left_out: str) -> bytes:
        hashed = others.copy()
        hashed.update(json.dumps([left_out, [weights[key] for key in WEIGHTS if key not in left_out]]).encode())
        return hashed.digest()

    return but(), [but(key) for key in WEIGHTS], but(*WEIGHTS)
