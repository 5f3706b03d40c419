"""The command line `nst-figure`: runs what a figure lacks, with any launcher, and lays it out.

Exit status 0: complete; 1: a panel is missing, which the figure marks; 2: the configuration is wrong; 130: interrupted.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

from rich.table import Table

from nst_lab.command_line import RunsParser, answer, enter, printable
from nst_lab.config.composition import Composer
from nst_lab.errors import ConfigError
from nst_lab.figures.schema import figure_names, load_request, own_keys
from nst_lab.sweeps import sweep

if TYPE_CHECKING:
    from nst_lab.figures.plan import FigurePlan, Panel

DESCRIPTION = """\
Make a figure: run what it lacks, then lay it out as PNG and PDF with a caption. Without figure=… it lists the figures.
"""
EPILOG = """\
keys of the figure:
  figure=NAME           one of the list
  quality=paper|draft   draft: minutes on a laptop
  size=N                pixels, in place of the quality's
  evaluations=N         of every run, in place of the quality's
  images=papers|built_in  built_in: stand-ins for what would have to be fetched
  name=NAME out_dir=FOLDER  runs and figure go to FOLDER/NAME (outputs/figures)
  dry_run=true          what it would cost; nothing runs
any other key=value of nst-lab goes to every run; hydra/launcher=… spreads them.

examples:
  nst-figure figure=gatys2015_fig3 quality=draft
  nst-figure figure=gatys2016_fig4 images=built_in size=64 evaluations=10
  nst-figure --config-dir mine figure=my_figure hydra/launcher=processes
"""


def main() -> NoReturn:
    """Entry point of `nst-figure`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's notice is an interruption like Ctrl-C
    enter("nst-figure", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    return answer(_parser(), arguments)


def _parser() -> RunsParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = RunsParser(prog="nst-figure", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"nst_lab {version('nst_lab')}")
    parser.add_argument("--config-dir", metavar="FOLDER", help="a folder of yours; its figure/*.yaml are figures too")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="see below; or the word list")
    parser.set_defaults(run=_figure)
    return parser


def _figure(options: argparse.Namespace) -> int:
    composer = Composer(options.config_dir)
    name, own, extra = _sorted(options.overrides)
    return _list(composer) if name is None else _make(composer, name, own, extra)


def _sorted(overrides: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """The figure's name, the overrides of the figure itself, and those of its runs and of Hydra."""
    names, own, extra = [], [], []
    for text in overrides:
        key, given, value = text.partition("=")
        if text == "list" and len(overrides) == 1:
            continue
        if key == "figure" and given:
            names.append(value)
        elif key.lstrip("+").partition(".")[0] in own_keys():
            own.append(text)
        else:
            extra.append(text)
    if len(names) != 1 and (overrides and list(overrides) != ["list"]):
        raise ConfigError(f"{' '.join(overrides)}: expected one figure=<name>; nst-figure list shows them")
    return names[0] if names else None, own, extra


def _list(composer: Composer) -> int:
    table = Table("figure", "panels", "of", "what", "CPU", "GPU", box=None, pad_edge=False)
    for name in figure_names(composer):
        figure = load_request(composer, name).figure
        panels = sum(len(figure.columns if row.panels is None else row.panels) for row in figure.rows)
        source = ", ".join(part for part in (figure.paper.partition(",")[0], figure.number) if part)
        expected = figure.expected
        told = (name, str(panels or len(figure.columns)), source, figure.title, expected.cpu, expected.gpu)
        table.add_row(*map(printable, told))
    sweep.print_table(table)
    print(
        "nst-figure figure=<name> makes one; quality=draft makes it in minutes; dry_run=true tells what it would cost"
    )
    return 0


def _make(composer: Composer, name: str, own: Sequence[str], overrides: Sequence[str]) -> int:
    from nst_lab.figures.plan import plan_figure
    from nst_lab.optimisation.synthesis import resolve_device
    from nst_lab.sweeps.batching import batch_sizes
    from nst_lab.sweeps.launching import launch
    from nst_lab.sweeps.summary import announce

    request = load_request(composer, name, own)
    hydras = sweep.hydras_own(overrides)
    composer.parse(hydras)
    plan = plan_figure(composer, name, request, [text for text in overrides if text not in hydras], own)
    for notice in plan.notices:
        print(notice)
    made = [panel for panel in plan.panels if panel.planned]
    for panel in made:
        resolve_device(panel.cell.config.device)  # no matter of the size, which `_check_fits` names
    for panel, batch in zip(made, batch_sizes([panel.cell.config for panel in made]), strict=True):
        _check_fits(panel, plan, batch)
    if request.dry_run:
        from nst_lab.sweeps.estimate import print_estimate

        print_estimate(plan.planned)
        return 0
    print(f"{len(plan.panels)} panels, {len(plan.planned)} runs: {sweep.count_states(plan.planned)}")
    announce(plan.planned)
    launch(composer, plan.planned, overrides, plan.watch)
    status = sweep.print_summary(plan.planned)
    return max(status, _lay_out(plan))


def _check_fits(panel: "Panel", plan: "FigurePlan", batch: int) -> None:
    """`check_fits` in the words of the figure, which has a size of its own."""
    from nst_lab.running.footprint import check_fits

    try:
        check_fits(panel.cell.config, batch)
    except ConfigError as error:
        size, own = plan.quality.size, panel.cell.config.size
        of_figure = f"size={size}: " + (f"size_factor {own / size:g} of " if own != size else "")
        raise ConfigError(f"figure={plan.name}: {of_figure}{panel.place}: {error}") from error


def _lay_out(plan: "FigurePlan") -> int:
    from nst_lab.figures.sheet import save_figure

    try:
        files, missing = save_figure(plan)
    except OSError as error:
        raise ConfigError(f"out_dir: {error.filename or plan.request.out_dir} cannot be written "
                          f"({error.strerror})") from error  # fmt: skip
    for line in missing:
        print(f"missing: {printable(line)}", file=sys.stderr)
    png, pdf, md = (printable(str(files[suffix])) for suffix in ("png", "pdf", "md"))
    print(f"figure:  {png}\n         {pdf}\ncaption: {md}")
    return 1 if missing else 0
