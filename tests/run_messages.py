"""What ComfyUI's server tells the page of a run, in the order of version 0.33."""

import time
from collections.abc import Callable
from typing import Any

PREVIEW, PREVIEW_WITH_METADATA = 2, 4  # events of the server; both arrive as binary messages

Tell = Callable[[str | int, Any], None]


class RunMessages:
    """The messages of one run.

    Args:
        tell: takes an event and its content, for the page that asked for the run.
        prompt_id: of the run.
        with_metadata: whether that page takes previews with metadata.
    """

    def __init__(self, tell: Tell, prompt_id: str, with_metadata: bool) -> None:
        self._tell = tell
        self._prompt_id = prompt_id
        self._with_metadata = with_metadata
        self._states: dict[str, dict[str, Any]] = {}

    def begin(self, cached: list[str]) -> None:
        """The run begins; the results of some nodes are there already."""
        self._say_timed("execution_start")
        self._say_timed("execution_cached", nodes=cached)

    def enter(self, node: str) -> None:
        """A node begins to work."""
        self._note(node, "running", 0.0, 1.0)
        self._say("executing", node=node, display_node=node)

    def progress(self, node: str, value: float, total: float, preview: Any = None) -> None:
        """A node's bar moves; `preview` is (format, Pillow's picture, longest side)."""
        self._note(node, "running", value, total)
        if preview is not None and self._with_metadata:
            self._tell(PREVIEW_WITH_METADATA, (preview, {"node_id": node, **self._place(node)}))
        self._say("progress", value=value, max=total, node=node)
        if preview is not None and not self._with_metadata:
            self._tell(PREVIEW, preview)

    def show(self, node: str, output: dict | None) -> None:
        """A node shows its result, or that it has none to show."""
        self._say("executed", node=node, display_node=node, output=output)

    def leave(self, node: str) -> None:
        """A node has its result."""
        total = self._states.get(node, {}).get("max", 1)
        self._note(node, "finished", total, total)

    def end(self, status: str, details: dict[str, Any]) -> None:
        """The run ends: "success", "error" or "interrupted"."""
        self._say_timed(f"execution_{status}", **details)

    def _note(self, node: str, state: str, value: float, total: float) -> None:
        place = {"node_id": node, **self._place(node)}
        self._states[node] = {"value": value, "max": total, "state": state, **place}
        self._say("progress_state", nodes={node: dict(noted) for node, noted in self._states.items()})

    def _place(self, node: str) -> dict[str, Any]:
        ids = {"display_node_id": node, "parent_node_id": None, "real_node_id": node}
        return {"prompt_id": self._prompt_id, **ids}

    def _say(self, event: str, **content: Any) -> None:
        self._tell(event, {**content, "prompt_id": self._prompt_id})

    def _say_timed(self, event: str, **content: Any) -> None:
        self._say(event, **content, timestamp=int(time.time() * 1000))
