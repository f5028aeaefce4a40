"""Core's nodes of a text-to-image graph, as far as their sockets and widgets go.

No picture is made of words here: whatever is asked, VAEDecode gives the pack's demo portrait at the size of the
empty latent. So a workflow with these nodes is tested from the decoded picture on.
"""

import torch.nn.functional as F
from conftest import ROOT

CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"  # what ComfyUI's own first workflow asks for


class CheckpointLoaderSimple:
    CATEGORY, FUNCTION, RETURN_TYPES = "core", "load", ("MODEL", "CLIP", "VAE")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt_name": ([CHECKPOINT],)}}

    def load(self, ckpt_name):
        return (ckpt_name,) * 3


class CLIPTextEncode:
    CATEGORY, FUNCTION, RETURN_TYPES = "core", "encode", ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"multiline": True, "default": ""}), "clip": ("CLIP",)}}

    def encode(self, text, **_others):
        return (text,)


class EmptyLatentImage:
    CATEGORY, FUNCTION, RETURN_TYPES = "core", "make", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):
        side = {"default": 512, "min": 16, "max": 16384, "step": 8}
        return {
            "required": {
                "width": ("INT", side),
                "height": ("INT", side),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            }
        }

    def make(self, width, height, **_others):
        return ({"size": (height, width)},)


class KSampler:
    CATEGORY, FUNCTION, RETURN_TYPES = "core", "sample", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}),
                "steps": ("INT", {"default": 20, "min": 1, "max": 10000}),
                "cfg": ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1}),
                "sampler_name": (["euler", "dpmpp_2m"],),
                "scheduler": (["normal", "karras"],),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
                "denoise": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            }
        }

    def sample(self, latent_image, **_others):
        return (latent_image,)


class VAEDecode:
    CATEGORY, FUNCTION, RETURN_TYPES = "core", "decode", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",), "vae": ("VAE",)}}

    def decode(self, samples, **_others):
        from talking_head.lp_core.media.picture import load_picture

        picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")[None]
        return (F.interpolate(picture.movedim(-1, 1), size=samples["size"], mode="area").movedim(1, -1),)


NODES = (CheckpointLoaderSimple, CLIPTextEncode, EmptyLatentImage, KSampler, VAEDecode)
