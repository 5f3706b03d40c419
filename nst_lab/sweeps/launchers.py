"""The jobs of Hydra's launchers, and what has to be known of each launcher to start them well."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from nst_lab.command_line import printable
from nst_lab.config.composition import Composer, finish, to_dict
from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError
from nst_lab.running.claims import ClaimLostError, HeldError
from nst_lab.running.interruption import Farewell
from nst_lab.running.processes import Process
from nst_lab.running.together import Coroutine, drive
from nst_lab.streams import guard_streams
from nst_lab.sweeps.gpus import device_of_worker
from nst_lab.sweeps.orphans import at_work_for
from nst_lab.sweeps.sweep import label

IN_THIS_PROCESS = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher."
EXTRAS = {"hydra_joblib_launcher": "processes", "hydra_submitit_launcher": "slurm", "hydra_ray_launcher": "ray"}
INTERRUPTED = "interrupted"  # a file among the records: what has not begun yet is not to begin

# Whole numbers without which no job can start: whose launcher's, a test, and the words for it.
NUMBERS: dict[str, tuple[str, Callable[[int], bool], str]] = {
    "n_jobs": (JOBLIB, lambda value: value != 0, "such as 4, or -1 for one process for each core"),
    **{
        key: (SUBMITIT, lambda value: value >= 1, "at least 1")
        for key in ("cpus_per_task", "timeout_min", "tasks_per_node", "nodes", "array_parallelism")
    },
}


Job = Sequence[tuple[int, tuple[str, ...]]]  # of the cells that are made together: which of all, and their overrides


@dataclass(frozen=True)
class Launch:
    """One command line's sweep, as its workers know it, wherever they run."""

    name: str  # in the claims and manifests of its runs
    keys: Sequence[str]  # swept, for labels
    total: int
    directory: str  # that relative paths refer to
    environment: Mapping[str, str]  # where the pictures are
    records: str  # the folder in which the launch is recorded
    config_dir: str | None = None  # the user's own
    own: Sequence[str] = ()  # overrides, which configure Hydra
    jobs: Mapping[int, "Job"] = field(default_factory=dict)  # by their numbers
    threads: int | None = None  # of each worker
    gpus: int = 0  # that the workers share
    launcher: Process | None = None  # whose end is also that of its workers; None where a cluster sees to them

    def label(self, index: int, overrides: Sequence[str]) -> str | None:
        """How a run is called on the terminal; None for a run alone, which goes by its folder."""
        return f"[{index + 1}/{self.total}] {label(overrides, self.keys)}" if self.total > 1 else None


def check_launcher(master: DictConfig) -> None:
    """Raise `ConfigError` if the chosen launcher is none, is not installed (with the command that does), or is wrong.

    Of its settings, only the commonest numbers can be checked before it starts.
    """
    launcher = master.hydra.launcher
    if not (isinstance(launcher, DictConfig) and isinstance(launcher.get("_target_"), str)):
        shown = f"hydra.launcher={'null' if launcher is None else launcher}"
        raise ConfigError(f"{shown}: expected a launcher, such as hydra/launcher=basic or hydra/launcher=processes")
    _check_installed(master)
    for key, (of, accepts, expected) in NUMBERS.items():
        value = OmegaConf.select(launcher, key)
        if launcher._target_.startswith(of) and value is not None and not (type(value) is int and accepts(value)):
            raise ConfigError(f"hydra.launcher.{key}={value}: expected a whole number, {expected}")


def _check_installed(master: DictConfig) -> None:
    package = master.hydra.launcher._target_.rpartition(".")[0].rpartition(".")[0]
    extra = EXTRAS.get(package.rpartition(".")[2])
    if extra and not _there(package):
        choice = master.hydra.runtime.choices["hydra/launcher"]
        raise ConfigError(f"hydra/launcher={choice}: not installed; pip install 'nst_lab[{extra}]'")


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the parent: no plugin of Hydra is installed at all
        return False


def shares(launcher: DictConfig) -> tuple[int | None, int | None]:
    """Threads of each worker, so that those of one machine share its cores; how many to start at once, if it matters.

    None where the launcher's own system sees to it, or is not known here.

    Raises:
        ConfigError: Ray is given no number of cores for a run.
    """
    if launcher._target_ == JOBLIB:
        import joblib

        return max(1, joblib.cpu_count() // joblib.effective_n_jobs(launcher.n_jobs)), None
    if launcher._target_ == RAY:
        cores = OmegaConf.select(launcher, "ray.remote.num_cpus") or 1
        if type(cores) not in (int, float) or cores < 0:
            raise ConfigError(f"hydra.launcher.ray.remote.num_cpus={cores}: expected a number, at least 0")
        return max(1, int(cores)), None
    if launcher._target_.startswith(SUBMITIT):
        threads = launcher.get("cpus_per_task") or 1
        local = launcher._target_.endswith("LocalLauncher")
        return threads, max(1, (os.cpu_count() or 1) // threads) if local else None
    return None, None


def spread(
    composer: Composer,
    master: DictConfig,
    launch: Launch,
    workers: Callable[[], list[int]],
) -> str | None:
    """Run the jobs of a launch with the launcher that `master` configures; the error of one that gave up.

    `workers` gives the processes on this machine that are at work, to which an interruption is passed on.
    """
    jobs = [list(job[0][1]) for job in launch.jobs.values()]  # Hydra composes the first cell of each
    context = HydraContext(config_loader=composer.loader, callbacks=Callbacks(master))
    try:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=partial(task, launch=launch), config=master
        )
    except Exception as error:  # whatever the constructor of a plugin does with what it was given
        raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error
    if master.hydra.launcher._target_ == RAY:
        _join_ray(master.hydra.launcher.ray.init)
    if master.hydra.launcher.get("submitit_folder"):
        print(f"the jobs write to {launch.records}/submitit")
    size = master.hydra.sweeper.get("max_batch_size") or shares(master.hydra.launcher)[1] or len(jobs)
    for start in range(0, len(jobs), size):
        try:
            with Farewell(Path(launch.records, INTERRUPTED).touch, workers):
                launcher.launch(jobs[start : start + size], initial_job_idx=min(launch.jobs) + start)
        except Exception as error:  # a lost worker, in the words of the plugin; manifests tell what became of runs
            return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
    return None


def _join_ray(settings: DictConfig) -> None:
    """Start or join the cluster before the launcher would: Ray takes SIGTERM for itself when it does."""
    import ray

    if not ray.is_initialized():
        try:
            ray.init(**to_dict(settings, resolve=True))
        except Exception as error:  # no cluster at that address, a setting that Ray does not know
            raise ConfigError(f"hydra.launcher.ray.init: {' '.join(str(error).split())}") from error


def task(composed: DictConfig, launch: Launch) -> None:
    """One job of a Hydra launcher, in a process of its own. Importable, since launchers pickle it."""
    guard_streams()
    with at_work_for(launch.launcher):
        _make(composed, launch)


def _make(composed: DictConfig, launch: Launch) -> None:
    if Path(launch.records, INTERRUPTED).exists():
        return
    os.chdir(launch.directory)
    os.environ.update(launch.environment)
    job = launch.jobs[HydraConfig.get().job.num]
    configs = [finish(composed)]
    if len(job) > 1:
        composer = Composer(launch.config_dir)
        configs += (composer.cell([*launch.own, *overrides]) for _, overrides in job[1:])
    for config in configs:
        config.threads = config.threads or launch.threads
        if launch.gpus and config.device in ("auto", "cuda"):
            config.device = device_of_worker(Path(launch.records), launch.gpus)
    cells = zip(configs, job, strict=True)
    drive((attempt(config, overrides, launch, index) for config, (index, overrides) in cells), batch=len(job))


def attempt(config: Config, overrides: Sequence[str], launch: Launch, index: int) -> Coroutine[bool]:
    """Make one run and leave its status in the manifest; false if another process holds it, to which it is left.

    Raises nothing but an interruption: one failed cell must not end the sweep, and the exit status comes from the
    manifests.
    """
    from nst_lab.running.runner import make

    name, source = launch.label(index, overrides), launch.config_dir
    try:
        yield from make(config, overrides=overrides, config_dir=source, label=name, launch=launch.name, wait=False)
    except (HeldError, ClaimLostError):
        return False
    except Exception as error:
        print(f"{name or 'nst-lab'}: failed: {printable(str(error))}", file=sys.stderr)
    return True
