"""The command line `nst-images`: what the catalog holds, a contact sheet of it, and fetching.

Exit status 0: done; 1: something could not be fetched; 2: the command or the catalog is wrong; 130: interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.table import Table

from nst_lab.command_line import Parser, answer, enter
from nst_lab.errors import ConfigError, UserError, nearest
from nst_lab.images import catalog

if TYPE_CHECKING:
    from rich.progress import Progress

WIDE = 200  # columns of a table that does not go to a terminal

EPILOG = """\
environment:
  NST_LAB_CATALOG  a YAML file of your own images, of the form of the shipped catalog
  NST_LAB_MIRROR   a folder of image files, looked in before anything is fetched
  NST_LAB_CACHE    where fetched images are kept, in place of the user's cache folder
"""


def main() -> NoReturn:
    """Entry point of `nst-images`."""
    enter("nst-images", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    return answer(_parser(), arguments)


def _parser() -> Parser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="nst-images", description="The images that have a name.", epilog=EPILOG, formatter_class=formatter
    )
    parser.add_argument("--version", action="version", version=f"nst_lab {version('nst_lab')}")
    commands = parser.add_subparsers(metavar="command", required=True)
    listing = commands.add_parser("list", help="every image with its credit and where it is")
    listing.add_argument(
        "--sheet", type=Path, metavar="FILE", help="save a labelled picture of all at hand (.png, .jpg or .webp)"
    )
    listing.set_defaults(run=_list)
    fetching = commands.add_parser("fetch", help="fetch images into the cache")
    fetching.add_argument("names", nargs="+", metavar="NAME", help="names of the catalog, or all")
    fetching.set_defaults(run=_fetch)
    return parser


def _list(options: argparse.Namespace) -> int:
    drawn = ""
    if options.sheet:
        from nst_lab.images.contact_sheet import save_sheet

        drawn = f"{save_sheet(options.sheet)} pictures on {options.sheet}"
    table = Table("name", "title", "artist", "year", "rights", "pixels", "where", box=None, pad_edge=False)
    for name, entry in catalog.entries().items():
        pixels = "{}x{}".format(*entry.pixels) if entry.pixels else ""
        table.add_row(name, entry.title, entry.artist, entry.year, entry.rights, pixels, catalog.where(name))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
    if drawn:
        print(drawn)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    names = _chosen(options.names)
    failures = []
    with _progress_bars() as bars:
        for name in names:
            try:
                _fetch_one(name, bars)
            except UserError as error:
                failures.append(error)
    for failure in failures:
        print(f"nst-images: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _fetch_one(name: str, bars: "Progress") -> None:
    entry = catalog.entries()[name]
    task = bars.add_task(name, total=entry.bytes, visible=catalog.where(name) == "to fetch")
    try:
        file = catalog.locate(name, progress=lambda received: bars.update(task, completed=received))
        bars.console.print(f"{name}: {file} ({catalog.where(name)}; {entry.credit})", soft_wrap=True)
    finally:
        bars.remove_task(task)


def _chosen(names: Sequence[str]) -> list[str]:
    """The names of a command line, `all` being every image that is not built in."""
    known = catalog.entries()
    for name in names:
        if name != "all" and name not in known:
            raise ConfigError(
                f"{name}: no such name in the catalog, see nst-images list{nearest(name, ['all', *known])}"
            )
    fetched = [name for name, entry in known.items() if entry.url]
    return list(dict.fromkeys(each for name in names for each in (fetched if name == "all" else [name])))


def _progress_bars() -> "Progress":
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    console = Console(highlight=False, markup=False)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
