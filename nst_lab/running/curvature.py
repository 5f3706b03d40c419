"""What a run that started from another one leaves to those that go on from it: what its L-BFGS learnt of the curvature.

From another run's result with an empty memory, L-BFGS needs some thirty evaluations to learn again what that run knew.
Weights that differ a little change the curvature a little, so that its pairs are as good a beginning.
"""

from pathlib import Path

import torch
from torch import Tensor

from nst_lab.config.schema import Config, run_to_start_from
from nst_lab.config.values import value_at
from nst_lab.errors import ConfigError
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running import checkpoint, runs
from nst_lab.running.claims import Claim
from nst_lab.running.inputs import sizes_from_headers

NAME = "curvature.pt"


def leave(claim: Claim, synthesis: Synthesis) -> None:
    """Write the pairs of a run that has `init.curvature`; in half as many bytes, which is exact enough for them."""
    if synthesis.config.init.curvature:
        moves, changes = synthesis.pairs().known(torch.bfloat16)
        checkpoint.save(claim, NAME, {"moves": moves, "changes": changes, "space": _space(synthesis.config)})


def _space(config: Config) -> list[str | float | bool]:
    """What the variable means that the pairs are of."""
    size = sizes_from_headers(config)[0]
    return [config.parametrisation, config.color.mode == "luminance", config.optimizer.pixel_scale, *size]


def take_over(config: Config) -> tuple[Tensor, Tensor] | None:
    """The pairs that the run left that this one starts from; None where it was to leave none, or of other variables.

    Raises:
        ConfigError: they are gone or damaged.
    """
    run = run_to_start_from(config)
    if run is None or not config.init.curvature:
        return None
    if not value_at(runs.read_manifest(Path(run)), "config.init.curvature"):
        return None
    space = _space(config)
    try:
        left = checkpoint.load(Path(run, NAME))
        return (left["moves"], left["changes"]) if left["space"] == space else None
    except Exception as error:  # a damaged file leads torch to errors of many kinds
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"init.run={run}: its {NAME} is not usable ({reason}); run it again with force=true"
        ) from error
