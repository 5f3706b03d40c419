"""The command line `nst-lab`: Hydra's grammar and flags, every error in one line, the exit status from the runs.

0: all completed; 1: some run failed; 2: the configuration is wrong; 130: interrupted.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from nst_lab.command_line import check_directory, enter, printable
from nst_lab.config.checks import check_key
from nst_lab.config.composition import Cell, Composer, conf_directory, to_settings
from nst_lab.errors import ConfigError, UserError
from nst_lab.running.claims import Watch
from nst_lab.sweeps import sweep

INTERRUPTED = 130


def main() -> NoReturn:
    """Entry point of `nst-lab` and `python -m nst_lab`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's notice is an interruption like Ctrl-C
    enter("nst-lab", command)


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    try:
        if list(arguments) == ["--version"]:  # Hydra's parser would answer with Hydra's
            print(f"nst_lab {version('nst_lab')}")
            return 0
        options = _parse(arguments)
        if options.shell_completion:  # its words are no overrides
            return _leave_to_hydra(arguments)
        check_directory()
        composer = Composer(options.config_dir)
        cells = sweep.expand(composer, options.overrides, options.multirun)
        if options.help or options.hydra_help or options.info:
            return _leave_to_hydra(arguments)
        if options.cfg in ("hydra", "all"):
            return _leave_to_hydra(arguments)
        if options.cfg:
            return _print_configuration(cells, options.package)
        return _run(composer, cells, options.overrides)
    except UserError as error:
        print(f"nst-lab: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nst-lab: interrupted", file=sys.stderr)
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Hydra's flags, with errors in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; nst-lab --help lists groups and keys, --hydra-help the flags")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="nst-lab", parents=[get_args_parser()], add_help=False)
    options = parser.parse_intermixed_args(list(arguments))
    actions = {"--run": options.run, "--multirun": options.multirun, "--cfg": options.cfg, "--info": options.info}
    asked = [flag for flag, given in actions.items() if given]
    if len(set(asked) - {"--multirun"}) > 1 or {"--run", "--multirun"} <= set(asked):
        raise ConfigError(f"{' '.join(asked)}: only one of these can be asked for")
    for flag, value in (("--experimental-rerun", options.experimental_rerun), ("--config-path", options.config_path),
                        ("--config-name", options.config_name)):  # fmt: skip
        if value is not None:
            raise ConfigError(f"{flag} {value}: not supported; give overrides, or a folder of yours with --config-dir")
    return options


def _leave_to_hydra(arguments: Sequence[str]) -> int:
    sys.argv[1:] = arguments
    application = hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name="config")
    application(lambda _composed: None)()
    return 0


def _print_configuration(cells: Sequence[Cell], package: str | None) -> int:
    for index, cell in enumerate(cells):
        settings = OmegaConf.create(to_settings(cell.config))
        if package is not None:
            check_key(package)
            settings = OmegaConf.create({package: OmegaConf.select(settings, package)})
        if len(cells) > 1:
            print(f"--- # {index}: {printable(' '.join(cell.overrides))}")
        print(OmegaConf.to_yaml(settings), end="")
    return 0


def _run(composer: Composer, cells: Sequence[Cell], overrides: Sequence[str]) -> int:
    from nst_lab.running.footprint import check_fits
    from nst_lab.sweeps.batching import batch_sizes
    from nst_lab.sweeps.launching import launch
    from nst_lab.sweeps.summary import announce

    configs = [cell.config for cell in cells]
    for config, batch in zip(configs, batch_sizes(configs), strict=True):
        check_fits(config, batch)
    watch = Watch(min(cell.config.runner.takeover_seconds for cell in cells))
    planned = sweep.plan(cells, watch)
    if cells[0].config.dry_run:
        from nst_lab.sweeps.estimate import print_estimate

        print_estimate(planned)
        return 0
    if len(planned) > 1:
        print(f"{len(planned)} runs: {sweep.count_states(planned)}")
    experiments = announce(planned)
    launch(composer, planned, overrides, watch)
    status = sweep.print_summary(planned)
    for folder, runs in experiments.items():
        _conclude(folder, runs, silent=status != 0)
    return status


def _conclude(folder: Path, planned: Sequence[sweep.Planned], silent: bool) -> None:
    """The pictures of an experiment, and where to look at them; `silent`: of a folder in which runs failed already."""
    from nst_lab.sweeps.summary import write_summary

    picture = planned[0].folder / "result.png"
    try:
        if len(planned) > 1:
            from nst_lab.sweeps.grid import save_grid  # and Matplotlib with it

            picture = save_grid(planned, folder / "grid.png")
        write_summary(folder, planned, picture if len(planned) > 1 else None)
    except OSError as error:
        if not silent:
            print(f"nst-lab: {printable(str(folder))}: cannot be written ({error.strerror})", file=sys.stderr)
    quoted = printable(shlex.quote(str(folder)))
    print(f"picture:     {printable(str(picture)) if picture.is_file() else 'none'}")
    print(f"TensorBoard: tensorboard --samples_per_plugin images=100 --logdir {quoted}")
    if len(planned) > 1:
        print(f"comparison:  nst-compare {quoted}")
