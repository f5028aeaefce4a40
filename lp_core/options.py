"""Options of a dataclass: default, range, unit and help of each field, said once.

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
    """What is known of a field besides its type.

    Attributes:
        help: what it does, in full sentences.
        name: the field's.
        default: the field's.
        minimum: lowest value, inclusive; None is unlimited.
        maximum: highest value, inclusive; None is unlimited.
        step: by which a slider moves; None leaves it to the page.
        choices: the only values; empty is any.
        unit: of the value, such as "ms"; empty without one.
        label: what messages call it; the name in words when empty.
        optional: whether None is a value too.
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
        """Refuse a value, or a tuple with an element, that is outside the range or none of the choices.

        Raises:
            ValueError: what was given and what was expected.
        """
        if value is None and self.optional:
            return
        for one in value if isinstance(value, tuple) else (value,):
            if not self._takes(one):
                shown = repr(value) if isinstance(value, str) else f"{value}"
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
        """The values that are taken, as messages name them."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        unit = f" {self.unit}" if self.unit else ""
        if self.maximum is None:
            return f"{self.minimum:g}{unit} or more"
        if self.minimum is None:
            return f"{self.maximum:g}{unit} or less"
        return f"{self.minimum:g} … {self.maximum:g}{unit}"


def option(default: Any, help: str, **details: Any) -> Any:
    """A dataclass field with a default and the other attributes of `Option`."""
    return field(default=default, metadata={METADATA_KEY: Option(help, **details)})


@cache
def options_of(kind: type) -> Mapping[str, Option]:
    """The options of a dataclass by name, in the order of its fields."""
    return {
        one.name: replace(one.metadata[METADATA_KEY], name=one.name, default=one.default)
        for one in fields(kind)
        if METADATA_KEY in one.metadata
    }


def check_options(value: Any) -> None:
    """Refuse a dataclass value of which a field is outside its range; for `__post_init__`.

    Raises:
        ValueError: the first such field, with what was given and what was expected.
    """
    for name, described in options_of(type(value)).items():
        described.check(getattr(value, name))
