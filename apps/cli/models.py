"""models: list of published weights and their state, and their download."""

import argparse
from pathlib import Path

from ...lp_core.liveportrait.entries import HUMAN
from ...lp_core.weights.doctor import weights_table
from ...lp_core.weights.download import download
from ...lp_core.weights.registry import State, WeightEntry, check, entries_named
from .arguments import add_models_folders
from .console import say
from .weights import folders_of, published_weights

HELP = "published weights: which are here, and fetching those that are not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_models_folders(parser)
    parser.add_argument("--verify", action="store_true", help="Compute checksums too, about a second per 500 MB.")
    parser.add_argument(
        "--download",
        nargs="*",
        default=None,
        metavar="NAME",
        help="Fetch what is missing or damaged of these, as liveportrait/animal or joyvasa; without names "
        "LivePortrait's for people.",
    )
    parser.add_argument(
        "--offline", action="store_true", help="Never touch the network; so does $HF_HUB_OFFLINE=1."
    )
    parser.add_argument(
        "--endpoint", default=None, metavar="URL", help="A mirror of the Hub; so does $HF_ENDPOINT."
    )
    parser.add_argument("--quiet", action="store_true", help="No progress bars.")


def run(given: argparse.Namespace) -> None:
    """Lists the published weights, after downloading those named for download."""
    entries = published_weights()
    if given.download is not None:
        for entry in entries_named(entries, given.download) or HUMAN:
            folders = folders_of(entry, given)
            if check(entry, folders, verify=given.verify).state is not State.PRESENT:
                _download(entry, folders[0], given)
    for line in weights_table([check(entry, folders_of(entry, given), verify=given.verify) for entry in entries]):
        print(line)  # noqa: T201 the table is the output
    searched = dict.fromkeys(str(folder) for entry in entries for folder in folders_of(entry, given))
    say(f"looked in {', '.join(searched)}.")


def _download(entry: WeightEntry, folder: Path, given: argparse.Namespace) -> None:
    from tqdm import tqdm

    with tqdm(desc=entry.name, unit="B", unit_scale=True, delay=0.2, disable=given.quiet) as bar:

        def report(arrived: int, total: int | None) -> None:
            bar.total = total
            bar.update(arrived - bar.n)

        download(entry, folder, endpoint=given.endpoint, offline=given.offline or None, report=report)
