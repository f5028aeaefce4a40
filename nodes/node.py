"""What all nodes of the pack have in common."""

from collections.abc import Callable
from typing import Any

from ..lp_core.faces.faces import NoFaceError
from . import host


class Node:
    """A ComfyUI node: a schema, and `run`, which keeps nothing between calls and writes into no input.

    The id of a node is the name of its class.
    """

    CATEGORY = "talking head"
    FUNCTION = "execute"
    run: Callable[..., Any]  # the node's own work: inputs by name to a tuple of outputs, or `ui` and `result`

    def execute(self, **inputs: Any) -> Any:
        """Run the node; ComfyUI calls this with the inputs by name.

        Raises:
            ValueError: no face was found; the message tells where the picture that was searched can be seen.
        """
        host.report_clashes({node.__name__: node for node in Node.__subclasses__()})
        try:
            return self.run(**inputs)
        except NoFaceError as error:
            shown = host.save_picture(error.looked_at, "talking_head_no_face").path
            raise ValueError(f"{error} The picture that was searched is {shown}.") from error
