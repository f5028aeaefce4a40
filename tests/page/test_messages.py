"""What the stand-in's page is told of a run is what a real ComfyUI tells it, in the same order.

The lists below were heard at the socket of ComfyUI 0.3.64 and agree with the source of newer versions;
test_contract.py compares them with a copy of ComfyUI, where there is one. Where the stand-in differs:

* Nodes run depth first from each output node; the real one takes, of all that can run, output nodes first.
* Every step of a progress bar is told; from 0.33 on, steps without a picture within 0.1 s or 0.5 % are left out.
* Results of nodes in mid-graph that come from the cache are told again, as from 0.33 on; 0.3.64 does not.
* A message is sent before the node goes on; the real one puts it into a queue.
* The features are those of 0.33, without accounts, models and assets.
* Errors have no traceback and no values of inputs; nodes that ran are listed in order.
* No `progress_text`, no logs, and no message about the queue while a run is under way.
"""

import json
from itertools import pairwise
from typing import Any

import pytest
from conftest import ROOT
from messages import FLAGS, Message, heard, told
from page_server import PageServer
from test_workflows import read, shortened, workflow_named

SECONDS = 0.4  # of the demo sound: ten frames, drawn eight at once
CONNECTED = ["status", "feature_flags"]
QUEUED = ["status", "status", "execution_start", "execution_cached"]
ENDED = ["status", "executing"]
NODE = ["progress_state", "executing", "progress_state"]
SHOWING_NODE = ["progress_state", "executing", "executed", "progress_state"]
DRAWN_BATCH = ["progress_state", "preview with metadata", "progress"]
DRAWN_BATCH_OF_OLD = ["progress_state", "progress", "preview"]


def rendering(batches: list[str]) -> list[str]:
    """The messages of a node that draws two batches."""
    return ["progress_state", "executing", *batches, *batches, "progress_state"]


WRITING_NODE = ["progress_state", "executing", "progress_state", "progress", "executed", "progress_state"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with PageServer(tmp_path_factory.mktemp("comfyui")) as running:
        for file in (ROOT / "workflows").glob("demo_*"):
            shortened(file.name, running.host.folders["input"], SECONDS)
        yield running


@pytest.fixture
def prompt(server) -> dict[str, dict]:
    """The talking portrait; its nodes are 2 picture, 3 sound, 4 portrait, 5 motion, 6 frames, 7 video."""
    return server.host.prompt_of(read(workflow_named("talking_portrait")))


def fresh(prompt: dict[str, dict], seed: int) -> dict[str, dict]:
    """The prompt with a motion that no cache holds."""
    changed = json.loads(json.dumps(prompt))
    changed["5"]["inputs"]["seed"] = seed
    return changed


def of(messages: list[Message], kind: str) -> list[dict[str, Any]]:
    return [content for name, content in messages if name == kind]


def test_a_run_is_told_node_by_node_and_again_from_the_cache(server, prompt):
    first = heard(server.url, fresh(prompt, 1), FLAGS)
    portrait, voice = [*NODE, *SHOWING_NODE], [*NODE, *SHOWING_NODE]
    drawn = rendering(DRAWN_BATCH)
    expected = [*CONNECTED, *QUEUED, *portrait, *voice, *drawn, *WRITING_NODE, "execution_success", *ENDED]
    assert told(first) == expected
    again = heard(server.url, fresh(prompt, 1), FLAGS)
    shown = ["executed", "progress_state", "executed", "executed"]  # the video; the faces and curves of mid-graph
    assert told(again) == [*CONNECTED, *QUEUED, *shown, "execution_success", *ENDED]
    assert [content["node"] for content in of(again, "executed")] == ["7", "4", "5"]
    assert sorted(of(again, "execution_cached")[0]["nodes"]) == sorted(prompt)


@pytest.mark.parametrize("flags", [None, {}, {"supports_preview_metadata": False}], ids=str)
def test_a_page_that_cannot_read_metadata_gets_plain_pictures_after_the_progress(server, prompt, flags):
    messages = heard(server.url, fresh(prompt, 2 + len(str(flags))), flags)
    assert ("feature_flags" in told(messages)) == (flags is not None)
    start = told(messages).index("preview") - 2
    assert told(messages)[start : start + 6] == DRAWN_BATCH_OF_OLD * 2
    assert "preview with metadata" not in told(messages)
    assert {content["format"] for content in of(messages, "preview")} == {1}


def test_pictures_say_which_node_and_run_they_are_of(server, prompt):
    messages = heard(server.url, fresh(prompt, 90), FLAGS)
    pictures = of(messages, "preview with metadata")
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.pop("picture").startswith(b"\xff\xd8\xff")
        assert picture == {
            "node_id": "6", "display_node_id": "6", "parent_node_id": None, "real_node_id": "6",
            "prompt_id": of(messages, "execution_start")[0]["prompt_id"], "image_type": "image/jpeg",
        }  # fmt: skip


def test_the_states_of_nodes_go_from_running_to_finished(server, prompt):
    states = [content["nodes"] for content in of(heard(server.url, fresh(prompt, 91), FLAGS), "progress_state")]
    for before, after in pairwise(states):
        assert set(before) <= set(after)
        assert all(after[node]["state"] == "finished" for node in before if before[node]["state"] == "finished")
    assert {node["state"] for node in states[-1].values()} == {"finished"}
    assert states[-1]["7"].keys() == {
        "value", "max", "state", "node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id",
    }  # fmt: skip


def test_an_error_ends_the_run_without_a_last_state(server, prompt):
    broken = fresh(prompt, 92)
    broken["4"]["inputs"]["face_index"] = 7
    messages = heard(server.url, broken, FLAGS)
    assert told(messages)[-4:] == ["executing", "execution_error", *ENDED]
    (error,) = of(messages, "execution_error")
    assert (error["node_id"], error["node_type"]) == ("4", "LoadPortrait")
    assert "face" in error["exception_message"]
