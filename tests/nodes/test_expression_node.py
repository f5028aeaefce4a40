"""The expression editor: the node, the portraits that are kept for the page, and the route that draws them."""

import asyncio
import base64
import io
import json
import threading
from types import SimpleNamespace

import pytest
import torch
from aiohttp import ClientSession, web
from conftest import ROOT, load_pack
from host import Host, defaults_of
from PIL import Image

import talking_head
from talking_head.lp_core.faces.search import find_faces
from talking_head.lp_core.media.picture import load_picture
from talking_head.lp_core.mesh.handles import handles
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion.expression import RANGES, Expression
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.render.portrait import RenderOptions
from talking_head.lp_core.render.render import own_motion
from talking_head.nodes import demo_files, preview
from talking_head.nodes import host as our_host
from talking_head.nodes.expression import ExpressionEdit
from talking_head.nodes.page import EXPRESSION
from talking_head.nodes.preview import KEPT, Gallery

SMILING = {"smile": 1.0, "rotate_yaw": 8.0}
KEYS = json.dumps([{"seconds": 0, "amounts": {}}, {"seconds": 0.4, "amounts": {"smile": 1, "blink": -18}}])


@pytest.fixture(scope="module")
def picture():
    return load_picture(ROOT / "workflows" / "demo_portrait.jpg")[:256, 100:356]


@pytest.fixture(scope="module")
def portrait(picture):
    return MeshRenderer().portrait(picture, find_faces(picture)[0])


def run(portrait, **given):
    return ExpressionEdit().execute(**(defaults_of(ExpressionEdit) | {"portrait": portrait} | given))


# ------------------------------------------------------------------------------------------------------- the node


def test_sliders_at_rest_show_the_portrait_as_it_is(portrait):
    motion, shown = run(portrait)["result"]
    assert len(motion) == 1
    assert not motion.expression.any()
    assert torch.equal(shown[0], portrait.picture)


def test_a_slider_moves_its_part_of_the_face(portrait):
    for slider, place in (("aaa", "left_corner"), ("blink", "left_pupil")):
        amount = {"aaa": 80.0, "blink": -18.0}[slider]
        (shown,) = run(portrait, **{slider: amount})["result"][1]
        change = (shown - portrait.picture).abs().amax(-1)
        x, y = (round(v) for v in at_rest(portrait)[place])
        assert change[y - 8 : y + 9, x - 8 : x + 9].max() > 0.1, slider
        assert change[:20].max() < 0.01


def at_rest(portrait):
    still = own_motion(portrait, MotionSequence.still(1, 25), RenderOptions())
    return {name: place[0].tolist() for name, place in handles(portrait, still).items()}


def test_every_slider_s_range_is_the_widget_s():
    inputs = ExpressionEdit.INPUT_TYPES()["required"]
    for name, allowed in RANGES.items():
        _, options = inputs[name]
        assert (options["min"], options["max"], options["default"]) == (allowed.lowest, allowed.highest, 0)
        assert Expression(**{name: options["min"]}) != Expression(**{name: options["max"]})


@pytest.mark.parametrize(
    ("given", "frames"), [({}, 1), ({"seconds": 2}, 50), ({"keyframes": KEYS}, 11), ({"seconds": 1, "fps": 10}, 10)]
)
def test_the_motion_lasts_as_long_as_asked(portrait, given, frames):
    result = run(portrait, **given)
    assert len(result["result"][0]) == frames
    assert result["ui"][EXPRESSION][0]["seconds"] == pytest.approx(frames / given.get("fps", 25))


def test_with_keyframes_the_motion_goes_through_them_and_the_picture_shows_the_sliders(portrait):
    motion, shown = run(portrait, keyframes=KEYS, jaw=0.2)["result"]
    assert not motion.expression[0].any()
    assert motion.expression[-1].any()
    assert torch.equal(shown, run(portrait, jaw=0.2)["result"][1])


def test_an_expression_comes_on_top_of_a_motion(portrait):
    still = MotionSequence.still(7, 30)
    nodding = MotionSequence(
        still.expression + 0.001, torch.linspace(-4, 4, 7)[:, None] * torch.ones(3), still.scale,
        still.translation, still.fps, still.rest,
    )  # fmt: skip
    (alone, _), (together, _) = (run(portrait, smile=0.5, **m)["result"] for m in ({}, {"motion": nodding}))
    assert (len(together), together.fps) == (7, 30)
    torch.testing.assert_close(together.expression - nodding.expression, alone.expression.expand(7, -1, -1))


def test_of_a_photo_the_wanted_parts_are_copied(portrait, picture):
    (smiling,) = run(portrait, smile=1.2, eyebrow=15.0, rotate_roll=10.0)["result"][1]
    photo = {"photo": smiling[None]}
    nothing = {"copy_lips": False, "copy_eyes": False, "copy_brows": False}
    none = run(portrait, **photo, **nothing)["result"][0]
    lips = run(portrait, **photo, **(nothing | {"copy_lips": True}))["result"][0]
    head = run(portrait, **photo, **(nothing | {"copy_head": True}))["result"][0]
    assert not none.expression.any()
    assert not none.rotation.any()
    assert lips.expression.any()
    assert not lips.rotation.any()
    assert head.rotation[0, 2] == pytest.approx(10, abs=4)
    assert not head.expression.any()
    half = run(portrait, **photo, **(nothing | {"copy_lips": True}), copy_strength=0.5)["result"][0]
    torch.testing.assert_close(half.expression, lips.expression / 2, atol=1e-5, rtol=1e-4)


def test_damaged_keyframes_are_told_in_a_sentence(portrait):
    with pytest.raises(ValueError, match="keyframes are not JSON"):
        run(portrait, keyframes="{")


# --------------------------------------------------------------------------------------------- the live pictures


@pytest.fixture
def gallery():
    return Gallery()


def published(gallery, portrait) -> str:
    return gallery.publish(portrait, MotionSequence.still(1, 25))


def ask(gallery, name, **asked):
    return gallery.answer(json.dumps({"preview": name, **asked}).encode())


def pixels(answer) -> torch.Tensor:
    kind, _, data = answer["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return torch.tensor(list(picture.tobytes())).view(*picture.size, 3) / 255


def test_the_page_gets_the_crop_and_where_to_take_hold(gallery, portrait):
    answer = ask(gallery, published(gallery, portrait), amounts={})
    assert (pixels(answer) - portrait.crop.image).abs().mean() < 0.01
    handles = answer["handles"]
    assert all(0 < x < 1 and 0 < y < 1 for x, y in handles.values())
    assert handles["left_pupil"][0] < handles["nose"][0] < handles["right_pupil"][0]
    assert handles["left_brow"][1] < handles["left_pupil"][1] < handles["nose"][1] < handles["lips"][1]


def test_the_live_picture_follows_the_sliders_and_so_do_the_handles(gallery, portrait):
    name = published(gallery, portrait)
    rest, moved = ask(gallery, name, amounts={}), ask(gallery, name, amounts=SMILING | {"pupil_x": 12, "aaa": 90})
    assert (pixels(rest) - pixels(moved)).abs().amax() > 0.2
    assert moved["handles"]["nose"][0] > rest["handles"]["nose"][0] + 0.01
    assert moved["handles"]["lips"][1] > rest["handles"]["lips"][1] + 0.02
    (own,) = run(portrait, **SMILING)["result"][1]
    assert own.shape == portrait.picture.shape


def test_a_moment_of_keyframes_is_drawn(gallery, portrait):
    name = published(gallery, portrait)
    end = ask(gallery, name, keyframes=KEYS, seconds=0.4)
    assert end == ask(gallery, name, amounts={"smile": 1, "blink": -18})
    assert ask(gallery, name, keyframes=KEYS, seconds=0) == ask(gallery, name, amounts={})


def test_the_same_portrait_has_one_name_and_another_base_another(gallery, portrait):
    first = published(gallery, portrait)
    assert published(gallery, portrait) == first
    still = MotionSequence.still(1, 25)
    lifted = MotionSequence(
        still.expression + 0.01, still.rotation, still.scale, still.translation, still.fps, still.rest
    )
    assert gallery.publish(portrait, lifted) != first


def test_only_the_last_portraits_are_kept(gallery, portrait):
    still = MotionSequence.still(1, 25)
    names = [
        gallery.publish(
            portrait,
            MotionSequence(still.expression, still.rotation + n, still.scale, still.translation, 25, still.rest),
        )
        for n in range(KEPT + 1)
    ]
    ask(gallery, names[-1], amounts={})
    with pytest.raises(our_host.GoneError, match="run the workflow"):
        ask(gallery, names[0], amounts={})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "names the preview"),
        (b'{"preview": 7}', "names the preview"),
        (b'{"preview": "x"}', "amounts, or keyframes"),
        (b'{"preview": "x", "amounts": {"smile": 99}}', "smile is 99"),
        (b'{"preview": "x", "amounts": {"__class__": 1}}', "No slider is called"),
        (b'{"preview": "x", "keyframes": "[]", "seconds": 0}', "no keyframes"),
        (b'{"preview": "x", "keyframes": "[]", "seconds": 1e999}', "amounts, or keyframes"),
        (b'{"preview": "x", "keyframes": "[]", "seconds": NaN}', "amounts, or keyframes"),
        (b'{"preview": "x", "keyframes": 1, "seconds": 0}', "amounts, or keyframes"),
    ],
)
def test_requests_that_make_no_sense_are_refused_in_a_sentence(gallery, body, sentence):
    with pytest.raises(ValueError, match=sentence):
        gallery.answer(body)


# ------------------------------------------------------------------------------------------------------- the route


def served(answer, asking):
    """What `asking(session, url)` gives while a server answers posts to /x by `answer`."""
    routes = web.RouteTableDef()
    instance = SimpleNamespace(routes=routes)

    async def serve():
        our_host.answer_posts("/x", answer)
        our_host.answer_posts("/x", answer)  # a second copy of the pack must not stop the server
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with ClientSession() as session:
                return await asking(session, f"http://127.0.0.1:{port}/x")
        finally:
            await runner.cleanup()

    return instance, serve


@pytest.fixture
def serving(monkeypatch):
    def start(answer, asking):
        instance, serve = served(answer, asking)
        monkeypatch.setattr(our_host, "_server", lambda: instance)
        return asyncio.run(serve())

    return start


async def posted(session, url, data, **headers):
    given = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with session.post(url, data=data, headers=given) as reply:
        return reply.status, await reply.json()


def refusing(error):
    def answer(body):
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "data", "status", "said"),
    [
        (lambda body: {"heard": body.decode()}, b"hello", 200, {"heard": "hello"}),
        (refusing(ValueError("No.")), b"", 400, {"error": "No."}),
        (refusing(our_host.GoneError("Gone.")), b"", 404, {"error": "Gone."}),
        (lambda _body: {}, b"x" * (our_host.POST_BYTES + 1), 413, None),
    ],
)
def test_the_server_answers_posts_with_the_right_status(serving, answer, data, status, said):
    got, content = serving(answer, lambda session, url: posted(session, url, data))
    assert got == status
    assert said is None or content == said


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "text/plain"}, 415),  # what a page of any site may post without asking
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_the_server_answers_its_own_page_only(serving, headers, status):
    heard = []
    got, _ = serving(
        lambda body: heard.append(body) or {}, lambda session, url: posted(session, url, b"{}", **headers)
    )
    assert got == status
    assert heard == ([b"{}"] if status == 200 else [])


def test_a_flood_of_requests_is_turned_away(serving):
    released, count = threading.Event(), our_host.POSTS_AT_ONCE

    async def asking(session, url):
        waiting = [asyncio.create_task(posted(session, url, b"")) for _ in range(count)]
        while arrived < count:
            await asyncio.sleep(0.01)
        turned_away = await posted(session, url, b"")
        released.set()
        return turned_away, await asyncio.gather(*waiting)

    arrived = 0

    def answer(body):
        nonlocal arrived
        arrived += 1
        assert released.wait(30)
        return {}

    (status, _), others = serving(answer, asking)
    assert status == 503
    assert {status for status, _ in others} == {200}


def test_the_pack_registers_its_route_with_the_server(tmp_path):
    with Host(tmp_path, talking_head) as host:
        load_pack("talking_head_again")
        assert [route.path for route in host.routes if route.method == "POST"] == [
            preview.ROUTE, demo_files.ROUTE,
        ]  # fmt: skip
