"""doctor: a report on installed packages, devices and weights, with remedies."""

import argparse

from ...lp_core.weights.doctor import diagnosis
from .arguments import add_models_folders
from .weights import folders_of, published_weights

HELP = "what is installed, which weights are here, what to do"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_models_folders(parser)


def run(given: argparse.Namespace) -> None:
    """Prints the report."""
    for line in diagnosis([(entry, folders_of(entry, given)) for entry in published_weights()]):
        print(line)  # noqa: T201 the report is the output
