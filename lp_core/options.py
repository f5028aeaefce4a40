"""Options of a dataclass: default, range, unit and help of each field, defined once.

The range is what `check_options` validates when a value is made; widgets of nodes and arguments of the command line
are made from the same fields.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

METADATA_KEY = "option"


@dataclass(frozen=True)
class Option:
    """Metadata of a dataclass field.

    Attributes:
        help: its effect, in full sentences.
        name: name of the field.
        default: default of the field.
        minimum: lowest value, inclusive; None is unlimited.
        maximum: highest value, inclusive; None is unlimited.
        step: step of a slider; None leaves it to the user interface.
        choices: the permitted values; empty permits any.
        unit: unit of the value, such as "ms"; empty without one.
        label: name in messages; the field's name in words when empty.
        optional: whether None is permitted.
    """

    help: str
    name: str = ""
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    label: str = ""
    optional: bool = False

    def check(self, value: Any) -> None:
        """Raises for a value, or a tuple with an element, that is outside the range or not among the choices.

        Raises:
            ValueError: with the given value and the permitted ones.
        """
        if value is None and self.optional:
            return
        for one in value if isinstance(value, tuple) else (value,):
            if not self._takes(one):
                shown = repr(one) if isinstance(one, str) else one
                called = self.label or self.name.replace("_", " ")
                raise ValueError(f"The {called} is {shown}; expected {self.expected}.")

    def _takes(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if self.minimum is None and self.maximum is None:
            return True
        lowest = -math.inf if self.minimum is None else self.minimum
        highest = math.inf if self.maximum is None else self.maximum
        return math.isfinite(value) and lowest <= value <= highest

    @property
    def expected(self) -> str:
        """Returns the permitted values, as a phrase for messages."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        unit = f" {self.unit}" if self.unit else ""
        if self.maximum is None:
            return f"{self.minimum:g}{unit} or more"
        if self.minimum is None:
            return f"{self.maximum:g}{unit} or less"
        return f"{self.minimum:g} … {self.maximum:g}{unit}"


def option(default: Any, help: str, **details: Any) -> Any:
    """Returns a dataclass field with a default and the other attributes of `Option`."""
    return field(default=default, metadata={METADATA_KEY: Option(help, **details)})


@cache
def options_of(kind: type) -> Mapping[str, Option]:
    """Returns the options of a dataclass by name, in the order of its fields."""
    return {
        one.name: replace(one.metadata[METADATA_KEY], name=one.name, default=one.default)
        for one in fields(kind)
        if METADATA_KEY in one.metadata
    }


def check_options(value: Any) -> None:
    """Raises for a dataclass value with a field outside its range; for use in `__post_init__`.

    Raises:
        ValueError: for the first such field, with the given value and the permitted ones.
    """
    for name, described in options_of(type(value)).items():
        described.check(getattr(value, name))
