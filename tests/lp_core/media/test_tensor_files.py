"""Files of tensors are the same bytes whenever the same is written."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from talking_head.diffpose.speech.manifold import SpeechBank
from talking_head.diffpose.steering.style import Style
from talking_head.lp_core.media.tensor_files import save_tensors
from talking_head.lp_core.motion.sequence import MotionSequence

TIMES = 12  # with two texts in a random order all these agree by chance once in 2000 runs
TEXTS = {"format": "x/1", "fps": "30000/1001", 'é\n"\\\x01\x7f': "ü\t😀", "card": '{"a": "b"}', "": ""}
TENSORS = {"b": torch.rand(3, 4).mT, "a": torch.arange(5).half(), "none": torch.zeros(0, 2), "c": torch.rand(2, 2)}

WRITTEN = {
    "tensors": lambda path: save_tensors(path, TENSORS, TEXTS),
    "without texts": lambda path: save_tensors(path, TENSORS),
    "motion": lambda path: MotionSequence.still(3, 25).save(path),
    "style": lambda path: Style(torch.arange(128.0)).save(path),
    "speaker": lambda path: SpeechBank(torch.ones(4, 8), "wav2vec2").save(path),
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_what_is_written_twice_is_the_same_bytes(tmp_path, write):
    contents = set()
    for index in range(TIMES):
        write(tmp_path / f"{index}.safetensors")
        contents.add((tmp_path / f"{index}.safetensors").read_bytes())
    assert len(contents) == 1


def test_all_of_it_comes_back(tmp_path):
    save_tensors(tmp_path / "a.safetensors", TENSORS, TEXTS)
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata() == TEXTS
        assert set(file.keys()) == set(TENSORS)
        for name, tensor in TENSORS.items():
            assert torch.equal(file.get_tensor(name), tensor)


def test_views_of_one_tensor_are_written_each_for_itself(tmp_path):
    whole = torch.from_numpy(np.arange(12.0).reshape(3, 4))
    save_tensors(tmp_path / "a.safetensors", {"whole": whole, "part": whole[1]}, {"b": "1", "a": "2"})
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("part"), whole[1])


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        save_tensors(tmp_path / "nowhere" / "a.safetensors", TENSORS)
    with pytest.raises(TypeError):
        save_tensors(tmp_path / "a.safetensors", TENSORS, {"a": 1})
    assert not list(tmp_path.iterdir())
