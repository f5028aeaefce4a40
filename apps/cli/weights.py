"""All published weights, and the models folders that each lies in."""

import argparse
from pathlib import Path

from ...diffpose.diffusion.installed import DIFFUSION
from ...diffpose.ditto.installed import DITTO
from ...diffpose.talker.installed import TALKER
from ...lp_core.liveportrait.entries import LIVEPORTRAIT
from ...lp_core.weights.folders import models_folders
from ...lp_core.weights.registry import WeightEntry


def published_weights() -> tuple[WeightEntry, ...]:
    """All weights that can be fetched."""
    return (*LIVEPORTRAIT, *DIFFUSION, *TALKER, *DITTO)


def folders_of(entry: WeightEntry, given: argparse.Namespace) -> tuple[Path, ...]:
    """The models folders that an entry is looked for in, best first."""
    return models_folders("liveportrait" if entry in LIVEPORTRAIT else "diffpose", given.models)
