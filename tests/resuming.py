"""A run that is taken up in another object, beside the same run left alone."""

from collections.abc import Iterator

from nst_lab.config.schema import Config
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.synthesis import Synthesis


def resumed(inputs: Inputs, config: Config, *cuts: int) -> Iterator[tuple[Step, Step]]:
    """The steps after each cut, resumed, each with that of the run that was not interrupted."""
    whole = list(Synthesis(inputs, config))
    for cut in cuts:
        first, second = Synthesis(inputs, config), Synthesis(inputs, config)
        steps = iter(first)
        for _ in range(cut):
            next(steps)
        second.load_state_dict(first.state_dict())
        yield from zip(second, whole[cut:], strict=True)
