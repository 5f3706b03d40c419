"""The command line `nst-lab`: Hydra's grammar and flags, every error in one line, the exit status from the runs.

0: all completed; 1: some run failed; 2: the configuration is wrong; 130: interrupted.
"""

import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nst_lab import sweep
from nst_lab.composition import Cell, Composer, conf_directory, finish, to_settings
from nst_lab.errors import ConfigError, UserError

INTERRUPTED = 130


def main() -> NoReturn:
    """Entry point of `nst-lab` and `python -m nst_lab`."""
    sys.exit(command(sys.argv[1:]))


def command(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    try:
        if list(arguments) == ["--version"]:  # Hydra's parser would answer with Hydra's
            print(f"nst_lab {version('nst_lab')}")
            return 0
        options = _parse(arguments)
        composer = Composer(options.config_dir)
        cells = sweep.expand(composer, options.overrides, options.multirun)
        if options.help or options.hydra_help or options.info or options.shell_completion:
            return _leave_to_hydra(arguments)
        if options.cfg in ("hydra", "all") or options.package:
            return _leave_to_hydra(arguments)
        if options.cfg:
            return _print_configuration(cells)
        return _run(composer, cells, options.overrides)
    except UserError as error:
        print(f"nst-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nst-lab: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parse(arguments: Sequence[str]):
    parser = get_args_parser()
    parser.prog = "nst-lab"

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; nst-lab --help lists groups and keys, --hydra-help the flags")

    parser.error = refuse
    options = parser.parse_intermixed_args(list(arguments))
    for flag, value in (("--experimental-rerun", options.experimental_rerun), ("--config-path", options.config_path),
                        ("--config-name", options.config_name)):  # fmt: skip
        if value is not None:
            raise ConfigError(f"{flag} {value}: not supported; give overrides, or a folder of yours with --config-dir")
    return options


def _leave_to_hydra(arguments: Sequence[str]) -> int:
    sys.argv[1:] = arguments
    application = hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name="config")(task)
    application()
    return 0


def _print_configuration(cells: Sequence[Cell]) -> int:
    for index, cell in enumerate(cells):
        if len(cells) > 1:
            print(f"--- # {index}: {' '.join(cell.overrides)}")
        print(OmegaConf.to_yaml(OmegaConf.create(to_settings(cell.config))), end="")
    return 0


def _run(composer: Composer, cells: Sequence[Cell], overrides: Sequence[str]) -> int:
    from nst_lab.runner import check_sizes
    from nst_lab.synthesis import resolve_device

    for cell in cells:
        resolve_device(cell.config.device)
        check_sizes(cell.config)
    planned = sweep.plan(cells)
    if cells[0].config.dry_run:
        from nst_lab.estimate import print_estimate

        print_estimate(planned)
        return 0
    hydra_overrides = [text for text in overrides if text.lstrip("+~").startswith(("hydra.", "hydra/"))]
    keys = sweep.swept_keys(cells)
    pending = sum(not item.completed for item in planned)
    print(f"{len(planned)} runs, {len(planned) - pending} of them completed earlier")
    sweep.launch(composer, planned, hydra_overrides, partial(task, keys=keys, total=pending))
    status = sweep.print_summary(planned)
    _print_where(planned)
    return status


def _print_where(planned: Sequence[sweep.Planned]) -> None:
    if len(planned) > 1:
        from nst_lab.grid import save_grid

        print(f"picture:     {save_grid(planned, planned[0].folder.parent / 'grid.png')}")
    else:
        result = planned[0].folder / "result.png"
        print(f"picture:     {result if result.is_file() else 'none'}")
    print(f"TensorBoard: tensorboard --samples_per_plugin images=100 --logdir {planned[0].folder.parent}")


def task(composed: DictConfig, keys: Sequence[str] = (), total: int = 1) -> None:
    """One job of a launcher: run the cell and leave its status in the manifest. Importable, since launchers pickle it.

    It never raises but for an interruption: one failed cell must not end the sweep, and the exit status comes from the
    manifests.
    """
    from nst_lab.runner import run

    job = HydraConfig.get()
    overrides = tuple(job.overrides.task)
    config = finish(composed)
    label = f"[{job.job.num + 1}/{total}] {sweep.label(Cell(overrides, config), keys)}" if total > 1 else None
    try:
        run(config, overrides=overrides, label=label)
    except Exception as error:
        if total > 1:  # told at once in a long sweep, and by the closing table in any case
            print(f"{label}: failed: {error}", file=sys.stderr)
