import pytest
import torch
from diffpose_goldens import golden, published

from talking_head.diffpose.diffusion.published import canonical
from talking_head.diffpose.diffusion.style_encoder import StyleEncoder, StyleEncoderLayout


def encoder(motion, frames, position):
    network = StyleEncoder(StyleEncoderLayout(motion, frames=frames, position=position))
    network.load_state_dict(canonical(published("style_encoder", motion=motion)))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(("name", "motion"), [("head", 54), ("nohead", 51)])
@pytest.mark.parametrize("frames", [100, 37])
@pytest.mark.parametrize(("position", "suffix"), [("legacy", "legacy"), ("sequential", "fixed")])
def test_goldens(name, motion, frames, position, suffix):
    # The reference numbers by the actual length; ours by that of training, given here.
    network = encoder(motion, frames, position)
    code = network(golden("basic", f"style.{name}.{frames}.x", 2, frames, motion))
    expected = golden("basic", f"style.{name}.{frames}.feat_{suffix}_pe")
    torch.testing.assert_close(code, expected, atol=2e-5, rtol=0)


def small(position="legacy", frames=8):
    torch.manual_seed(3)
    layout = StyleEncoderLayout(5, width=16, layers=2, frames=frames, position=position, heads=2)
    return StyleEncoder(layout).eval()


def test_published_encoders_see_a_bag_of_frames_and_ours_see_order():
    motion = torch.randn(1, 8, 5)
    order = torch.randperm(8)
    assert torch.allclose(small()(motion), small()(motion[:, order]), atol=1e-5)
    assert not torch.allclose(small("sequential")(motion), small("sequential")(motion[:, order]), atol=1e-3)


@pytest.mark.parametrize("frames", [1, 5, 8, 9, 16, 21])
def test_a_clip_of_any_length_gives_one_code(frames):
    code = small().encode(torch.randn(frames, 5))
    assert code.shape == (16,)
    assert not code.requires_grad


def test_every_frame_of_a_long_clip_counts():
    motion = torch.randn(21, 5)
    code = small().encode(motion)
    for frame in range(21):
        changed = motion.clone()
        changed[frame] += 1
        assert not torch.allclose(small().encode(changed), code, atol=1e-6), frame


def test_a_short_clip_is_its_window():
    motion = torch.randn(6, 5)
    torch.testing.assert_close(small().encode(motion), small()(motion[None])[0])


@pytest.mark.parametrize("shape", [(0, 5), (8, 4), (1, 8, 5)])
def test_encode_names_the_shape_it_wants(shape):
    with pytest.raises(ValueError, match=r"shape \(frames, 5\) with at least one frame; got"):
        small().encode(torch.zeros(shape))


def test_learned_positions_are_refused():
    with pytest.raises(ValueError, match="legacy or sequential; got 'learnable'"):
        StyleEncoderLayout(5, position="learnable")
