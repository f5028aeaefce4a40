"""Where, how precisely and how fast networks compute, as one value."""

from dataclasses import dataclass

import torch
from torch import nn

from .acceleration import ACCELERATIONS
from .device import PRECISIONS, EnsureLoaded, ModelPlacement, choose_device, choose_dtype, place_permanently


@dataclass(frozen=True)
class Compute:
    """Where, how precisely and how fast networks compute.

    Attributes:
        device: a torch device or its name; "auto" is resolved by `choose_device` when the value is made.
        precision: number format of LivePortrait's convolutions and of speech encoders, one of PRECISIONS.
        acceleration: of LivePortrait's drawing, one of ACCELERATIONS.
        placement: brings networks to the device, and may take them off it between calls.

    Raises:
        ValueError: an unknown device, precision or acceleration, or a device that this machine has not.
    """

    device: torch.device | str = "auto"
    precision: str = "auto"
    acceleration: str = "none"
    placement: ModelPlacement = place_permanently

    def __post_init__(self) -> None:
        for name, known in (("precision", PRECISIONS), ("acceleration", ACCELERATIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"There is no {name} {getattr(self, name)!r}; choose from {', '.join(known)}.")
        object.__setattr__(self, "device", choose_device(self.device))

    @property
    def torch_device(self) -> torch.device:
        """The device that was chosen."""
        return torch.device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """The number format of convolutions on the device; raises as `choose_dtype`."""
        return choose_dtype(self.precision, self.torch_device)

    def placed(self, networks: nn.Module) -> EnsureLoaded:
        """Takes networks to the device; what is returned is called right before they work."""
        return self.placement(networks, self.torch_device)


ON_CPU = Compute("cpu")
