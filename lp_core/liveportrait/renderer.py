"""The LivePortrait renderer, for the published weights.

Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control". Letters:
x_s are the portrait's placed keypoints, x_d the driving ones; F extracts features, M motion, W warps, G decodes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..compute.acceleration import accelerated
from ..compute.device import LARGEST_BATCH, ModelPlacement, fitting_batch, frame_bytes, place_permanently
from ..compute.transfer import copy_stream_to, promised
from ..faces.crop import Crop, CropOptions, crop_to_picture, cut
from ..faces.faces import Face
from ..faces.layouts import eye_ratios, lip_ratio
from ..motion.keypoints import LEFT_EYE, RIGHT_EYE, angle_degrees, spread_ratio, transform
from ..motion.sequence import MotionFrame, MotionSequence
from ..render.portrait import Portrait, RenderOptions
from .dense_landmarks import DenseLandmarks
from .nets.appearance import AppearanceExtractor
from .nets.decoder import SpadeDecoder
from .nets.motion_extractor import RawMotion
from .nets.warping import WarpingNetwork
from .networks import Networks

NETWORK_SIDE = 256  # pixels a side of the input of F and M
OPEN_MOUTH = 0.03  # lip ratio from which a portrait's mouth counts as open

_log = logging.getLogger(__name__)


class WarpingDecoder:
    """W and G: features and keypoints to pictures, in half precision where requested and possible.

    Args:
        warping: W; converted to `dtype` in place.
        decoder: G; converted to `dtype` in place.
        device: device that they will run on.
        dtype: dtype of their convolutions; coordinates are always float32.
        acceleration: one of acceleration.ACCELERATIONS.
    """

    def __init__(
        self,
        warping: WarpingNetwork,
        decoder: SpadeDecoder,
        device: torch.device,
        dtype: torch.dtype,
        acceleration: str = "none",
    ):
        warping.prepare(device, dtype)
        decoder.prepare(device, dtype)
        self._networks = nn.ModuleList([warping, decoder])
        self._draw = accelerated(self._pictures, acceleration, device, self._networks)
        self._fixed, self._most = acceleration != "none", 0
        self._copy_stream = copy_stream_to(device)
        self.dtype = dtype

    def paint(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Crops (T, 512, 512, 3) in 0…1, float32; see `start`."""
        return self.start(volume, source, driving)()

    def start(self, volume: Tensor, source: Tensor, driving: Tensor) -> Callable[[], Tensor]:
        """Starts drawing without waiting for the device; the returned function waits and returns as `paint`.

        When half precision overflows, as on GeForce 16xx cards, this batch and all later ones are drawn in single
        precision.

        Args:
            volume: the portrait's features (1, 32, 16, 64, 64).
            source: x_s (1, 21, 3).
            driving: x_d (T, 21, 3).

        Raises:
            ValueError: the networks return NaN in single precision too.
        """
        drawn_in, inputs = self.dtype, (volume, source, driving)
        pictures = self._attempt(*inputs)
        fine = promised(torch.isfinite(pictures).all(), self._copy_stream)

        def finished() -> Tensor:
            drawn = pictures if fine() or drawn_in == torch.float32 else self._in_single(*inputs)
            if not (fine() or torch.isfinite(drawn).all()):
                raise ValueError("LivePortrait drew NaN or infinity: its weights are damaged; download them again.")
            return drawn.permute(0, 2, 3, 1).clamp(0, 1)

        return finished

    def _in_single(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        if self.dtype != torch.float32:
            _log.warning("Half precision gave NaN or infinity; LivePortrait draws in single precision from now on.")
            self.dtype = torch.float32
            self._networks.float()
        return self._attempt(volume, source, driving)

    def _attempt(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Pictures (T, 3, 512, 512); accelerations for fixed shapes get batches padded to one size."""
        frames = len(driving)
        if self._fixed:
            self._most = max(self._most, frames)
            driving = torch.cat([driving, driving[-1:].expand(self._most - frames, -1, -1)])
        return self._draw(volume, source, driving)[:frames]

    def _pictures(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        warping, decoder = self._networks
        return decoder(warping(volume, source, driving).features).float()


@dataclass(frozen=True, eq=False)
class SourceFeatures:
    """The data that LivePortrait draws a portrait from.

    Attributes:
        face: (1, 3, 256, 256) the crop as network input.
        appearance: F, which runs once.
        placed: x_s (1, 21, 3), the portrait's own placed keypoints.
        eye_ratios: (2,) lid opening over eye width, left and right.
        lip_ratio: () inner-lip opening over mouth width.
    """

    face: Tensor
    appearance: AppearanceExtractor
    placed: Tensor
    eye_ratios: Tensor
    lip_ratio: Tensor

    @cached_property
    def volume(self) -> Tensor:
        """The features (1, 32, 16, 64, 64)."""
        with torch.inference_mode():
            return self.appearance(self.face)


class LivePortraitRenderer:
    """Draws with LivePortrait's networks; implements render.portrait.Renderer and render.openings.Retargeter.

    F and M run in float32, since their errors move the whole picture; stitching and retargeting on the CPU.

    Args:
        networks: the networks, which are modified and moved to the device.
        device: device to draw on.
        dtype: dtype of the convolutions of W and G, from `device.choose_dtype`.
        landmarks: network that measures the openings of eyes and lips; the face's own landmarks when None.
        placement: moves the networks to the device.
        acceleration: one of acceleration.ACCELERATIONS.
    """

    def __init__(
        self,
        networks: Networks,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        landmarks: DenseLandmarks | None = None,
        placement: ModelPlacement = place_permanently,
        acceleration: str = "none",
    ):
        self.device = torch.device(device)
        self._appearance, self._motion = networks.appearance, networks.motion
        self._stitching = networks.stitching
        self._landmarks = landmarks
        self._warping_decoder = WarpingDecoder(networks.warping, networks.decoder, self.device, dtype, acceleration)
        self._copy_stream = copy_stream_to(self.device)
        placed = nn.ModuleList([networks.appearance, networks.motion, networks.warping, networks.decoder])
        self._ensure_loaded = placement(placed, self.device)

    @property
    def name(self) -> str:
        """Name of the renderer in options and messages."""
        return "liveportrait"

    def portrait(self, picture: Tensor, face: Face, framing: CropOptions | None = None) -> Portrait:
        """The portrait of one face in a picture (H, W, 3)."""
        own = picture.to(self.device, torch.float32)
        to_picture = crop_to_picture(face.landmarks, framing or CropOptions())
        # Black beyond the picture and plain 2×2 means, as in the original.
        crop = cut(own, to_picture.to(self.device), outside="zeros")
        return self.portrait_of_crop(own, crop, face.landmarks)

    def portrait_of_crop(self, picture: Tensor, crop: Crop, landmarks: Tensor) -> Portrait:
        """The portrait in a given crop of a picture (H, W, 3)."""
        face = network_view(crop.image[None])
        keypoints, motion = self.read_motion(face)
        rest = motion[0]
        placed = transform(keypoints[0], *(value[None] for value in _values(rest)))
        points = landmarks.cpu() if self._landmarks is None else self._landmarks.find(picture, landmarks)
        source = SourceFeatures(face, self._appearance, placed, eye_ratios(points), lip_ratio(points))
        return Portrait(picture, crop, landmarks, keypoints[0], rest, self, source)

    def read_motion(self, faces: Tensor) -> tuple[Tensor, list[MotionFrame]]:
        """Canonical keypoints (B, 21, 3) and motion of crops (B, 3, 256, 256) from `network_view`."""
        self._ensure_loaded(len(faces) * frame_bytes(torch.float32))
        with torch.inference_mode():
            raw = self._motion(faces.to(self.device, torch.float32))
        # Copies, since tensors made in inference mode cannot be written to or used in training later.
        return raw.keypoints.cpu().clone(), motion_frames(raw)

    @property
    def batches_ahead(self) -> int:
        """Number of batches to start before waiting for the first of them, so that a GPU never idles."""
        return int(self.device.type == "cuda")

    def draw(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Tensor:
        """Frames (T, H, W, 3) in 0…1 of a portrait; `motion` holds its own, absolute poses and expressions."""
        return self.start(portrait, motion, options)()

    def start(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Callable[[], Tensor]:
        """Starts drawing without waiting for the device; the returned function waits and returns as `draw`."""
        features: SourceFeatures = portrait.drawing
        self._ensure_loaded(
            min(len(motion), options.batch_size, LARGEST_BATCH) * frame_bytes(self._warping_decoder.dtype)
        )
        with torch.inference_mode():
            driving = self._copy_stream.sent(self.driving_keypoints(portrait, motion, options))
            source = self._copy_stream.sent(features.placed)
            size = fitting_batch(self.device, self._warping_decoder.dtype, options.batch_size)
            started = [self._warping_decoder.start(features.volume, source, some) for some in driving.split(size)]

        def finished() -> Tensor:
            with torch.inference_mode():
                crops = [crops() for crops in started]
                frames = crops[0] if len(crops) == 1 else torch.cat(crops)
                if not options.paste_back:
                    return frames
                return portrait.pasting_within(options.mask).over(portrait.picture[None], frames)

        return finished

    def driving_keypoints(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Tensor:
        """x_d (T, 21, 3), float32 on the CPU: the driving keypoints, input of W.

        In the original's order (LivePortrait's spec, section 3.4): stitching, then the correction of the portrait's
        own lips and eyes, then the multiplier, which scales all of these.
        """
        source = portrait.drawing.placed
        with torch.inference_mode():
            driving = transform(portrait.keypoints, *_values(motion.to("cpu")))
            if options.anchored:
                driving = _anchored(source, driving, portrait, motion.rest)
            if options.stitching:
                driving = self.stitched(source, driving)
            driving = driving + self._setting_right(portrait, options)
            return source + (driving - source) * options.multiplier

    def stitched(self, source: Tensor, driving: Tensor) -> Tensor:
        """x_d (T, 21, 3) moved so that the shoulders stay where those of x_s (1, 21, 3) are."""
        keypoints, shift = self._stitching.stitching_delta(source.expand_as(driving), driving)
        return driving + keypoints + F.pad(shift, (0, 1))[:, None]

    def lip_displacement(self, portrait: Portrait, ratios: Tensor) -> Tensor:
        """See `render.openings.Retargeter`."""
        source: SourceFeatures = portrait.drawing
        inputs = torch.stack([source.lip_ratio.expand_as(ratios), ratios], -1)
        with torch.no_grad():
            return self._stitching.mouth_delta(source.placed.expand(len(ratios), -1, -1), inputs)

    def eye_displacement(self, portrait: Portrait, left: Tensor, right: Tensor) -> Tensor:
        """See `render.openings.Retargeter`.

        The network has one opening for both eyes, so it runs once for each eye; each result is used for the
        keypoints of its own eye, and their mean for all others.
        """
        of_left, of_right = self._both_eyes(portrait, left), self._both_eyes(portrait, right)
        either = (of_left + of_right) / 2
        either[:, LEFT_EYE] = of_left[:, LEFT_EYE]
        either[:, RIGHT_EYE] = of_right[:, RIGHT_EYE]
        return either

    def _both_eyes(self, portrait: Portrait, ratios: Tensor) -> Tensor:
        source: SourceFeatures = portrait.drawing
        inputs = torch.cat([source.eye_ratios.expand(len(ratios), 2), ratios[:, None]], -1)
        with torch.no_grad():
            return self._stitching.eye_delta(source.placed.expand(len(ratios), -1, -1), inputs)

    def _setting_right(self, portrait: Portrait, options: RenderOptions) -> Tensor:
        """Displacement (1, 21, 3) that closes the portrait's own mouth and brings its eyes to a given opening."""
        source: SourceFeatures = portrait.drawing
        moved = torch.zeros_like(source.placed)
        if options.close_mouth and options.relative and source.lip_ratio >= OPEN_MOUTH:
            moved = moved + self.lip_displacement(portrait, torch.zeros(1))
        if options.eye_opening is not None:
            wanted = torch.tensor([options.eye_opening])
            moved = moved + self.eye_displacement(portrait, wanted, wanted)
        return moved


def network_view(crops: Tensor) -> Tensor:
    """Crops (B, S, S, 3) resized to the input of F and M, (B, 3, 256, 256).

    Bilinear up to 512, where that is the mean of 2×2 pixels, as in the original; larger crops are averaged over all
    their pixels, so that clips do not flicker.
    """
    images, size = crops.permute(0, 3, 1, 2), (NETWORK_SIDE, NETWORK_SIDE)
    shrinks_much = images.shape[-1] > 2 * NETWORK_SIDE
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=shrinks_much)


def motion_frames(raw: RawMotion) -> list[MotionFrame]:
    """Motion frames, on the CPU, from the outputs of M's heads for B pictures."""
    rotation = torch.stack([angle_degrees(angle) for angle in (raw.pitch, raw.yaw, raw.roll)], -1)
    values = (value.cpu().clone() for value in (raw.expression, rotation, raw.scale, raw.translation))
    return [MotionFrame(*frame) for frame in zip(*values, strict=True)]


def _values(motion: MotionFrame | MotionSequence) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Expression, rotation, scale and translation, in the order of `transform`'s arguments."""
    return motion.expression, motion.rotation, motion.scale, motion.translation


def _anchored(source: Tensor, driving: Tensor, portrait: Portrait, driver_rest: MotionFrame) -> Tensor:
    """x_d relative to the driver's rest frame, scaled to the size of the portrait's face.

    x_s + g · (x_d − x_rest), g = √V(x_s) / √V(x_rest) with the hulls' volumes V: the original's option
    `expression-friendly`. Relative motion has x_rest = x_s, so it is unchanged.
    """
    rest = transform(portrait.keypoints, *(value[None] for value in _values(driver_rest)))
    return source + spread_ratio(source[0], rest[0]) * (driving - rest)
