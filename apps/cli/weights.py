"""All published weights, and the models folders of each."""

import argparse
from pathlib import Path

from ...diffpose.diffusion.installed import DIFFUSION
from ...diffpose.ditto.installed import DITTO
from ...diffpose.talker.installed import TALKER
from ...lp_core.liveportrait.entries import LIVEPORTRAIT
from ...lp_core.weights.folders import models_folders
from ...lp_core.weights.registry import WeightEntry


def published_weights() -> tuple[WeightEntry, ...]:
    """Returns the entries of all weights that can be downloaded."""
    return (*LIVEPORTRAIT, *DIFFUSION, *TALKER, *DITTO)


def folders_of(entry: WeightEntry, given: argparse.Namespace) -> tuple[Path, ...]:
    """Returns the models folders to search for an entry, in order of preference."""
    return models_folders("liveportrait" if entry in LIVEPORTRAIT else "diffpose", given.models)
