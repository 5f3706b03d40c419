"""The command `nst-runs clean`: what is chosen, shown and agreed to is removed, one folder after another."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from nst_lab.command_line import print_rows, printable
from nst_lab.errors import ConfigError, UserError
from nst_lab.housekeeping.inventory import Inventory, Remains, delete, remove_record, remove_run
from nst_lab.housekeeping.stored_runs import UNFINISHED, StoredRun
from nst_lab.housekeeping.table import WHOLE, count_runs, human_age, human_size, plural, print_runs
from nst_lab.running.claims import HeldError


@dataclass(frozen=True)
class Choice:
    """What is to be removed, and the runs that are to stay."""

    runs: Sequence[StoredRun]
    remains: Sequence[Remains]
    staying: Sequence[StoredRun]

    @property
    def summary(self) -> str:
        """`12 runs, 3 launch records (34 MiB)`."""
        return _summary([*self.runs, *self.remains])


def _summary(items: Sequence[StoredRun | Remains]) -> str:
    return f"{plural(Counter(item.kind for item in items))} ({human_size(sum(item.size for item in items))})"


def check_options(options: argparse.Namespace) -> None:
    """Raise `ConfigError` unless the options say what to remove, and a user is there if one is to be asked."""
    aged = options.older_than is not None
    for status in ("completed", "launches"):
        if getattr(options, status) and not aged:
            raise ConfigError(f"clean: --{status} needs --older-than, such as --older-than 30d")
    if not (_statuses(options) or options.launches or aged):
        raise ConfigError("clean: say what to remove: --failed, --interrupted, --killed, --older-than 7d …")
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise ConfigError("clean: there is no terminal to ask on; add --yes, or --dry-run to see what would be removed")


def _statuses(options: argparse.Namespace) -> list[str]:
    return [status for status in (*UNFINISHED, "completed") if getattr(options, status)]


def choose(options: argparse.Namespace, inventory: Inventory) -> Choice:
    """What the options mean here.

    A run that is held, or has others in its folder, is never chosen, nor the record of a launch that holds one.
    """
    by_age_alone = not (_statuses(options) or options.launches)
    statuses = UNFINISHED if by_age_alone else _statuses(options)
    latest = float("inf") if options.older_than is None else time.time() - options.older_than
    chosen, staying = list[StoredRun](), list[StoredRun]()
    around = {parent for run in inventory.runs for parent in run.folder.parents}
    for run in sorted(inventory.runs, key=lambda run: run.since):
        goes = run.status in statuses and run.since <= latest and run.folder not in around
        (chosen if goes else staying).append(run)
    at_work = {run.launch for run in inventory.runs if run.status == "held"}
    old = [each for each in inventory.records if each.since <= latest and each.folder.name not in at_work]
    return Choice(chosen, [*inventory.aside, *(old if options.launches or by_age_alone else [])], staying)


def show(choice: Choice) -> None:
    """Tables of what would go, and what stays."""
    if choice.runs:
        print_runs(choice.runs, [*choice.runs, *choice.staying])
    if choice.remains:
        now = time.time()
        rows = [[printable(e.name), human_age(now - e.since), human_size(e.size)] for e in choice.remains]
        print_rows(["folder", "age", "size"], rows, WHOLE)
    print(f"stays: {count_runs(choice.staying)}")


def agreed(choice: Choice) -> bool:
    """Ask on the terminal; anything but yes is no."""
    print(f"remove {choice.summary}? [y/N] ", end="", flush=True)  # input() would write it where errors go
    try:
        return input().strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def remove(choice: Choice) -> int:
    """Remove one after another and tell what came of it; returns the exit status. A failure does not end it."""
    # Runs come last: a claim takes room, which the others make on a full disk.
    items: list[StoredRun | Remains] = [*choice.remains, *choice.runs]
    removed, failed = list[StoredRun | Remains](), 0
    console = Console(stderr=True)
    try:
        for item in track(items, "removing", console=console, transient=True, disable=not console.is_terminal):
            try:
                _remove(item)
                removed.append(item)
            except HeldError as error:
                _tell(str(error))
            except (OSError, UserError) as error:
                cause = error if isinstance(error, OSError) else error.__cause__
                _tell(f"{item.folder}: cannot be removed ({getattr(cause, 'strerror', None) or error})")
                failed = 1
    finally:  # also when it is interrupted
        print(f"removed {_summary(removed)}" if removed else "nothing removed")
    return failed


def _remove(item: StoredRun | Remains) -> None:
    if isinstance(item, StoredRun):
        remove_run(item)
    elif item.kind == "launch record":
        remove_record(item)
    else:  # what is left of a removal
        delete(item.folder)


def _tell(line: str) -> None:
    print(f"nst-runs: {printable(line)}", file=sys.stderr)
