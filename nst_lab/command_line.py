"""What the commands beside `nst-lab` share: exit statuses, mistakes in one line, and tables of any size."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NoReturn

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

from nst_lab.errors import ConfigError, UserError

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


def answer(parser: Parser, arguments: Sequence[str]) -> int:
    """Do what a command line asks for (`run` of its options) and return the exit status.

    That of `run`; 2 after one line that says what is wrong; 130 if interrupted.
    """
    try:
        options = parser.read(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"{parser.prog}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: {parser.interrupted}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # … | head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
