"""Fixtures of tests on ComfyUI's page; a test module asks for them by `pytest_plugins`."""

import pytest
from browser import SOUND_SECONDS, ComfyPage, chromium
from conftest import ROOT
from page_server import PageServer
from test_workflows import shortened

RENDERERS = {"litegraph": False, "vue": True}  # the canvas that ComfyUI has always had, and Nodes 2.0


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """The stand-in for ComfyUI, with the demo files in its input folder."""
    with PageServer(tmp_path_factory.mktemp("comfyui")) as running:
        for file in (ROOT / "workflows").glob("demo_*"):  # the page lists what there is when it opens
            shortened(file.name, running.host.folders["input"], SOUND_SECONDS)
        yield running


@pytest.fixture(scope="module", params=RENDERERS)
def opened_page(request, browser, server):
    """The page in one renderer, open for all tests of a module."""
    context = browser.new_context(viewport={"width": 1600, "height": 1200})
    page = ComfyPage(context.new_page(), server.url)
    context.request.post(f"{server.url}/api/settings", data={"Comfy.VueNodes.Enabled": RENDERERS[request.param]})
    page.open()
    yield page
    context.close()


@pytest.fixture
def comfy(opened_page):
    """The page; the test fails where the page writes an error to its console."""
    opened_page.errors.clear()
    yield opened_page
    assert not opened_page.errors
