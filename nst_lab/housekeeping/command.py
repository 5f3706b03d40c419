"""The command line `nst-runs`: what runs there are, what room they take, and removing those that came to nothing.

Exit status 0: done; 1: something could not be removed; 2: the command is wrong; 130: interrupted.
"""

import argparse
import re
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from nst_lab.command_line import Parser, answer, enter, print_rows, printable
from nst_lab.comparison.scanning import SUMMARY
from nst_lab.errors import nearest
from nst_lab.housekeeping import clean as clean_command
from nst_lab.housekeeping.inventory import Inventory, take_inventory
from nst_lab.housekeeping.stored_runs import KINDS, STATUSES, UNFINISHED
from nst_lab.housekeeping.table import SECONDS, count_runs, human_size, print_notes, print_runs

OUTPUTS = Path("outputs")
MOST_FOREIGN = 5  # folders named that are no runs
SORTS = {
    "age": lambda run: run.since,
    "size": lambda run: run.size,
    "status": lambda run: (STATUSES.index(run.status), run.since),
    "run": lambda run: run.name,
}

EPILOG = """\
status:
  completed    the picture is there
  interrupted  stopped by Ctrl-C or a scheduler; the same command goes on with it
  failed       ended by an error
  killed       was being made by a process that is dead; the same command goes on with it
  held         is being made now; a claim of another machine counts as that
"""
CLEAN_EPILOG = """\
Runs that are being made are never removed, completed ones only with --completed --older-than. --older-than alone
removes the failed, interrupted and killed runs and the records of launches of that age.
"""


def main() -> NoReturn:
    """Entry point of `nst-runs`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    enter("nst-runs", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    return answer(_parser(), arguments)


def _parser() -> Parser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="nst-runs", description="Housekeeping of run folders.", formatter_class=formatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"nst_lab {version('nst_lab')}")
    commands = parser.add_subparsers(metavar="command", required=True)
    add = partial(commands.add_parser, formatter_class=formatter, allow_abbrev=False)
    listing = add("list", help="every run: status, settings, age, size", epilog=EPILOG)
    listing.add_argument("--status", type=_statuses, metavar="A,B", help="only runs of these")
    listing.add_argument("--sort", choices=SORTS, default="age", help="by age (default, the newest last), size …")
    listing.add_argument("--errors", action="store_true", help="every error in full, below the table")
    listing.set_defaults(run=_list)
    cleaning = add("clean", help="remove runs, after asking", epilog=CLEAN_EPILOG)
    for status in (*UNFINISHED, "completed"):
        cleaning.add_argument(f"--{status}", action="store_true", help=f"{status} runs")
    cleaning.add_argument("--launches", action="store_true", help="records of launches, in .launches/")
    cleaning.add_argument("--older-than", type=_age, metavar="AGE", help="only what is older: 12h, 7d, 2w")
    cleaning.add_argument("--dry-run", action="store_true", help="show what would be removed")
    cleaning.add_argument("--yes", action="store_true", help="do not ask")
    cleaning.set_defaults(run=_clean)
    sizing = add("size", help="what takes the room, by experiment")
    sizing.set_defaults(run=_size)
    where = "an output folder (outputs), the folder of an experiment (outputs/<name>) or of one run"
    for each in (listing, cleaning, sizing):
        each.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help=where)
    return parser


def _statuses(text: str) -> list[str]:
    for status in (chosen := text.split(",")):
        if status not in STATUSES:
            raise argparse.ArgumentTypeError(
                f"{printable(status)}: no such status; valid: {', '.join(STATUSES)}{nearest(status, STATUSES)}"
            )
    return chosen


def _age(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(\w+)", text, re.ASCII)
    if not match or match[2] not in SECONDS:
        raise argparse.ArgumentTypeError(f"{printable(text)}: expected a number and s, min, h, d or w, such as 7d")
    return float(match[1]) * SECONDS[match[2]]


def _inventory(options: argparse.Namespace) -> Inventory:
    """What lies in the folders of a command line; what is no run there is told in one line."""
    if not options.folders:
        options.folders = [OUTPUTS]
        if not OUTPUTS.exists():
            return Inventory()
    inventory = take_inventory(options.folders)
    told = [f"{_shown(folder)} ({why})" for folder, why in inventory.foreign.items()]
    if told:
        more = f" and {len(told) - MOST_FOREIGN} more" if len(told) > MOST_FOREIGN else ""
        print(f"nst-runs: no runs, left alone: {', '.join(told[:MOST_FOREIGN])}{more}", file=sys.stderr)
    return inventory


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return printable(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))


def _none(options: argparse.Namespace, what: str) -> int:
    print(f"{what} in {', '.join(printable(str(folder)) for folder in options.folders)}")
    return 0


def _list(options: argparse.Namespace) -> int:
    statuses = options.status or STATUSES
    inventory = _inventory(options)
    found = [run for run in inventory.runs if run.status in statuses]
    if not found:
        return _none(options, f"no {' or '.join(options.status)} runs" if options.status else "no runs")
    found.sort(key=SORTS[options.sort])
    print_runs(found, inventory.runs)
    print(f"{count_runs(found)}, {human_size(sum(run.size for run in found))}")
    print_notes(found, options.errors)
    return 0


def _clean(options: argparse.Namespace) -> int:
    clean_command.check_options(options)
    choice = clean_command.choose(options, _inventory(options))
    if not (choice.runs or choice.remains):
        return _none(options, "nothing to remove")
    clean_command.show(choice)
    if options.dry_run:
        print(f"would remove {choice.summary}")
        return 0
    if options.yes or clean_command.agreed(choice):
        return clean_command.remove(choice)
    print("nothing removed")
    return 0


def _size(options: argparse.Namespace) -> int:
    inventory = _inventory(options)
    taken: dict[Path, Counter[str]] = {}
    for run in inventory.runs:
        taken.setdefault(run.folder.parent, Counter()).update(run.sizes)
    for item in (*inventory.records, *inventory.aside):
        taken.setdefault(item.experiment, Counter())["other"] += item.size
    if not taken:
        return _none(options, "no runs")
    for folder, sizes in taken.items():
        for beside in (folder, folder / SUMMARY):
            sizes.update(inventory.loose.get(beside, {}))
    count = Counter(run.folder.parent for run in inventory.runs)
    lines = [(printable(folder.name), count[folder], sizes) for folder, sizes in sorted(taken.items())]
    if len(lines) > 1:
        lines.append(("total", count.total(), sum(taken.values(), Counter())))
    kinds = [*KINDS, "other"]
    rows = [
        [name, str(number), *(human_size(sizes[kind]) for kind in kinds), human_size(sizes.total())]
        for name, number, sizes in lines
    ]
    print_rows(["experiment", "runs", *kinds, "all"], rows)
    return 0
