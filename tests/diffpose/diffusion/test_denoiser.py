import pytest
import torch
from diffpose_goldens import (
    DIFFLIVEHEAD,
    DIFFPOSETALK,
    DIFFPOSETALK_FULL,
    JOYVASA,
    JOYVASA_CLASS,
    JOYVASA_TRAIN,
    denoiser,
    golden,
    published,
)

from talking_head.diffpose.diffusion.denoiser import (
    DecoderLayer,
    Denoiser,
    DenoiserLayout,
    TokenLayout,
    WindowInput,
    alignment,
)
from talking_head.diffpose.diffusion.published import canonical
from talking_head.diffpose.diffusion.samplers import Guidance
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.ditto.checkpoint import lmdm_layout
from talking_head.diffpose.ditto.network import Lmdm, LmdmLayout, rotated
from talking_head.diffpose.transformer import Attention, PostNormLayer, sinusoidal_positions, sinusoids

ONE_CALL = 2e-5  # absolute tolerance of one evaluation, from the goldens' own notes


def window_input(group, case, batch, sizes, *, indicator=False, person=()):
    """The stored or drawn inputs of a golden case; `person` names what a joint person vector is made of."""
    names = {"audio": (sizes["new"], sizes["width"]), "prev_audio": (sizes["context"], sizes["width"])}
    names["prev_motion"] = (sizes["context"], sizes["motion"])
    read = {name: golden(group, f"{case}.{name}", batch, *shape) for name, shape in names.items()}
    extra = {}
    if person:
        joint = golden(group, f"{case}.person", batch, 1, sum(person.values()))[:, 0]
        extra = dict(zip(person, joint.split(list(person.values()), -1), strict=True))
    if indicator:
        extra["indicator"] = golden(group, f"{case}.indicator", batch, sizes["new"])
    return WindowInput(read["audio"], read["prev_audio"], read["prev_motion"], **extra)


PERSON = {"shape": 100, "style": 128}
DIFFPOSETALK_CASES = {
    "tiny": (3, {}, {}),
    "tiny_mask3": (1, {"mask_width": 3}, {}),
    "tiny_nomask": (1, {"mask_width": 0}, {}),
    "tiny_nohead": (1, {}, {"motion": 51}),
    "tiny_noindicator": (1, {}, {"indicator": 0}),
    "tiny_nostyle": (1, {}, {"style": 0, "token": (("person_proj", 100),)}),
    "tiny_sinPE_legacy": (1, {}, {"learned": False}),
    "full_head": (2, {"heads": 8}, DIFFPOSETALK_FULL),
}


@pytest.mark.parametrize("case", DIFFPOSETALK_CASES)
def test_diffposetalk_goldens(case):
    batch, options, changes = DIFFPOSETALK_CASES[case]
    sizes = DIFFPOSETALK | changes
    network = denoiser("diffposetalk", **({"heads": 4} | options), **sizes)
    person = PERSON if sizes["style"] else {"shape": 100}
    inputs = window_input(
        "diffposetalk", f"denoise.{case}", batch, sizes, indicator=bool(sizes["indicator"]), person=person
    )
    motion = golden("diffposetalk", f"denoise.{case}.motion", batch, sizes["new"], sizes["motion"])
    step = golden("diffposetalk", f"denoise.{case}.step")
    out = network(motion, step, network.window(inputs))
    expected = golden("diffposetalk", f"denoise.{case}.out")
    torch.testing.assert_close(out, expected, atol=ONE_CALL, rtol=0)


JOYVASA_CASES = {"tiny": (2, JOYVASA), "class_defaults": (1, JOYVASA_CLASS), "train_defaults": (1, JOYVASA_TRAIN)}


@pytest.mark.parametrize("case", JOYVASA_CASES)
@pytest.mark.parametrize(("position", "suffix"), [("legacy", "legacy"), ("sequential", "fixed")])
def test_joyvasa_goldens(case, position, suffix):
    batch, sizes = JOYVASA_CASES[case]
    network = denoiser("joyvasa", position=position, **sizes)
    inputs = window_input("joyvasa", f"denoise.{case}", batch, sizes)
    motion = golden("joyvasa", f"denoise.{case}.motion", batch, sizes["new"], sizes["motion"])
    out = network(motion, golden("joyvasa", f"denoise.{case}.step"), network.window(inputs))
    expected = golden("joyvasa", f"denoise.{case}.out_{suffix}_pe")
    torch.testing.assert_close(out, expected, atol=ONE_CALL, rtol=0)


def test_hazard_10_golden():
    network = denoiser("difflivehead", **DIFFLIVEHEAD)
    inputs = window_input("hazard10", "denoise", 2, DIFFLIVEHEAD)
    inputs = WindowInput(
        inputs.audio,
        inputs.context_audio,
        inputs.context_motion,
        shape=golden("hazard10", "denoise.shape"),
        mouth_open_ratio=golden("hazard10", "denoise.mouth", 2, 1),
        mean_expression=golden("hazard10", "denoise.mean_exp"),
    )
    out = network(golden("hazard10", "denoise.motion"), golden("hazard10", "denoise.step"), network.window(inputs))
    torch.testing.assert_close(out, golden("hazard10", "denoise.out"), atol=ONE_CALL, rtol=0)


def ditto():
    tensors = canonical(published("ditto"))
    network = Lmdm(lmdm_layout(tensors))
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def test_ditto_golden():
    network = ditto()
    window = network.window(
        golden("ditto", "lmdm.cond", 1, 80, 1103),
        golden("ditto", "lmdm.cond_frame", 1, 265),
        (frozenset({"audio"}), frozenset()),
    )
    # Ditto counts steps from 0, the network from 1.
    step = int(golden("ditto", "lmdm.t")) + 1
    out = network(golden("ditto", "lmdm.x", 1, 80, 265).repeat(2, 1, 1), step, window)
    expected = torch.cat([golden("ditto", "lmdm.out_uncond"), golden("ditto", "lmdm.out_cond")])
    torch.testing.assert_close(out, expected, atol=2e-4, rtol=0)
    # Guided by 2, and the noise that this clean motion leaves.
    clean = Guidance(audio=2.0).combine(out[:, None])
    torch.testing.assert_close(clean, golden("ditto", "lmdm.x_start"), atol=4e-4, rtol=0)
    left = Schedule.named("ditto", 1000).alpha_bars[step].item()
    noise = (golden("ditto", "lmdm.x", 1, 80, 265) - left**0.5 * clean) / (1 - left) ** 0.5
    torch.testing.assert_close(noise, golden("ditto", "lmdm.pred_noise"), atol=1e-3, rtol=0)


def test_ditto_names_the_shape_it_wants():
    network = Lmdm(LmdmLayout(motion_dims=4, condition_dims=6, frames=3, width=16, hidden=8, layers=1))
    with pytest.raises(ValueError, match=r"\(3, 6\); got \(3, 7\)"):
        network.window(torch.zeros(1, 3, 7), torch.zeros(1, 4), (frozenset(),))


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize(("token", "suffix"), [(False, "joyvasa"), (True, "person_row")])
def test_alignment_goldens(width, token, suffix):
    blocked = golden("basic", f"mask.w{width}.{suffix}").bool()
    assert torch.equal(alignment(9, width, token), ~blocked)


def test_position_goldens():
    x = golden("basic", "pe.x", 2, 7, 32)
    rows = golden("basic", "pe.table_d32_rows0_19")
    torch.testing.assert_close(sinusoids(torch.arange(20), 32), rows, atol=1e-6, rtol=0)
    for mode, name in (("legacy", "legacy"), ("sequential", "fixed")):
        coded = x + sinusoidal_positions(mode, 7, 7, x)
        torch.testing.assert_close(coded, golden("basic", f"pe.{name}"), atol=1e-6, rtol=0)


def layout(**changes):
    basic = {
        "motion_dims": 5, "audio_dims": 12, "width": 16, "layers": 2, "new_frames": 6, "context_frames": 3,
        "position": "sequential", "time_on": "frames", "heads": 2,
    }  # fmt: skip
    return DenoiserLayout(**(basic | changes))


def random_input(network, batch=2, new=6, context=3):
    sizes = network.layout
    token = {name: torch.randn(batch, size) for name, size in sizes.token.sizes().items()}
    return WindowInput(
        torch.randn(batch, new, sizes.width),
        torch.randn(batch, context, sizes.width),
        torch.randn(batch, context, sizes.motion_dims),
        **token,
    )


@pytest.mark.parametrize("token", [TokenLayout(), TokenLayout(shape=4, style=3)])
def test_precomputed_cross_attention_equals_masked_attention(token):
    one = DecoderLayer(layout(token=token))
    x, audio = torch.randn(2, 9 + bool(token.sizes()), 16), torch.randn(2, 9, 16)
    attention = one.cross_attention
    masked = attention.recall(x, attention.remember(audio, audio), alignment(9, 1, bool(token.sizes())))
    torch.testing.assert_close(one._recall(x, one.remember(audio)), masked, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", ["frames", "token"])
def test_legacy_positions_make_frames_exchangeable(case):
    token = TokenLayout(shape=4) if case == "token" else TokenLayout()
    for position, expected in (("legacy", True), ("sequential", False)):
        network = Denoiser(layout(position=position, time_on=case, token=token)).eval()
        inputs, motion = random_input(network, context=0), torch.randn(2, 6, 5)
        order = torch.tensor([3, 1, 5, 0, 2, 4])
        shuffled = WindowInput(
            inputs.audio[:, order], inputs.context_audio, inputs.context_motion, shape=inputs.shape
        )
        plain = network(motion, 9, network.window(inputs))[:, order]
        moved = network(motion[:, order], 9, network.window(shuffled))
        assert torch.allclose(plain, moved, atol=1e-5) is expected


def test_legacy_positions_hold_at_any_window_length():
    """The row of training is used: batch neighbours and lengths do not change which one."""
    network = Denoiser(layout(position="legacy")).eval()
    x = torch.zeros(1, 9, 16)
    assert torch.equal(network._positions(x), network._positions(x[:, :4]))


def test_learned_positions_refuse_a_longer_window():
    network = Denoiser(layout(position="learnable"))
    with pytest.raises(ValueError, match="positions for 9 frames and was given 10"):
        network(torch.randn(1, 7, 5), 1, network.window(random_input(network, batch=1, new=7)))


def test_guidance_entries_are_the_batch_in_order():
    network = Denoiser(layout(token=TokenLayout(style=3), time_on="token")).eval()
    inputs, motion = random_input(network), torch.randn(2, 6, 5)
    dropped = (frozenset({"audio", "style"}), frozenset({"style"}), frozenset())
    together = network(motion.repeat(3, 1, 1), 4, network.window(inputs, dropped))
    apart = [network(motion, 4, network.window(inputs, (one,))) for one in dropped]
    torch.testing.assert_close(together, torch.cat(apart))
    assert (apart[1] - apart[2]).abs().max() > 1e-3


def test_dropping_audio_leaves_the_context_audio():
    network = Denoiser(layout()).eval()
    inputs, motion = random_input(network), torch.randn(2, 6, 5)
    other = WindowInput(inputs.audio + 1, inputs.context_audio, inputs.context_motion)
    deafer = WindowInput(inputs.audio, inputs.context_audio + 1, inputs.context_motion)
    silent, same, changed = (
        network(motion, 4, network.window(one, (frozenset({"audio"}),))) for one in (inputs, other, deafer)
    )
    assert torch.equal(silent, same)
    assert not torch.equal(silent, changed)


def test_window_names_the_missing_input():
    network = Denoiser(layout(token=TokenLayout(style=3), time_on="token"))
    with pytest.raises(ValueError, match="expects style of 3 numbers per person and got 0"):
        network.window(WindowInput(torch.zeros(1, 6, 16), torch.zeros(1, 3, 16), torch.zeros(1, 3, 5)))


def test_style_cannot_be_dropped_from_a_network_without_it():
    network = Denoiser(layout())
    with pytest.raises(ValueError, match="no style input"):
        network.window(random_input(network), (frozenset({"style"}),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position": "rotary"}, "Unknown positional encoding"),
        ({"time_on": "token"}, "no inputs"),
        ({"heads": 3}, "does not divide into 3"),
    ],
)
def test_layout_says_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        layout(**changes)


def test_first_window_starts_from_learned_tokens_or_stillness():
    network = Denoiser(layout())
    motion, audio = network.start(2)
    assert motion.shape == (2, 3, 5)
    assert audio is not None
    assert torch.equal(audio[1], network.start_audio[0])
    still, silence = Denoiser(layout(start_tokens=False)).start(2)
    assert not still.any()
    assert silence is None


def test_attention_agrees_with_torch():
    ours = Attention(16, 4)
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.in_proj.weight.data, ours.in_proj.bias.data
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-6, rtol=1e-5)
    allowed = torch.rand(5, 7) > 0.4
    allowed[:, 0] = True
    recalled = ours.recall(x, ours.remember(memory, memory), allowed)
    torch.testing.assert_close(recalled, theirs(x, memory, memory, attn_mask=~allowed)[0], atol=1e-6, rtol=1e-5)


def test_post_norm_layer_agrees_with_torch():
    ours = PostNormLayer(16, 4, 32).eval()
    theirs = torch.nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, dropout=0).eval()
    names = {"self_attn.in_proj_": "self_attention.in_proj.", "self_attn.": "self_attention.",
             "linear1": "feed_forward.0", "linear2": "feed_forward.2"}  # fmt: skip
    state = {}
    for key in theirs.state_dict():
        renamed = key
        for old, new in names.items():
            renamed = renamed.replace(old, new)
        state[key] = ours.state_dict()[renamed]
    theirs.load_state_dict(state)
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_rotation_keeps_lengths_and_sees_distances_only():
    first, second = torch.randn(1, 1, 8), torch.randn(1, 1, 8)
    rows = rotated(first.repeat(1, 6, 1)), rotated(second.repeat(1, 6, 1))
    torch.testing.assert_close(rows[0].norm(dim=-1), first.norm(dim=-1).expand(1, 6))
    products = rows[0][0] @ rows[1][0].mT
    torch.testing.assert_close(products[0, 2], products[3, 5])
    assert (products[0, 2] - products[0, 3]).abs() > 1e-4
