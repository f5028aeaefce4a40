"""The flags that users' scripts lean on: `saved/flags.json` holds those of commit e8ad812, by command."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from talking_head.apps.cli.arguments import options_from
from talking_head.apps.cli.parser import build_parser
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions
from talking_head.diffpose.generator import MotionOptions
from talking_head.lp_core.render.portrait import RenderOptions

SAVED: dict[str, list[dict[str, Any]]] = json.loads((ROOT / "tests" / "saved" / "flags.json").read_text("utf-8"))
SAMPLES = {"int": "3", "float": "0.5", "str": "text", "Path": "file"}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands by their names."""
    actions = build_parser()._actions
    return next(dict(action.choices) for action in actions if isinstance(action, argparse._SubParsersAction))


def shown(action: argparse.Action, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """What a user sees of an argument, as JSON; switches have no value of their own."""
    switch = action.nargs == 0
    return {
        "flags": action.option_strings or [action.dest],
        "metavar": None if action.choices or switch else plain(action.metavar or action.dest.upper()),
        "default": None if switch else plain(parser.get_default(action.dest)),
        "choices": plain(action.choices),
        "nargs": action.nargs,
        "type": getattr(action.type, "__name__", "str"),
        "required": action.required,
    }


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Path):
        return value.name
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("command", SAVED)
def test_a_command_keeps_its_arguments(command):
    parser = commands()[command]
    present = [shown(action, parser) for action in parser._actions]
    assert [saved for saved in SAVED[command] if saved not in present] == []


def arguments_of(saved: dict[str, Any]) -> list[str]:
    """A flag of a command with values that it takes."""
    count = {None: 1, "?": 0, "+": 1, "*": 1}.get(saved["nargs"], saved["nargs"])
    value = str(saved["choices"][0]) if saved["choices"] else SAMPLES[saved["type"]]
    return [saved["flags"][-1], *[value] * count]


@pytest.mark.parametrize("command", SAVED)
def test_every_flag_is_accepted(command):
    needed = ["file" for saved in SAVED[command] if saved["required"]]
    for saved in SAVED[command]:
        if not saved["required"]:
            build_parser().parse_args([command, *needed, *arguments_of(saved)])


def test_values_of_options_come_from_the_flags_and_else_from_their_fields():
    given = build_parser().parse_args(
        ["animate", "a.jpg", "b.wav", "--lips", "2", "--crop", "--no-stitching", "--regions", "lips", "eyes"]
    )
    assert options_from(given, MotionOptions) == MotionOptions(lips=2.0)
    expected = RenderOptions(paste_back=False, stitching=False, regions=("lips", "eyes"))
    assert options_from(given, RenderOptions) == expected
    assert options_from(given, Guidance) == Guidance(2.0, 1.0)
    assert options_from(given, SampleOptions) == SampleOptions()
