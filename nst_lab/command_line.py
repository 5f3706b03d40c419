"""What the commands share: their processes, exit statuses, mistakes in one line, and tables of any size."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import NoReturn

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

from nst_lab.errors import ConfigError, UserError
from nst_lab.streams import guard_streams

INTERRUPTED = 130
MOST_FITTED = 1000  # rows fitted to the terminal: rich takes most of a millisecond for each


class Parser(argparse.ArgumentParser):
    """Errors in one line, without the usage above them."""

    interrupted = "interrupted"

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; {self.prog} --help says more")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options of a command line."""
        return self.parse_args(arguments)


class RunsParser(Parser):
    """Of a command that makes runs: options may stand between overrides; what is interrupted can be gone on with."""

    interrupted = "interrupted; the same command goes on"

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        return self.parse_intermixed_args(arguments)


def enter(name: str, command: Callable[[Sequence[str]], int]) -> NoReturn:
    """Be the process of a command, which does its work whatever becomes of its output.

    The exit status is that of the command, but 1 after one line for an output that could not be written.
    """
    output = guard_streams()
    status: int | str | None
    try:
        status = command(sys.argv[1:])
    except SystemExit as end:  # --help
        status = end.code
    sys.stdout.flush()
    if output is not None and output.failure is not None:
        print(f"{name}: standard output cannot be written ({output.failure.strerror})", file=sys.stderr)
        status = status or 1
    sys.exit(status)


def check_directory() -> None:
    """Raise `ConfigError` if the current directory, to which all relative paths refer, was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError("the current directory no longer exists") from None


def answer(parser: Parser, arguments: Sequence[str]) -> int:
    """Do what a command line asks for (`run` of its options) and return the exit status.

    That of `run`; 2 after one line that says what is wrong; 130 if interrupted.
    """
    try:
        options = parser.read(arguments)
        check_directory()
        status: int = options.run(options)
        return status
    except UserError as error:
        print(f"{parser.prog}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: {parser.interrupted}", file=sys.stderr)
        return INTERRUPTED


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]], whole: Iterable[str] = ()) -> None:
    """A table: fitted to the terminal, long cells folded; or one line for each row where it is piped, or very long.

    Args:
        header: the names of the columns.
        rows: the text of the cells, without control characters (`printable`).
        whole: columns that are never folded.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal and len(rows) <= MOST_FITTED:
        table = Table(box=None, pad_edge=False)
        for name in header:
            table.add_column(name, overflow="fold", no_wrap=name in whole)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    for row in chain([header], rows):
        print("  ".join(map(set_cell_size, row, widths)).rstrip())


def printable(text: str) -> str:
    """Text for one line of a terminal: what would break the line or steer the terminal is escaped."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
