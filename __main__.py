"""Hands over to apps/cli: `talking-head`, `python -m talking_head` or, in a bare clone, `python <folder>`."""

import importlib.util
import sys
from pathlib import Path

if not __package__:  # a bare clone: its modules import each other as parts of a package
    spec = importlib.util.spec_from_file_location("talking_head", Path(__file__).with_name("__init__.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"Cannot load the pack from {Path(__file__).parent}.")
    sys.modules["talking_head"] = pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)

sys.exit(importlib.import_module("talking_head.apps.cli.main").main())
