"""What a search varies: ranges of numbers and choices, as Optuna and as overrides have them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nst_lab.config.checks import check_key, schema_keys
from nst_lab.config.grammar import override_value
from nst_lab.config.values import show
from nst_lab.running.runs import HOUSEKEEPING
from nst_lab.search.fields import Fields

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

RANGE_KEYS = ("low", "high", "step", "log")
NUMBERS = (int, float, int | None, float | None)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: every `step` if there is one, evenly on a log scale if `log`."""

    low: float
    high: float
    step: float | None
    log: bool

    def distribution(self) -> "BaseDistribution":
        """For Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int):
            return IntDistribution(self.low, int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def text(self, value: float) -> str:
        """A value as overrides have it."""
        return override_value(value)

    @property
    def ends(self) -> list[str]:
        """The lowest and the highest value, as overrides have them."""
        return [override_value(self.low), override_value(self.high)]

    def __str__(self) -> str:
        step = f" by {override_value(self.step)}" if self.step else ""
        return f"{' to '.join(self.ends)}{step}{' on a log scale' if self.log else ''}"


@dataclass(frozen=True)
class Choices:
    """Values without an order, as overrides have them."""

    values: tuple[str, ...]

    def distribution(self) -> "BaseDistribution":
        """For Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def text(self, value: str) -> str:
        """A value as overrides have it."""
        return value

    @property
    def ends(self) -> list[str]:
        """All of them."""
        return list(self.values)

    def __str__(self) -> str:
        return f"one of {', '.join(self.values)}"


def read_dimension(space: Fields, key: str) -> Range | Choices:
    """What `key` is searched over: `{low, high, step}`, `{low, high, log}` or `{choices}`.

    Raises:
        ConfigError: it is none of these, or `key` is no setting that a picture depends on.
    """
    if key.partition(".")[0] in HOUSEKEEPING or key.startswith("hydra"):
        raise space.error(key, "no setting that a picture depends on")
    if "choices" in space.inner(key).fields:
        return _choices(space.inner(key, ["choices"]))
    fields = space.inner(key, RANGE_KEYS)
    if key not in schema_keys():
        check_key(key, "…")
    if key not in schema_keys() or schema_keys()[key].type not in NUMBERS:
        raise space.error(key, "not a number, expected {choices: […]}")
    return _range(fields, whole=schema_keys()[key].type in (int, int | None))


def _choices(fields: Fields) -> Choices:
    choices = fields.fields["choices"]
    values = [override_value(choice) for choice in choices] if isinstance(choices, list) else []
    if len(values) < 2 or len(set(values)) < len(values):
        raise fields.error("choices", "expected a list of different values, two or more")
    return Choices(tuple(values))


def _range(fields: Fields, whole: bool) -> Range:
    number = fields.whole if whole else fields.number
    low, high = number("low"), number("high")
    step = number("step") if "step" in fields.fields else None
    log = fields.flag("log")
    if low >= high:
        raise fields.error("low", f"expected less than high={show(high)}")
    if log and low <= 0:
        raise fields.error("low", "expected more than 0 on a log scale")
    if log and step is not None:
        raise fields.error("step", "not on a log scale")
    if step is not None and (step <= 0 or abs((high - low) / step - round((high - low) / step)) > 1e-9):
        raise fields.error("step", f"expected a whole number of steps from low={show(low)} to high={show(high)}")
    return Range(low, high, step, log)
