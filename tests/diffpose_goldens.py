"""Golden values of the DiffPoseTalk family, and the synthetic weights they were made with.

Weights and most inputs are drawn again from their names (numpy's Philox and Box-Muller); golden/diffpose holds
the rest. `published_shapes` lists the tensors of a published network of any size.
"""

import pickle
import zlib
from argparse import Namespace
from dataclasses import replace
from functools import cache
from pathlib import Path, PosixPath

import numpy as np
import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).parent / "golden" / "diffpose"
SEED = 1


def normal(name, count):
    """`count` standard normals in float64 that depend on the name alone."""
    key = np.array([zlib.crc32(name.encode()), SEED], dtype=np.uint64)
    raw = np.random.Philox(key=key).random_raw(2 * count) >> np.uint64(11)
    first, second = (raw[:count].astype(np.float64) + 1) * 2.0**-53, raw[count:] * 2.0**-53
    return np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)


def drawn(name, *shape, scale=1.0, shift=0.0):
    """An input of the goldens."""
    values = normal(name, int(np.prod(shape))) * scale + shift
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def weight(key, shape):
    """A parameter of the synthetic checkpoints, of a size that keeps activations near one."""
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        key = key.replace(f"parametrizations.weight.{new}", old)
    values = normal(key, int(np.prod(shape)))
    leaf = key.rsplit(".", 1)[-1]
    if leaf.endswith("bias"):
        values = 0.1 * values
    elif leaf == "weight_g" or (leaf == "weight" and len(shape) == 1):
        values = 1 + 0.1 * values
    elif leaf in ("weight", "in_proj_weight", "weight_v"):
        values = values / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


@cache
def stored(group):
    return load_file(FOLDER / f"{group}.safetensors")


def golden(group, name, *shape):
    """A stored golden, or an input that its name tells."""
    tensors = stored(group)
    return tensors[name] if name in tensors else drawn(name, *shape)


@cache
def published(kind, **sizes):
    """Tensors of a synthetic published checkpoint."""
    return {key: weight(key, shape) for key, shape in published_shapes(kind, **sizes).items()}


def published_shapes(kind, **sizes):
    """Learned tensors of a published network: key to shape."""
    return {
        "joyvasa": denoiser_shapes,
        "diffposetalk": denoiser_shapes,
        "difflivehead": denoiser_shapes,
        "style_encoder": style_shapes,
        "ditto": lmdm_shapes,
        "encoder": encoder_shapes,
    }[kind](**sizes)


def linear(name, out, into):
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def attention(name, width):
    joint = {f"{name}.in_proj_weight": (3 * width, width), f"{name}.in_proj_bias": (3 * width,)}
    return joint | linear(f"{name}.out_proj", width, width)


def layer(name, width, hidden, crossed):
    shapes = attention(f"{name}.self_attn", width)
    if crossed:
        shapes |= attention(f"{name}.multihead_attn", width)
    shapes |= linear(f"{name}.linear1", hidden, width) | linear(f"{name}.linear2", width, hidden)
    for index in range(1, 4 if crossed else 3):
        shapes |= norm(f"{name}.norm{index}", width)
    return shapes


def denoiser_shapes(
    *, width, layers, motion, context, new, audio=768, token=(), style=0, indicator=0, learned=False, start=True
):
    net = "denoising_net"
    shapes = {"null_audio_feat": (1, 1, width)}
    if start:
        shapes |= {"start_audio_feat": (1, context, width), "start_motion_feat": (1, context, motion)}
    if style:
        shapes["null_style_feat"] = (1, 1, style)
    if learned:
        shapes[f"{net}.PE"] = (1, 1 + context + new, width)
    shapes |= linear("audio_feature_map", width, audio)
    for name, size in token:
        shapes |= linear(f"{net}.{name}", width, size)
    shapes |= linear(f"{net}.diff_step_map.0", width, width) | linear(f"{net}.diff_step_map.2", width, width)
    shapes |= linear(f"{net}.feature_proj", width, motion + indicator)
    for index in range(layers):
        shapes |= layer(f"{net}.transformer.layers.{index}", width, 4 * width, crossed=True)
    return (
        shapes
        | linear(f"{net}.motion_dec.0", width // 2, width)
        | linear(f"{net}.motion_dec.2", motion, width // 2)
    )


def style_shapes(*, motion, width=128, layers=4):
    shapes = linear("motion_proj", width, motion)
    for index in range(layers):
        shapes |= layer(f"transformer.layers.{index}", width, 4 * width, crossed=False)
    return shapes


def lmdm_shapes(*, width=512, hidden=1024, layers=8, motion=265, condition=1103, frames=80):
    shapes = {"null_cond_embed": (1, frames, width), "null_cond_hidden": (1, width)}
    shapes |= linear("time_mlp.1", 4 * width, width) | linear("to_time_cond.0", width, 4 * width)
    shapes |= linear("to_time_tokens.0", 2 * width, 4 * width) | norm("norm_cond", width)
    shapes |= linear("input_projection", width, 2 * motion) | linear("cond_projection", width, condition)
    for index in range(2):
        shapes |= layer(f"cond_encoder.{index}", width, hidden, crossed=False)
    pooled = "non_attn_cond_projection"
    shapes |= norm(f"{pooled}.0", width) | linear(f"{pooled}.1", width, width) | linear(f"{pooled}.3", width, width)
    for index in range(layers):
        name = f"seqTransDecoder.stack.{index}"
        shapes |= layer(name, width, hidden, crossed=True)
        for film in (1, 2, 3):
            shapes |= linear(f"{name}.film{film}.block.1", 2 * width, width)
    return shapes | linear("final_layer", motion, width)


def encoder_shapes(
    *, prefix="audio_encoder.", hidden=48, layers=2, feed_forward=96, channels=32, taps=16, groups=4
):
    shapes = {"masked_spec_embed": (hidden,)}
    for index, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        into = channels if index else 1
        shapes[f"feature_extractor.conv_layers.{index}.conv.weight"] = (channels, into, kernel)
    shapes |= norm("feature_extractor.conv_layers.0.layer_norm", channels)
    shapes |= norm("feature_projection.layer_norm", channels) | linear(
        "feature_projection.projection", hidden, channels
    )
    position = "encoder.pos_conv_embed.conv"
    shapes[f"{position}.bias"] = (hidden,)
    shapes[f"{position}.parametrizations.weight.original0"] = (1, 1, taps)
    shapes[f"{position}.parametrizations.weight.original1"] = (hidden, hidden // groups, taps)
    shapes |= norm("encoder.layer_norm", hidden)
    for index in range(layers):
        name = f"encoder.layers.{index}"
        for part in "kvq":
            shapes |= linear(f"{name}.attention.{part}_proj", hidden, hidden)
        shapes |= linear(f"{name}.attention.out_proj", hidden, hidden) | norm(f"{name}.layer_norm", hidden)
        shapes |= linear(f"{name}.feed_forward.intermediate_dense", feed_forward, hidden)
        shapes |= linear(f"{name}.feed_forward.output_dense", hidden, feed_forward)
        shapes |= norm(f"{name}.final_layer_norm", hidden)
    return {f"{prefix}{key}": shape for key, shape in shapes.items()}


def save_published(path, tensors, name="model", **arguments):
    """Write a checkpoint as the projects do: a pickled Namespace with a path in it beside the network."""
    settings = Namespace(exp_dir=PosixPath("experiments/run"), **arguments)
    torch.save({"args": settings, name: dict(tensors), "iter": 7}, path)
    return path


POSE_SIZES = {"scale": 1, "t": 3, "pitch": 1, "yaw": 1, "roll": 1}
DIFFPOSETALK = {
    "width": 64, "layers": 2, "motion": 54, "context": 4, "new": 12, "audio": 48,
    "token": (("person_proj", 228),), "style": 128, "indicator": 1, "learned": True,
}  # fmt: skip
DIFFPOSETALK_FULL = DIFFPOSETALK | {"width": 512, "layers": 8, "context": 10, "new": 100, "audio": 768}
JOYVASA = {"width": 64, "layers": 8, "motion": 70, "context": 5, "new": 20, "audio": 48}
JOYVASA_CLASS = {"width": 512, "layers": 8, "motion": 70, "context": 10, "new": 100}
JOYVASA_TRAIN = {"width": 256, "layers": 8, "motion": 70, "context": 25, "new": 100}
DIFFLIVEHEAD = {
    "width": 512, "layers": 8, "motion": 25, "context": 10, "new": 65, "start": False,
    "token": (("shape_proj", 63), ("mouth_open_ratio_proj", 1), ("mean_exp_proj", 25)),
}  # fmt: skip


def write_small_diffusion(folder, place=0, template=True, encoder=True):
    """Synthetic weights of the diffusion generator in a models folder, in the form they are published in.

    Args:
        folder: the models folder.
        place: which of the places that files are looked for in.
        template: whether the motion template is there too.
        encoder: whether the generator's file has its speech encoder.
    """
    from talking_head.diffpose.diffusion.installed import MOTION_GENERATOR, MOTION_TEMPLATE

    sizes = JOYVASA | {"layers": 1, "width": 16}
    generator, described = folder / MOTION_GENERATOR.places[place], folder / MOTION_TEMPLATE.places[place]
    generator.parent.mkdir(parents=True, exist_ok=True)
    tensors = published("joyvasa", **sizes) | (published("encoder") if encoder else {})
    save_published(generator, tensors, n_motions=sizes["new"], n_prev_motions=sizes["context"], n_diff_steps=10)
    if template:
        pose = (f"{bound}_{name}" for bound in ("min", "max") for name in ("scale", "t", "pitch", "yaw", "roll"))
        values = {name: golden("joyvasa", f"tmpl.{name}").numpy() for name in ("mean_exp", "std_exp", *pose)}
        described.parent.mkdir(parents=True, exist_ok=True)
        described.write_bytes(pickle.dumps(values))


@cache
def denoiser(kind, position=None, heads=8, mask_width=1, **sizes):
    """The network of a synthetic published checkpoint, as the loader builds it; sizes as in denoiser_shapes."""
    from talking_head.diffpose.diffusion.denoiser import Denoiser
    from talking_head.diffpose.diffusion.published import canonical

    layout = card(kind, heads, mask_width, **sizes).layout
    network = Denoiser(replace(layout, position=position or layout.position))
    network.load_state_dict(canonical(published(kind, **sizes)))
    return network.eval().requires_grad_(False)


def card(kind, heads=8, mask_width=1, **sizes):
    """The card that the loader gives a synthetic published checkpoint."""
    from talking_head.diffpose.container import Container
    from talking_head.diffpose.diffusion.published import diffusion_card

    arguments = {
        "n_heads": heads, "num_attention_heads": heads, "align_mask_width": mask_width,
        "n_motions": sizes["new"], "n_prev_motions": sizes["context"],
    }  # fmt: skip
    return diffusion_card(Container(Path("synthetic"), published(kind, **sizes), arguments, {}), kind)
