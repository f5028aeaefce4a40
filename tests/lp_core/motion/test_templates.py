import os
import pickle
import shutil
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from liveportrait_goldens import driver, golden
from synthetic_weights import GOLDEN
from test_motion import assert_same

from talking_head.lp_core.motion.plain_pickle import PickledArray, read_plain_pickle
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.motion.templates import load_motion, read_template

NEW, OLD = GOLDEN / "driving_template.pkl", GOLDEN / "driving_template_old_keys.pkl"


@pytest.mark.parametrize("path", [NEW, OLD])
def test_templates_of_either_age_are_the_golden_motion(path):
    template, stored = read_template(path), golden("pipeline_motion")
    assert_same(template.motion, driver("drv_tpl"), atol=0, rtol=0)
    assert template.motion.fps == 25
    torch.testing.assert_close(template.eye_ratios, stored["drv_tpl.c_eyes"])
    torch.testing.assert_close(template.lip_ratios, stored["drv_tpl.c_lip"][:, 0])


def frame(index: int, rotation: str = "R", kind=np.float32) -> dict:
    random = np.random.default_rng(index)
    return {
        "scale": np.full((1, 1), 1.5, kind),
        rotation: np.eye(3, dtype=kind)[None],
        "exp": random.normal(size=(1, 21, 3)).astype(kind),
        "t": np.zeros((1, 3), kind),
    }


def write(path, content, protocol: int = 4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_every_protocol_and_number_type_is_read(tmp_path, protocol, kind):
    content = {"n_frames": 3, "output_fps": 25, "motion": [frame(index, kind=kind) for index in range(3)]}
    template = read_template(write(tmp_path / "laugh.pkl", content, protocol))
    expected = np.concatenate([item["exp"] for item in content["motion"]]).astype(np.float32)
    assert torch.equal(template.motion.expression, torch.from_numpy(expected))
    assert template.eye_ratios is None
    assert template.lip_ratios is None


def test_both_of_numpys_names_are_read(tmp_path):
    content = {"output_fps": 25, "motion": [frame(0)]}
    new = pickle.dumps(content, 0)
    old = new.replace(b"numpy._core.", b"numpy.core.") if b"numpy._core." in new else new
    other = new.replace(b"numpy.core.", b"numpy._core.") if b"numpy.core." in new else new
    for data in (old, other):
        (tmp_path / "template.pkl").write_bytes(data)
        assert len(read_template(tmp_path / "template.pkl").motion) == 1


def test_fortran_order_and_scalars_are_read(tmp_path):
    values = np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3))
    content = read_plain_pickle(write(tmp_path / "plain.pkl", [values, np.float64(2.5), (1, "a", b"b", None)], 2))
    assert np.array_equal(content[0].numpy(), values)
    assert content[1].numpy() == 2.5
    assert content[2] == (1, "a", b"b", None)


def test_the_neutral_frame_is_chosen(tmp_path):
    first, nearest = read_template(NEW).motion, read_template(NEW, rest=None).motion
    assert torch.equal(first.rest.expression, first.expression[0])
    assert any(torch.equal(nearest.rest.expression, one) for one in nearest.expression)
    with pytest.raises(ValueError, match="5 frames"):
        read_template(NEW, rest=9)


def test_our_own_file_keeps_the_motion(tmp_path):
    motion = read_template(NEW).motion
    motion.save(tmp_path / "motion.safetensors")
    assert_same(MotionSequence.load(tmp_path / "motion.safetensors"), motion, atol=0, rtol=0)


def test_the_ending_tells_the_kind_of_motion_file(tmp_path):
    own = tmp_path / "motion.safetensors"
    read_template(NEW, rest=3).motion.save(own)
    assert_same(load_motion(own), read_template(NEW, rest=3).motion, atol=0, rtol=0)
    assert_same(load_motion(own, rest=1), read_template(NEW, rest=1).motion, atol=0, rtol=0)
    assert_same(load_motion(NEW), read_template(NEW, rest=None).motion, atol=0, rtol=0)
    assert_same(load_motion(NEW, rest=1), read_template(NEW, rest=1).motion, atol=0, rtol=0)
    with pytest.raises(ValueError, match="5 frames"):
        load_motion(own, rest=9)


# Hostile files: each would leave a mark if anything of it ran.


class Marks:
    """Makes a file when unpickled freely."""

    def __init__(self, how, *given):
        self.how, self.given = how, given

    def __reduce__(self):
        return self.how, self.given


def hostile(mark) -> dict[str, bytes]:
    template = {"output_fps": 25, "motion": [frame(0)]}
    call = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    return {
        "system": pickle.dumps(Marks(os.system, f"touch {mark}")),
        "eval": pickle.dumps(Marks(eval, call)),
        "exec beside a template": pickle.dumps({**template, "kp": Marks(exec, call)}),
        "subprocess": pickle.dumps(Marks(subprocess.Popen, ["touch", str(mark)])),
        "getattr": pickle.dumps(Marks(getattr, "text", "upper")),
        "open": pickle.dumps(Marks(open, str(mark), "w")),
        "memmap": pickle.dumps(Marks(np.memmap, str(mark), "uint8", "w+", 0, (1,))),
        "numpy's own loader": b"cnumpy\nload\n(S'x'\ntR.",
        "numpy's reconstruct of another class": (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nmemmap\n(I0\ntS'b'\ntR."
        ),
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dump\x93.",
        "state of a name": b"cnumpy\nndarray\n}S'name'\nS'x'\nsb.",
        "extension registry": b"\x80\x02\x82\x01.",
        "persistent id": b"Px\n.",
        "object array": pickle.dumps({"motion": np.array([Marks(os.system, f"touch {mark}")], dtype=object)}),
        "plain object array": pickle.dumps({"motion": [{**frame(0), "exp": np.array([[1]], dtype=object)}]}),
    }


@pytest.mark.parametrize("name", sorted(hostile("x")))
def test_hostile_pickles_run_nothing_and_are_refused(tmp_path, name):
    mark, path = tmp_path / "mark", tmp_path / "hostile.pkl"
    path.write_bytes(hostile(mark)[name])
    with pytest.raises(ValueError, match=r"hostile\.pkl"):
        read_template(path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["system", "eval", "open"])
def test_the_hostile_pickles_are_hostile(tmp_path, name):
    """Unpickled freely, in a process of its own, they do leave the mark that the test above looks for."""
    mark, path = tmp_path / "mark", tmp_path / "hostile.pkl"
    path.write_bytes(hostile(mark)[name])
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert mark.exists()


def test_no_other_class_is_ever_made(tmp_path):
    """Whatever names a pickle asks for, the reader gives out nothing but its own inert values."""
    content = read_plain_pickle(NEW)
    seen, kinds = [content], set()
    while seen:
        value = seen.pop()
        kinds.add(type(value))
        seen += list(value.values()) + list(value) if isinstance(value, dict) else []
        seen += list(value) if isinstance(value, list | tuple) else []
    assert kinds <= {dict, list, tuple, int, float, str, PickledArray}


@given(st.data())
def test_altered_templates_are_read_or_refused(tmp_path_factory, data):
    original = NEW.read_bytes()
    path = tmp_path_factory.getbasetemp() / "altered.pkl"
    start = data.draw(st.integers(0, len(original) - 1))
    put = data.draw(st.binary(max_size=4))
    path.write_bytes(original[:start] + put + original[start + data.draw(st.integers(0, 8)) :])
    with suppress(ValueError):  # anything else that is raised fails the test
        assert len(read_template(path).motion) >= 1


def array(shape, data=b"\0" * 12, code="f4", order="<") -> bytes:
    """A pickle of an array whose parts need not agree."""

    class Array:
        def __reduce__(self):
            parts = (1, shape, np.dtype(code), False, data)
            reconstruct = np.empty(0).__reduce__()[0]  # in numpy.core or numpy._core, by numpy's version
            return reconstruct, (np.ndarray, (0,), b"b"), parts

    return pickle.dumps({"motion": [{"exp": Array()}]}, 2)


@pytest.mark.parametrize("shape", [(2,), (-3,), (10**9, 10**9), (1.5,), ("a",), (3,) * 20])
def test_arrays_that_lie_about_their_shape_are_refused(tmp_path, shape):
    path = tmp_path / "lying.pkl"
    path.write_bytes(array(shape))
    with pytest.raises(ValueError, match=r"lying\.pkl"):
        read_template(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "`motion`"),
        ({"motion": []}, "`motion`"),
        ({"motion": [1]}, "`motion`"),
        ({"motion": [{"exp": 1.0}]}, "lacks `R`"),
        ({"motion": [frame(0)], "output_fps": 0}, "frame rate"),
        ({"motion": [{**frame(0), "exp": np.zeros((1, 20, 3), np.float32)}]}, "shape"),
        ({"motion": [{**frame(0), "exp": np.full((1, 21, 3), np.nan, np.float32)}]}, "NaN"),
        ({"motion": [frame(0)], "c_lip_lst": [np.zeros((1, 1), np.float32)] * 3}, "shape"),
        ({"motion": [{**frame(0), "t": "there"}]}, "template"),
    ],
)
def test_what_is_no_template_is_told(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_template(write(tmp_path / "other.pkl", content))


def test_missing_and_cut_files_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_template(tmp_path / "nowhere.pkl")
    shutil.copy(NEW, tmp_path / "cut.pkl")
    os.truncate(tmp_path / "cut.pkl", 1000)
    with pytest.raises(ValueError, match=r"cut\.pkl"):
        read_template(tmp_path / "cut.pkl")
    (tmp_path / "empty.pkl").touch()
    with pytest.raises(ValueError, match=r"empty\.pkl"):
        read_template(tmp_path / "empty.pkl")


def test_lists_that_hold_themselves_are_refused(tmp_path):
    knot: list = []
    knot.append(knot)
    with pytest.raises(ValueError, match="template"):
        read_template(write(tmp_path / "knot.pkl", {"motion": [{**frame(0), "exp": knot}]}))
