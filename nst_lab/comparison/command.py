"""The command line `nst-compare`: finished runs as a table, a CSV file and an HTML report.

Exit status 0: done; 1: there is no completed run; 2: the command line is wrong; 130: interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from math import inf, isfinite
from os.path import isdir, realpath  # unlike those of Path, they take what cannot be a name
from pathlib import Path
from typing import NoReturn

from nst_lab.command_line import Parser, answer, enter, printable
from nst_lab.comparison.compare import Comparison, compare, write_csv
from nst_lab.comparison.reading import Runs
from nst_lab.comparison.scanning import Problem, scan
from nst_lab.comparison.table import print_comparison
from nst_lab.errors import ConfigError

MOST_PROBLEMS = 10  # told on the terminal; the report lists all

DESCRIPTION = """\
Compare finished runs: a table of the settings that differ, the distances and the cost, best style first, repeats (runs
that differ only in the seed) as mean ± standard deviation; and an HTML report with the pictures.
"""
EPILOG = """\
examples:
  nst-compare outputs/one_style --max-content 0.6
  nst-compare outputs/one_style --where style.images=mosaic --sort swd --csv mosaic.csv
"""


def main() -> NoReturn:
    """Entry point of `nst-compare`."""
    enter("nst-compare", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    return answer(_parser(), arguments)


def _parser() -> Parser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="nst-compare", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"nst_lab {version('nst_lab')}")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="run folders, or folders that hold them")
    parser.add_argument(
        "--max-content",
        type=_distance,
        metavar="X",
        help="the best is the lowest style distance among runs of at most this content distance",
    )
    parser.add_argument("--where", type=_condition, action="append", default=[], metavar="KEY=VALUE",
                        help="only runs with this setting; the same key again adds a value")  # fmt: skip
    parser.add_argument("--sort", metavar="COLUMN", help="a distance, a cost or a setting (default: style)")
    parser.add_argument("--reverse", action="store_true", help="the worst first")
    parser.add_argument("--each", action="store_true", help="every run in a row of its own, repeats not folded")
    parser.add_argument("--all", action="store_true", help="every distance and cost, and the total loss")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table, every column in full precision")
    parser.add_argument("--html", type=Path, metavar="FILE", help="where the report goes (default: report.html in the "
                        "first FOLDER)")  # fmt: skip
    parser.add_argument("--no-html", action="store_true", help="write no report")
    parser.set_defaults(run=_compare)
    return parser


def _condition(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text}: expected KEY=VALUE, such as style.images=mosaic")
    return key, value


def _distance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = inf
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: expected a number, such as 0.6")
    return value


def _compare(options: argparse.Namespace) -> int:
    page = options.html or Path(options.folders[0]) / "report.html"
    if not options.no_html:
        _check_page(page, options.csv)
    runs = Runs(*scan(options.folders))
    if options.where:
        runs = runs.where(options.where)
    comparison = compare(runs, options.each)
    if comparison.members:
        sort = options.sort or _first_column(comparison)
        order = comparison.sorted(sort, options.reverse)
        print_comparison(comparison, order, every=options.all, sort=sort, max_content=options.max_content)
        if options.csv:
            write_csv(comparison, options.csv, order)
            print(f"table:  {options.csv}")
    _print_notes(runs)
    if not options.no_html and len(runs):
        from nst_lab.comparison.report import write_report

        title = " + ".join(dict.fromkeys(Path(folder).resolve().name for folder in options.folders))
        write_report(runs, page, title, options.max_content)
        print(f"report: {page}")
    if not comparison.members:
        print(f"nst-compare: no completed run in {', '.join(options.folders)}", file=sys.stderr)
        return 1
    return 0


def _check_page(page: Path, table: Path | None) -> None:
    """Raise if the report would have no name, or take the table's place."""
    if isdir(page):
        raise ConfigError(f"--html {page}: is a folder, expected a file such as {page / 'report.html'}")
    if table and realpath(table) == realpath(page):
        raise ConfigError(f"--csv {table}: the report goes there; expected another file, or --no-html")


def _first_column(comparison: Comparison) -> str:
    return next(key for key in ("style", *comparison.settings, "seconds") if key in comparison.table)


def _print_notes(runs: Runs) -> None:
    for problem in runs.problems[:MOST_PROBLEMS]:
        print(_line(problem), file=sys.stderr)
    if len(runs.problems) > MOST_PROBLEMS:
        print(f"… and {len(runs.problems) - MOST_PROBLEMS} more folders that are no completed runs", file=sys.stderr)
    for note in runs.notes[bool(runs.problems) :]:
        print(note, file=sys.stderr)


def _line(problem: Problem) -> str:
    return printable(f"left out: {problem.folder}: {problem.reason}")
