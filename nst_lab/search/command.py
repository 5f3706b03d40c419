"""The command line `nst-search`: search settings for the lowest distance within bounds on others.

Exit status 0: done; 1: a trial failed, or none is within the bounds; 2: the search is wrong; 130: interrupted.
"""

import argparse
import shlex
import signal
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

from nst_lab.command_line import RunsParser, answer, enter
from nst_lab.errors import ConfigError

if TYPE_CHECKING:
    from nst_lab.search.plan import Plan
    from nst_lab.search.study import Trial
    from nst_lab.search.trials import Found

SHOWN = 5  # trials of the closing table

DESCRIPTION = """\
Search the settings of a YAML file for the lowest distance to the style (or another one) within bounds on others. The
same command goes on with a search that was interrupted or killed; several at once, on one machine, share its trials.
"""
EPILOG = """\
examples:
  nst-search alpha_over_beta
  nst-search alpha_over_beta style=mosaic size=128 name=alpha_over_beta_mosaic --trials 20
  nst-search my_search.yaml dry_run=true
"""


def main() -> NoReturn:
    """Entry point of `nst-search`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's notice is an interruption like Ctrl-C
    enter("nst-search", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    return answer(_parser(), arguments)


def _parser() -> RunsParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = RunsParser(prog="nst-search", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"nst_lab {version('nst_lab')}")
    parser.add_argument("search", nargs="?", metavar="SEARCH", help="the name of a file in conf/search, or a path")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="for every run, as for nst-lab; what is set is not searched"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="in all, in place of the file's number")
    parser.add_argument("--config-dir", metavar="FOLDER", help="a folder of your own groups and searches")
    parser.set_defaults(run=_search)
    return parser


def _search(options: argparse.Namespace) -> int:
    from nst_lab.search.plan import read_plan
    from nst_lab.search.trials import carry_out, check_installed

    check_installed()
    if options.search is None:
        raise ConfigError("a search is needed, such as alpha_over_beta; nst-search --help says more")
    plan = read_plan(options.search, options.overrides, trials=options.trials, config_dir=options.config_dir)
    if plan.probes[0].dry_run:
        _print_estimate(plan)
        return 0
    found = carry_out(plan)
    _print_found(found, options.config_dir)
    return 1 if found.failed or found.best is None else 0


def _print_estimate(plan: "Plan") -> None:
    """What the trials will cost at most, at a speed measured here and now; those of a discrete space may coincide."""
    from nst_lab.running.footprint import memory_bytes
    from nst_lab.running.inputs import sizes_from_headers
    from nst_lab.sweeps.estimate import measured_speed, seconds

    speed = measured_speed(plan.probes[0])
    each = max(seconds(config, speed) for config in plan.probes)
    memory = max(memory_bytes(config, *sizes_from_headers(config)[0]) for config in plan.probes)
    for key, dimension in plan.space.items():
        print(f"{key}: {dimension}")
    print(
        f"minimise {plan.minimise}{''.join(f', {bound}' for bound in plan.bounds)}: {plan.trials} trials, each at most "
        f"{max(config.optimizer.evaluations for config in plan.probes)} evaluations, {each:.0f} s and "
        f"{memory / 2**30:.2f} GiB; about {plan.trials * each / 60:.1f} minutes in all"
    )


def _print_found(found: "Found", config_dir: str | None) -> None:
    plan, ranked = found.plan, found.ranked
    failed = sum(trial.status == "failed" for trial in found.trials)
    within = [trial for trial in ranked if trial.violation == 0]
    bounds = f", {len(within)} within {', '.join(map(str, plan.bounds))}" if plan.bounds else ""
    print(f"{len(ranked)} trials completed{bounds}{f'; {failed} failed' if failed else ''}")
    if not ranked:
        return
    if not within:
        print("none is within the bounds; the nearest:")
    shown = (within or ranked)[:SHOWN]
    _print_table(plan, shown)
    first = shown[0]
    assert first.folder is not None  # it is completed
    folder = [] if config_dir is None else ["--config-dir", config_dir]
    again = shlex.join(["nst-lab", *folder, *plan.overrides, *first.overrides])
    print(f"{'best:   ' if within else 'nearest:'}     {again}")
    print(f"picture:     {first.folder / 'result.png'}")
    where = shlex.quote(str(first.folder.parent))
    print(f"TensorBoard: tensorboard --samples_per_plugin images=100 --logdir {where}")
    print(f"comparison:  nst-compare {where}")


def _print_table(plan: "Plan", trials: Sequence["Trial"]) -> None:
    from rich.table import Table

    from nst_lab.sweeps.sweep import print_table, split_overrides

    names = [f"distance/{name}" if name in plan.space else name for name in plan.measured]
    table = Table("trial", *plan.space, *names, box=None, pad_edge=False)
    for trial in trials:
        values = split_overrides(trial.overrides)
        distances = (f"{trial.distances[name]:.3f}" for name in plan.measured)
        table.add_row(str(trial.number), *(values[key] for key in plan.space), *distances)
    print_table(table)


if __name__ == "__main__":
    main()
