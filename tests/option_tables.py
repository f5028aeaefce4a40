"""The page of all options, docs/api/options.md, which is made from the fields of their dataclasses.

    python tests/option_tables.py

writes it anew.
"""

from collections.abc import Iterator
from importlib import import_module

from conftest import ROOT

from talking_head.lp_core.options import Option, options_of

PAGE = ROOT / "docs" / "api" / "options.md"
KINDS = (
    "diffpose.steering.options.MotionOptions",
    "diffpose.diffusion.samplers.SampleOptions",
    "diffpose.diffusion.samplers.Guidance",
    "diffpose.talker.driver.TalkerOptions",
    "diffpose.talker.synthetic_pose.SyntheticPoseOptions",
    "lp_core.render.portrait.RenderOptions",
    "lp_core.faces.crop.CropOptions",
    "lp_core.motion.motion_filter.FilterOptions",
    "lp_core.media.encoding.VideoOptions",
    "lp_core.compute.compute.Compute",
)
HEAD = """# Options

Values outside a range raise `ValueError` when an options value is made. Nodes and the command line offer the same
fields with the same defaults, ranges and texts.
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(line for kind in KINDS for line in table(kind))])


def table(kind: str) -> Iterator[str]:
    """The lines about the options of one dataclass."""
    module, name = kind.rsplit(".", 1)
    yield f"## {name}\n"
    yield "| field | default | values | meaning |"
    yield "|---|---|---|---|"
    for field, option in options_of(getattr(import_module(f"talking_head.{module}"), name)).items():
        yield f"| `{field}` | `{option.default!r}` | {values(option)} | {option.help} |"
    yield ""


def values(option: Option) -> str:
    """The values that an option takes, in words."""
    if isinstance(option.default, bool):
        return "`True`, `False`"
    limited = option.choices or option.minimum is not None or option.maximum is not None
    return (option.expected if limited else "any") + (" or `None`" if option.optional else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
