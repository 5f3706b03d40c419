"""A command line -> its cells, checked; what is completed, held or to be done; and the closing table."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nst_lab.command_line import printable
from nst_lab.config import seed_runs
from nst_lab.config.composition import MOST_CELLS, Cell, Composer, as_given
from nst_lab.config.grammar import shortest
from nst_lab.config.schema import run_to_start_from
from nst_lab.errors import ConfigError
from nst_lab.running import runs
from nst_lab.running.claims import Watch
from nst_lab.running.interruption import Deferral
from nst_lab.sweeps.continuation import continued

MANY_CELLS = 200  # take some ten seconds to compose, which is told
# A picture of one's own takes the place of the declared sets that would only be overridden by it.
OWN_PICTURE = {"content": "content.image", "style": "style.images"}


@dataclass(frozen=True)
class Planned:
    """A cell with its identity and folder, and what had become of it when the sweep was planned (`runs.state`)."""

    cell: Cell
    identity: runs.Identity
    folder: Path
    state: str

    @property
    def completed(self) -> bool:
        """Whether the very same settings and inputs were run before, and are not to be run again."""
        return self.state == "completed" and not self.cell.config.force


def expand(composer: Composer, overrides: Sequence[str], multirun: bool) -> list[Cell]:
    """The cells of a command line, every one composed and checked before any of them runs.

    Swept keys (`key=a,b`, `key=range(5)`) multiply, the last one fastest. An experiment that declares a sweep of its
    own (`hydra.sweeper.params`) is swept with or without -m, and a key given on the command line takes the place of the
    declared one; several experiments (`experiment=a,b`) keep each its own. With `runner.continuation` cells go on from
    one another (`continuation.py`).

    Raises:
        ConfigError: at the first cell that is wrong.
    """
    parsed = composer.parse(list(overrides))
    hydra_own = hydras_own(overrides)
    task = [o for o in parsed if as_given(o) not in hydra_own]
    experiments = [o for o in task if o.key_or_group == "experiment"]
    choices = [[line] for o in experiments for line in _values(o)] or [[]]
    cells = []
    for fixed in choices:
        rest = [as_given(o) for o in task if o not in experiments]
        declared = _declared_sweep(composer, [*hydra_own, *fixed], [o.key_or_group for o in task])
        swept = [*declared, *(as_given(o) for o in task if o.is_sweep_override() and o not in experiments)]
        if swept and not (multirun or declared):
            raise ConfigError(f"{swept[0]}: several values need a sweep (-m); a list is written key=[a,b]")
        values = [_values(o) for o in composer.parse([*fixed, *declared, *rest])]
        if (count := prod(map(len, values))) > MOST_CELLS:
            raise ConfigError(f"{' '.join(swept)}: {count} runs; a sweep has {MOST_CELLS} at most")
        console = Console(stderr=True)
        silent = count < MANY_CELLS or not console.is_terminal
        every = track(product(*values), "composing", count, console=console, transient=True, disable=silent)
        for lines in map(seed_runs.expand, every):
            with Deferral():  # OmegaConf may swallow an interruption, and be wrong afterwards
                cells.append(Cell(tuple(lines), composer.cell([*hydra_own, *lines])))
    if not cells:
        raise ConfigError(f"{' '.join(overrides)}: a sweep over no values")
    return continued(composer, cells, hydra_own)


def hydras_own(overrides: Sequence[str]) -> list[str]:
    """The overrides that configure Hydra (its launcher, its folders) and not a run."""
    return [text for text in overrides if text.lstrip("+~").startswith(("hydra.", "hydra/"))]


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [as_given(override)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _declared_sweep(composer: Composer, overrides: list[str], given: list[str]) -> list[str]:
    sweeper = composer.load(overrides, RunMode.MULTIRUN).hydra.sweeper
    params = sweeper.get("params") or {} if isinstance(sweeper, Mapping) else sweeper
    if not isinstance(params, Mapping):
        raise ConfigError(f"hydra.sweeper.params={params}: expected keys with the values to sweep")
    taken = {key for key in params if key in given or OWN_PICTURE.get(key) in given}
    return [f"{key}={value}" for key, value in params.items() if key not in taken]


def plan(cells: Sequence[Cell], watch: Watch) -> list[Planned]:
    """Identify every cell; cells that would make the same picture in the same folder are planned once.

    Raises:
        ConfigError: their folders cannot be read, or one starts from a run that is neither completed nor among them.
    """
    planned: dict[Path, Planned] = {}
    for cell in cells:
        identity = runs.identify(cell.config)
        folder = runs.run_folder(cell.config, identity)
        if folder not in planned:
            runs.check_place(folder)
            planned[folder] = Planned(cell, identity, folder, runs.state(folder, identity, watch))
    for item in planned.values():
        run = run_to_start_from(item.cell.config)
        if run and Path(run) not in planned and not item.completed:
            runs.result_to_start_from(run)
    return list(planned.values())


def count_states(planned: Sequence[Planned]) -> str:
    """How many runs are in which state: `2 new, 1 completed, 0 held, 1 interrupted`."""
    counts = Counter(item.state for item in planned)
    return ", ".join(f"{counts[state]} {state}" for state in dict.fromkeys(("new", "completed", "held", *counts)))


def swept_keys(cells: Sequence[Cell]) -> list[str]:
    """The override keys whose values differ between cells, in the order of the command line."""
    return differing_keys([cell.overrides for cell in cells])


def differing_keys(runs: Sequence[Sequence[str]]) -> list[str]:
    """The keys whose values differ between the overrides of runs, or that some of them lack."""
    values: dict[str, list[str]] = {}
    for overrides in runs:
        for key, value in split_overrides(overrides).items():
            values.setdefault(key, []).append(value)
    return [key for key, found in values.items() if len(set(found)) > 1 or len(found) < len(runs)]


def split_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """Key -> value of overrides, as text; where Hydra writes 1000000.0 and a\\:b in a sweep, 1e6 and a:b as given."""
    pairs = (line.partition("=")[::2] for line in overrides)
    return {key.lstrip("+"): _shortest(value) for key, value in pairs}


def _shortest(text: str) -> str:
    for kind in (int, float):
        with suppress(ValueError, OverflowError):
            return shortest(kind(text))
    return text.replace("\\:", ":")


def label(overrides: Sequence[str], keys: Sequence[str]) -> str:
    """What tells a cell from the others: its values of the swept keys, fit for a terminal."""
    values = split_overrides(overrides)
    return printable(", ".join(f"{key}={values[key]}" for key in keys if key in values))


def print_summary(planned: Sequence[Planned]) -> int:
    """The closing table: what completed, at which distances; what failed and why. Returns the exit status."""
    keys = swept_keys([item.cell for item in planned])
    table = Table("run", "status", "evaluations", "content", "style", "seconds", box=None, pad_edge=False)
    status = 0
    for item in planned:
        manifest = runs.read_manifest(item.folder) or {}
        state = manifest.get("status", "not run")
        if state == "completed" and not runs.is_completed(item.folder, item.identity):
            state = "not run"  # an earlier manifest, which could not be replaced
        earlier = " (earlier)" if item.completed else ""
        if state != "completed":
            status = 1
        distances = manifest["distances"] if isinstance(manifest.get("distances"), dict) else {}
        table.add_row(
            label(item.cell.overrides, keys) or item.folder.name,
            printable(f"{state}{earlier}"),
            printable(str(manifest.get("evaluations", ""))),
            *(decimals(distances.get(key), 3) for key in ("content", "style")),
            decimals(manifest.get("seconds"), 0),
        )
    print_table(table)
    for item in planned:
        manifest = runs.read_manifest(item.folder) or {}
        if manifest.get("status") == "failed" and len(planned) > 1:
            name = label(item.cell.overrides, keys) or item.folder.name
            print(f"failed: {name}: {printable(str(manifest.get('error')))}", file=sys.stderr)
    return status


def decimals(value: Any, count: int) -> str:
    """A number of a manifest; nothing where there is none."""
    return f"{value:.{count}f}" if isinstance(value, (int, float)) else ""


def print_table(table: Table) -> None:
    """To the terminal at its width; in full where the output is piped."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 500
    console.print(table)
