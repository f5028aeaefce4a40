"""What all nodes of the pack have in common."""

from collections.abc import Callable
from typing import Any

from . import host


class Node:
    """A ComfyUI node: a schema, and `run`, which keeps nothing between calls and writes into no input.

    The id of a node is the name of its class.
    """

    CATEGORY = "talking head"
    FUNCTION = "execute"
    run: Callable[..., Any]  # the node's own work: inputs by name to a tuple of outputs, or `ui` and `result`

    def execute(self, **inputs: Any) -> Any:
        """Run the node; ComfyUI calls this with the inputs by name."""
        host.report_clashes({node.__name__: node for node in Node.__subclasses__()})
        return self.run(**inputs)
