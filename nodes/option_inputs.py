"""Inputs of nodes that are made from the options of a dataclass."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from ..lp_core.options import Option, options_of
from .widgets import Widget, switch

Value = TypeVar("Value")


@dataclass(frozen=True)
class OptionInputs(Generic[Value]):
    """Which options of a dataclass a node offers, and under which names.

    Attributes:
        kind: the dataclass.
        fields: from the names of inputs to those of fields.
        changes: attributes of `Option` that differ in this node, such as another default, by the names of inputs.
    """

    kind: type[Value]
    fields: Mapping[str, str]
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def widgets(self, *names: str) -> dict[str, Widget]:
        """The widgets of the named inputs, of all when none is named."""
        options = options_of(self.kind)
        return {
            name: widget_of(replace(options[self.fields[name]], **self.changes.get(name, {})))
            for name in names or self.fields
        }

    def value(self, inputs: Mapping[str, Any], **others: Any) -> Value:
        """The dataclass value that a node's inputs give, with other fields beside them."""
        return self.kind(**{name: inputs[given] for given, name in self.fields.items()}, **others)


def same_names(*names: str) -> dict[str, str]:
    """The `fields` of inputs that are called like their fields."""
    return {name: name for name in names}


def widget_of(option: Option) -> Widget:
    """The widget of an option: BOOLEAN, COMBO of texts, INT or FLOAT."""
    if isinstance(option.default, bool):
        return switch(option.default, option.help)
    if option.choices and isinstance(option.default, str):
        return (list(option.choices), {"default": option.default, "tooltip": option.help})
    lowest, highest = (
        (option.choices[0], option.choices[-1]) if option.choices else (option.minimum, option.maximum)
    )
    limits = {"min": lowest, "max": highest, "step": option.step}
    given = {name: value for name, value in limits.items() if value is not None}
    kind = "INT" if isinstance(option.default, int) else "FLOAT"
    return (kind, {"default": option.default, **given, "tooltip": option.help})
