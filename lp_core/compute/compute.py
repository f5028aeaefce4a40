"""Device, precision, acceleration and placement of networks, as one value."""

from dataclasses import dataclass

import torch
from torch import nn

from ..options import check_options, option
from .acceleration import ACCELERATIONS
from .device import PRECISIONS, EnsureLoaded, ModelPlacement, choose_device, choose_dtype, place_permanently


@dataclass(frozen=True)
class Compute:
    """Device, precision, acceleration and placement of networks.

    Attributes:
        placement: moves networks to the device, and may move them off it between calls.

    Raises:
        ValueError: an unknown device, precision or acceleration, or a device that this machine does not have.
    """

    device: torch.device | str = option(  # noqa: RUF009 makes a dataclasses.field
        "auto", "Where networks compute: auto, cpu, cuda, mps …"
    )
    precision: str = option(
        "auto",
        "Number format of LivePortrait's drawing and of speech encoders: auto is fp16 on CUDA, for drawing bf16 on "
        "CPUs that compute in it, and fp32 elsewhere. fp32 is the most exact, and helps where fp16 overflows.",
        choices=PRECISIONS,
    )
    acceleration: str = option(
        "none",
        "Acceleration of the liveportrait renderer: compile runs its networks through torch.compile, which takes "
        "minutes the first time; graphs records them as CUDA graphs. Where one cannot run, the reason is logged "
        "and rendering continues without it.",
        choices=ACCELERATIONS,
    )
    placement: ModelPlacement = place_permanently

    def __post_init__(self) -> None:
        check_options(self)
        object.__setattr__(self, "device", choose_device(self.device))

    @property
    def torch_device(self) -> torch.device:
        """The device, with `auto` resolved."""
        return torch.device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """Returns the dtype of convolutions on the device; raises as `choose_dtype`."""
        return choose_dtype(self.precision, self.torch_device)

    def placed(self, networks: nn.Module) -> EnsureLoaded:
        """Places networks; returns the function to call right before they run."""
        return self.placement(networks, self.torch_device)


ON_CPU = Compute("cpu")
