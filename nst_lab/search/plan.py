"""A search as a YAML file says it, every part of it checked before anything runs.

Such a file is

    name: alpha_over_beta       # its runs and its study go to <out_dir>/<name>/
    trials: 12                  # in all
    startup_trials: 5           # of these, drawn at random before the sampler learns from them (default 5)
    seed: 0                     # of the draws (default 0)
    minimise: style             # a distance of metrics.py, or one to a single style, such as style/mosaic
    at_most: {content: 0.6}     # bounds on distances
    at_least: {ssim: 0.3}
    overrides: [size=64]        # of every run
    space:                      # what is searched, by key or group
      loss.content_weight: {low: 1e6, high: 1e10, log: true}
      optimizer.history: {low: 5, high: 50, step: 5}
      style: {choices: [mosaic, ink_wash]}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import expanduser, isfile  # unlike those of Path, they take what cannot be a name, or a user's home
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from nst_lab.config import seed_runs
from nst_lab.config.composition import Composer, conf_directory, one_line
from nst_lab.config.grammar import override_value
from nst_lab.config.schema import Config, used_styles
from nst_lab.errors import ConfigError, nearest
from nst_lab.images import catalog
from nst_lab.metrics import PHOTOGRAPH_DISTANCES, PICTURE_DISTANCES, STYLE_DISTANCES
from nst_lab.running.footprint import check_fits
from nst_lab.search.fields import Fields
from nst_lab.search.space import Choices, Range, read_dimension
from nst_lab.sweeps.sweep import OWN_PICTURE

KEYS = ("name", "trials", "startup_trials", "seed", "minimise", "at_most", "at_least", "overrides", "space")


@dataclass(frozen=True)
class Bound:
    """`distance` at most `limit`, or at least."""

    distance: str
    limit: float
    least: bool

    def violation(self, distances: Mapping[str, float | None]) -> float:
        """How far its distance is beyond the limit, as a share of that (of 1 if it is 0); 0 or less within it."""
        value = distances[self.distance]
        assert value is not None  # a run in which it is not defined has failed
        beyond = self.limit - value if self.least else value - self.limit
        return beyond / (abs(self.limit) or 1.0)

    def __str__(self) -> str:
        return f"{self.distance} {'≥' if self.least else '≤'} {override_value(self.limit)}"


@dataclass(frozen=True)
class Plan:
    """A checked search.

    `probes` are configurations from the ends of its space, the first with the first of every key.
    """

    trials: int
    startup_trials: int
    seed: int
    minimise: str
    bounds: tuple[Bound, ...]
    overrides: tuple[str, ...]
    space: Mapping[str, Range | Choices]
    composer: Composer = field(repr=False)
    probes: tuple[Config, ...] = field(default=(), repr=False)

    @property
    def measured(self) -> list[str]:
        """The distances that the search is about, the minimised one first."""
        return list(dict.fromkeys([self.minimise, *(bound.distance for bound in self.bounds)]))

    def config(self, drawn: Sequence[str]) -> Config:
        """The configuration of a trial with these values of the space."""
        return self.composer.cell(seed_runs.expand([*self.overrides, *drawn]))


def read_plan(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    trials: int | None = None,
    config_dir: str | Path | None = None,
) -> Plan:
    """Read a search and check everything in it.

    Args:
        source: the name of a file in `search/` of the user's folder or the shipped `conf/`, the path of a YAML file, or
            what such a file says.
        overrides: for every run, after those of the file; what they set is not searched.
        trials: in place of the file's.
        config_dir: a folder of the user's own groups and searches, looked in first.

    Raises:
        ConfigError: one line with the file, the key, the value and what would be valid.
    """
    composer = Composer(config_dir)
    fields = Fields(*_content(source, config_dir), KEYS)
    if trials is not None:
        fields.fields["trials"] = trials
    own = [f"name={override_value(fields.text('name'))}", *fields.texts("overrides")]
    keys, given = _keys(composer, own), _keys(composer, overrides)
    plan = Plan(
        trials=fields.whole("trials", least=1),
        startup_trials=fields.whole("startup_trials", 5, least=1),
        seed=fields.whole("seed", 0, least=0),
        minimise=fields.text("minimise"),
        bounds=tuple(_bounds(fields)),
        overrides=(*(text for key, text in zip(keys, own, strict=True) if key not in given), *overrides),
        space=_space(fields, set(given)),
        composer=composer,
    )
    return _probed(plan, fields.where)


def _content(source: str | Path | Mapping[str, Any], config_dir: str | Path | None) -> tuple[str, Any]:
    """What a search is called in errors, and what it says."""
    if isinstance(source, Mapping):
        return "search", dict(source)
    file = _file(str(source), config_dir)
    try:
        return str(file), OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except Exception as error:  # a user's YAML file leads its parsers to errors of any kind
        raise ConfigError(f"{file}: {one_line(error)}") from error


def _file(source: str, config_dir: str | Path | None) -> Path:
    named = Path(expanduser(source))
    if named.suffix in (".yaml", ".yml"):
        if not isfile(named):
            raise ConfigError(f"{source}: no such file")
        return named
    folders = [Path(expanduser(folder)) for folder in (conf_directory(), config_dir) if folder is not None]
    files = {file.stem: file for folder in folders for file in sorted((folder / "search").glob("*.yaml"))}
    if source not in files:
        valid = f"{', '.join(files)}, or the path of a .yaml file"
        raise ConfigError(f"{source}: no such search; valid: {valid}{nearest(source, files)}")
    return files[source]


def _keys(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The key or group that each override sets."""
    parsed = composer.parse(list(overrides))
    for override, text in zip(parsed, overrides, strict=True):
        if override.is_sweep_override():
            raise ConfigError(f"{text}: several values are searched as choices, in the space of the search's file")
        if override.is_hydra_override():
            raise ConfigError(f"{text}: not supported; a search runs in this process, and several share its study")
    return [override.key_or_group for override in parsed]


def _bounds(fields: Fields) -> list[Bound]:
    bounds = []
    for key, least in (("at_most", False), ("at_least", True)):
        limits = fields.inner(key)
        bounds += [Bound(name, limits.number(name), least) for name in limits.fields]
    return bounds


def _space(fields: Fields, given: set[str]) -> dict[str, Range | Choices]:
    space = fields.inner("space")
    if not space.fields:
        raise fields.error("space", "expected keys with what to search, such as {seed: {low: 0, high: 9}}")
    searched = [key for key in space.fields if not {key, OWN_PICTURE.get(key)} & given]
    if not searched:
        raise ConfigError(f"{fields.where}: the command line sets all of its space: {', '.join(space.fields)}")
    return {key: read_dimension(space, key) for key in searched}


def _probed(plan: Plan, where: str) -> Plan:
    """The plan with its probes: every choice and both ends of every range, the other keys at their first values."""
    plan.composer.parse([f"{key}={text}" for key, dimension in plan.space.items() for text in dimension.ends])
    first = {key: dimension.ends[0] for key, dimension in plan.space.items()}
    cells = [first] + [first | {key: text} for key, dimension in plan.space.items() for text in dimension.ends[1:]]
    probes = []
    for cell in cells:
        drawn = [f"{key}={text}" for key, text in cell.items()]
        probes.append(plan.config(drawn))
        _check_probe(probes[-1], plan, where, " ".join(drawn))
    return replace(plan, probes=tuple(probes))


def _check_probe(config: Config, plan: Plan, where: str, drawn: str) -> None:
    check_fits(config)
    if not config.log.distances:
        raise ConfigError("log.distances=false: a search needs the distances of its runs")
    if config.force:
        raise ConfigError("force=true: not supported; without its folder, a search begins anew")
    valid = _distances_of(config)
    asked = [("minimise=", plan.minimise)]
    asked += [("at_least." if bound.least else "at_most.", bound.distance) for bound in plan.bounds]
    for key, name in asked:
        if name not in valid:
            raise ConfigError(
                f"{where}: {key}{name}: no distance of a run with {drawn}; valid: {', '.join(valid)}"
                f"{nearest(name, valid)}"
            )


def _distances_of(config: Config) -> list[str]:
    """The distances that the run of a configuration will have."""
    named = zip(catalog.short_names(config.style.images), used_styles(config), strict=True)
    styles = [name for name, used in named if used]
    valid = list(PHOTOGRAPH_DISTANCES) if config.content.image is not None else []
    if styles:
        valid += [f"{kind}{of}" for kind in STYLE_DISTANCES for of in ("", *(f"/{name}" for name in styles))]
    return [*valid, *PICTURE_DISTANCES]
