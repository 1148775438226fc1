"""ParamSpec: one adjustable number, switch or choice, and the check that guards it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from engine.errors import SpecError

ParamType = Literal["int", "float", "bool", "choice"]
ParamValue = int | float | bool | str | None
Params = Mapping[str, ParamValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSpec:
    """A parameter's name, type, default and range; forms, API, sweeps and validation all read this.

    `exclusive_minimum`: the minimum itself is not allowed. `default` None: the parameter may be left out.
    Fractions are fractions here (0.01 is 1%).
    """

    name: str
    type: ParamType
    default: ParamValue
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    exclusive_minimum: bool = False
    label: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What is allowed, as a phrase for people: "a whole number from 1 to 500"."""
        if self.type == "bool":
            return "true or false"
        if self.type == "choice":
            return "one of " + ", ".join(self.choices)
        kind = "a whole number" if self.type == "int" else "a number"
        return f"{kind}{self._range()}{', or nothing' if self.default is None else ''}"

    def _range(self) -> str:
        low = None if self.minimum is None else f"{self.minimum:g}"
        high = None if self.maximum is None else f"{self.maximum:g}"
        if low is None:
            return "" if high is None else f" up to {high}"
        if self.exclusive_minimum:
            return f" above {low}" + ("" if high is None else f" and up to {high}")
        return f" from {low} up" if high is None else f" from {low} to {high}"


def check_param(param: ParamSpec, value: object, field: str) -> ParamValue:
    """The value in the param's own type, or SpecError(field) that says what is allowed.

    A whole float is accepted for an int and an int for a float; strings are not numbers, and true is not 1.
    """
    if value is None and param.default is None:
        return None
    checked = _typed(param, value)
    if checked is None or not _within(param, checked):
        raise SpecError(field, value, param.allowed)
    return checked


def nearest(name: str, known: list[str]) -> str:
    """The end of an error sentence: the closest known name when there is one, else all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _typed(param: ParamSpec, value: object) -> ParamValue:
    if param.type == "bool":
        return value if isinstance(value, bool) else None
    if param.type == "choice":
        return value if isinstance(value, str) and value in param.choices else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if param.type == "float":
        return float(value)
    return int(value) if value == int(value) else None


def _within(param: ParamSpec, value: ParamValue) -> bool:
    if isinstance(value, bool | str) or value is None:
        return True
    if param.minimum is not None and (value < param.minimum or (param.exclusive_minimum and value == param.minimum)):
        return False
    return param.maximum is None or value <= param.maximum
