"""What a server tells the page of a run, heard at its socket; for the stand-in and for a real ComfyUI."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aiohttp

FLAGS = {"supports_preview_metadata": True}
PICTURES = {1: "preview", 4: "preview with metadata"}  # numbers of binary messages
SECONDS = 300  # until a run that does not end is given up

Message = tuple[str, dict[str, Any]]


def heard(url: str, prompt: dict, flags: dict[str, Any] | None) -> list[Message]:
    """All messages from connecting to the end of a run of `prompt`; `flags` are what the page says it can do."""
    return asyncio.run(asyncio.wait_for(_heard(url, prompt, flags), SECONDS))


def told(messages: list[Message]) -> list[str]:
    """The kinds of messages in their order, but for those of packs."""
    return [kind for kind, _ in messages if not kind.startswith("talking_head.")]


def told_by_node(messages: list[Message]) -> dict[str, list[str]]:
    """What is told of each node that runs, and under "" of all else, whatever the order of the nodes."""
    parts: dict[str, list[str]] = {"": []}
    node = ""
    for (kind, content), following in zip(messages, [*messages[1:], ("", {})], strict=True):
        if kind == "progress_state" and following[0] == "executing":
            node = following[1]["node"]
        elif kind in ("execution_success", "execution_error", "execution_interrupted"):
            node = ""
        parts.setdefault(node, []).extend(told([(kind, content)]))
    return parts


async def _heard(url: str, prompt: dict, flags: dict[str, Any] | None) -> list[Message]:
    page = uuid4().hex
    async with aiohttp.ClientSession(url) as session, session.ws_connect(f"/ws?clientId={page}") as socket:
        messages = [_read(await socket.receive())]
        if flags is not None:
            await socket.send_json({"type": "feature_flags", "data": flags})
            messages.append(_read(await socket.receive()))
        body = {"prompt": prompt, "client_id": page, "extra_data": {"extra_pnginfo": {}}}
        async with session.post("/prompt", json=body) as answer:
            assert answer.status == 200, await answer.text()
        while not _is_end(messages[-1]):
            messages.append(_read(await socket.receive()))
        return messages


def _is_end(message: Message) -> bool:
    return message[0] == "executing" and message[1]["node"] is None


def _read(message: aiohttp.WSMessage) -> Message:
    if message.type == aiohttp.WSMsgType.TEXT:
        said = json.loads(message.data)
        return said["type"], said["data"]
    number, more = (int.from_bytes(message.data[start : start + 4], "big") for start in (0, 4))
    if number == 4:
        return PICTURES[4], {**json.loads(message.data[8 : 8 + more]), "picture": message.data[8 + more :]}
    return PICTURES[number], {"format": more, "picture": message.data[8:]}
