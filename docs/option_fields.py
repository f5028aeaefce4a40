"""An extension of griffe, which reads the sources for mkdocstrings: options of dataclasses as readers need them.

Default, range and help of an option are values that the sources compute, so the class is imported to ask for them.
"""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import griffe

SOURCES = Path(__file__).resolve().parent.parent / "build" / "api"  # see generated.py


class OptionFields(griffe.Extension):
    """Gives fields that lp_core.options describes their default, their help and the values that they take."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Documents the options of one class; other classes stay as they are."""
        if "option" not in cls.module.members or "dataclass" not in " ".join(map(_text, cls.decorators)):
            return
        for field in fields(griffe.dynamic_import(cls.path, [SOURCES, *sys.path])):
            described = field.metadata.get("option")
            if described is not None:
                attribute = cls.attributes[field.name]
                attribute.value = repr(field.default)
                attribute.docstring = griffe.Docstring(_help(described), parent=attribute)


def _text(decorator: griffe.Decorator) -> str:
    return str(decorator.value)


def _help(option: Any) -> str:
    """What an option does, and the values that it takes where they are limited."""
    limits = (option.choices, option.minimum, option.maximum)
    return option.help if limits == ((), None, None) else f"{option.help}\n\nExpected: {option.expected}."
