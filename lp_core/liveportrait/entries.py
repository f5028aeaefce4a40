"""LivePortrait's published weights."""

from ..weights.registry import PublishedFile, WeightEntry

# LivePortrait. Code and weights are published under the MIT licence. The InsightFace and X-Pose models that the
# original uses to find faces and animals forbid commercial use; they are not needed here, so they are not listed.
# Sizes and checksums are those of the Hub's large-file records, as pinned by several public projects.
_CONVERTED = ("Kijai/LivePortrait_safetensors", "59f30f36d7b791929c25437df7461d5b0e0010b1")
_ORIGINAL = ("KlingTeam/LivePortrait", "82a4fa6735ca58432b6ce39301b4b9ee066dea47")
_PURPOSES = {
    "appearance_feature_extractor": "picture to features",
    "motion_extractor": "picture to keypoints, expression and pose",
    "warping_module": "moves the features",
    "spade_generator": "features to picture",
    "stitching_retargeting_module": "keeps the shoulders still; opens and closes eyes and lips",
}


def _human(
    name: str, converted: tuple[int, str], original: tuple[int, str], folder: str = "base_models"
) -> WeightEntry:
    return WeightEntry(
        name=f"liveportrait/{name}",
        purpose=f"LivePortrait: {_PURPOSES[name]}",
        licence="MIT",
        commercial_use=True,
        published=(
            PublishedFile(*_CONVERTED, f"{name}.safetensors", *converted),
            PublishedFile(*_ORIGINAL, f"liveportrait/{folder}/{name}.pth", *original),
        ),
        places=(
            f"{name}.safetensors",
            f"{folder}/{name}.safetensors",
            f"{name}.pth",
            f"{folder}/{name}.pth",
            f"liveportrait/{folder}/{name}.pth",
        ),
    )


def _animal(name: str, sha256: str) -> WeightEntry:
    """An entry of version 1.1, the original's default; its stitching network is the human one."""
    return WeightEntry(
        name=f"liveportrait/animal/{name}",
        purpose=f"LivePortrait for animals: {_PURPOSES[name]}",
        licence="MIT",
        commercial_use=True,
        published=(
            PublishedFile(*_ORIGINAL, f"liveportrait_animals/base_models_v1.1/{name}.pth", sha256=sha256),
            PublishedFile(*_CONVERTED, f"animal/{name}.safetensors"),
        ),
        places=(
            f"animal/{name}.pth",
            f"../liveportrait_animals/base_models_v1.1/{name}.pth",
            f"liveportrait_animals/base_models_v1.1/{name}.pth",
            f"animal/{name}.safetensors",
            f"../liveportrait_animals/base_models/{name}.pth",
            f"liveportrait_animals/base_models/{name}.pth",
        ),
    )


HUMAN = (
    _human(
        "appearance_feature_extractor",
        (3_361_936, "38bef5de50a92bf1fc66e8c511051a19dfacdf80c37f8713425ec15dc9ca7d34"),
        (3_387_959, "5279bb8654293dbdf327030b397f107237dd9212fb11dd75b83dfb635211ceb5"),
    ),
    _human(
        "motion_extractor",
        (112_496_256, "3568cd410e29d046771acb55ecfdfe4c7c197d345bd8b7f95942ef63130b6c9e"),
        (112_545_506, "251e6a94ad667a1d0c69526d292677165110ef7f0cf0f6d199f0e414e8aa0ca5"),
    ),
    _human(
        "warping_module",
        (182_158_564, "f7b7834bd6039b4088f72e5161e60ad366f68a3763df8a3eac0bc0f9d46fdbbf"),
        (182_180_086, "2f61a6f265fe344f14132364859a78bdbbc2068577170693da57fb96d636e282"),
    ),
    _human(
        "spade_generator",
        (221_771_768, "ca04fbec765745e9eae836d2d7522c274647b277ce5f25104fa1705b75222212"),
        (221_813_590, "4780afc7909a9f84e24c01d73b31a555ef651521a1fe3b2429bd04534d992aee"),
    ),
    _human(
        "stitching_retargeting_module",
        (911_836, "60725cf3523ae413880da28ed583c9e84c5c25695a0cef1b77210ea31cc424ea"),
        (2_393_098, "3652d5a3f95099141a56986aaddec92fadf0a73c87a20fac9a2c07c32b28b611"),
        folder="retargeting_models",
    ),
)
"""Weights of the renderer for people."""


ANIMAL = (
    _animal("appearance_feature_extractor", "7e320d545579caa83c7b094cef8b7b43fe92a2e410c219ffa97b08be549f45bf"),
    _animal("motion_extractor", "827d0ea4c56ff252dba50feece3bc62ced365ecae5edb86db07eb71b2f39a696"),
    _animal("warping_module", "7dfd251dc6b3a1baefebfc658f5bb2a2c565649cdb9aa75032591e824a0bfcee"),
    _animal("spade_generator", "6ac31a9b608f3920ec41a402b1c4e29d22007dafd79a855f204aae9307039445"),
    HUMAN[-1],
)
"""Weights of the renderer for animals."""


LANDMARKS = WeightEntry(
    name="liveportrait/landmark",
    purpose="LivePortrait: 203 face landmarks (optional; runs with onnxruntime)",
    licence="MIT",
    commercial_use=True,
    published=(
        PublishedFile(
            *_CONVERTED,
            "landmark.onnx",
            114_666_491,
            "31d22a5041326c31f19b78886939a634a5aedcaa5ab8b9b951a1167595d147db",
        ),
    ),
    places=("landmark.onnx", "liveportrait/landmark.onnx"),
)


LIVEPORTRAIT = (*HUMAN, *ANIMAL[:-1], LANDMARKS)
"""Every entry of this module, each once."""
