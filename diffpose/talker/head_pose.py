"""Autoregressive head poses by a WaveNet, each from the previous poses and the voice.

Lu, Chai and Cao 2021, "Live Speech Portraits", section 3.3, after van den Oord et al. 2016, "WaveNet". A pose
vector is six numbers and their velocities; all twelve are sampled and fed back. Both Live Speech Portraits'
Audio2Headpose files (60 frames a second, 14 blocks, 15 frames ahead) and models trained in this pack's motion space
(25 frames a second, 12 blocks, 6 ahead) are supported.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.liveportrait.nets.blocks import PublishedNetwork, Shapes, count

SLOPE = 0.2  # of every leaky ReLU
CHANNELS, SKIP_CHANNELS = 128, 256
POSE_CHANNELS = 12  # six of the pose, six of its velocity
SIGMA_FLOOR = 0.03  # degrees, minimum standard deviation in the likelihood
SIGMA_SCALE = 0.3  # Live Speech Portraits' value
KNEE = 0.5  # share of a limit at which the soft limit begins


@dataclass(frozen=True)
class PoseLayout:
    """Sizes of a head-pose network.

    Attributes:
        feature: channels of one speech feature; a video frame has two.
        condition: channels of the network's embedding of them.
        pose: channels of a pose vector.
        blocks: dilated blocks, in two rounds of 1, 2, 4, …
    """

    feature: int = 512
    condition: int = 512
    pose: int = POSE_CHANNELS
    blocks: int = 14

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of every block in frames."""
        return tuple(2**step for step in range(self.blocks // 2)) * 2

    @property
    def field(self) -> int:
        """Receptive field in frames of history: 255 for 14 blocks, 127 for 12."""
        return 1 + sum(self.dilations)


class HeadPoseNetwork(PublishedNetwork):
    """Distribution of the next pose from history and voice; 4.27 million parameters."""

    published_name = "Audio2Headpose"
    title = "head-pose network (Audio2Headpose)"
    signature = "WaveNet.start_conv1.weight"

    def __init__(self, layout: PoseLayout | None = None) -> None:
        super().__init__()
        self.layout = layout or PoseLayout()
        width = self.layout.condition
        self.audio_downsample = nn.Sequential(
            nn.Linear(2 * self.layout.feature, width),
            nn.BatchNorm1d(width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(width, width),
        )
        self.WaveNet = WaveNet(self.layout)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "HeadPoseNetwork":
        """See `PublishedNetwork`."""
        condition, features = shapes["audio_downsample.0.weight"]
        pose = shapes["WaveNet.start_conv1.weight"][1]
        return cls(PoseLayout(features // 2, condition, pose, count(shapes, "WaveNet.residual_blocks.")))

    def conditions(self, features: Tensor) -> Tensor:
        """Conditions (T, C) embedded from pairs of speech features (T, 2 · feature)."""
        return self.audio_downsample(features)

    def forward(self, history: Tensor, features: Tensor) -> Tensor:
        """Parameters of the next pose (B, 1 + 2 · pose): a logit, means, and negative logarithms of deviations.

        Args:
            history: (B, field, pose) past poses, latest last.
            features: (B, field, 2 · feature) pairs of speech features, ending `ahead` after the next pose.
        """
        conditions = self.conditions(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return self.WaveNet(history.mT, conditions.mT)[..., -1]


class WaveNet(nn.Module):
    """Causal, gated, dilated convolutions, conditioned frame by frame."""

    def __init__(self, layout: PoseLayout) -> None:
        super().__init__()
        outputs = 1 + 2 * layout.pose
        self.dilations = layout.dilations
        self.start_conv1 = nn.Conv1d(layout.pose, CHANNELS, 1)
        self.start_conv2 = nn.Conv1d(CHANNELS, CHANNELS, 1)
        self.residual_blocks = nn.ModuleList(
            GatedBlock(dilation, layout.condition) for dilation in layout.dilations
        )
        self.end_conv_1 = nn.Conv1d(SKIP_CHANNELS, outputs, 1)
        self.end_conv_2 = nn.Conv1d(outputs, outputs, 1)

    def forward(self, history: Tensor, conditions: Tensor) -> Tensor:
        """Parameters (B, 1 + 2 · pose, T) of a history (B, pose, T) and conditions (B, C, T)."""
        x, skipped = self.begin(history), history.new_zeros(())
        for block, dilation in zip(self.residual_blocks, self.dilations, strict=True):
            x, skip = block(_earlier(x, dilation), x, conditions)
            skipped = skipped + skip
        return self.end(skipped)

    def begin(self, history: Tensor) -> Tensor:
        """Input of the first block."""
        return F.leaky_relu(self.start_conv2(F.leaky_relu(self.start_conv1(history), SLOPE)), SLOPE)

    def end(self, skipped: Tensor) -> Tensor:
        """Output of the network from the sum of all blocks' skip connections."""
        return self.end_conv_2(F.leaky_relu(self.end_conv_1(F.leaky_relu(skipped, SLOPE)), SLOPE))


class GatedBlock(nn.Module):
    """tanh(filter) · sigmoid(gate) of this frame, the frame `dilation` before it, and the condition."""

    def __init__(self, dilation: int, condition: int) -> None:
        super().__init__()
        self.filter_conv = nn.Conv1d(CHANNELS, CHANNELS, kernel_size=2, dilation=dilation)
        self.gate_conv = nn.Conv1d(CHANNELS, CHANNELS, kernel_size=2, dilation=dilation)
        self.residual_conv = nn.Conv1d(CHANNELS, CHANNELS, 1)
        self.skip_conv = nn.Conv1d(CHANNELS, SKIP_CHANNELS, 1)
        self.cond_filter_conv = nn.Conv1d(condition, CHANNELS, 1)
        self.cond_gate_conv = nn.Conv1d(condition, CHANNELS, 1)

    def forward(self, past: Tensor, x: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Residual and skip output of frames (B, 128, T) and those `dilation` before."""
        filtered = _two_taps(self.filter_conv, past, x) + self.cond_filter_conv(conditions)
        gate = _two_taps(self.gate_conv, past, x) + self.cond_gate_conv(conditions)
        z = torch.tanh(filtered) * torch.sigmoid(gate)
        return self.residual_conv(z) + x, self.skip_conv(z)


class PoseSampler:
    """Samples poses one by one, at the cost of one frame each: every block caches its last `dilation` inputs.

    Equal to running the network over a sliding window of `layout.field` poses. Before the beginning, the first pose
    and the first feature are repeated.

    Args:
        network: in evaluation mode.
        first: (pose,) the pose before the beginning; zeros is the mean pose.
        feature: (2 · feature,) the first pair of speech features, repeated before it.
        limits: (pose / 2,) soft limits on the magnitude of the pose's numbers; None: no limits.
    """

    def __init__(
        self, network: HeadPoseNetwork, first: Tensor, feature: Tensor, limits: Tensor | None = None
    ) -> None:
        self._network = network
        self._limits = limits
        self._pose = first
        self._queues: list[list[Tensor]] = []
        self._hold(network.conditions(feature[None])[0])

    def hear(self, feature: Tensor) -> None:
        """Advance the history by one repetition of the initial pose and the next pair of speech features."""
        self._step(self._network.conditions(feature[None])[0])

    def next(self, feature: Tensor, noise: Tensor, sigma_scale: float = SIGMA_SCALE) -> Tensor:
        """The next pose (pose,), given the pair of speech features (2 · feature,) that is `ahead` of it.

        Args:
            feature: pair of speech features, as in `forward`.
            noise: (pose,) standard normal.
            sigma_scale: factor on the standard deviation; 0 gives the most likely pose.
        """
        parameters = self._step(self._network.conditions(feature[None])[0])
        _, mean, negative_log = parameters.split((1, len(noise), len(noise)))
        self._pose = self._limited(mean + sigma_scale * noise * torch.exp(-negative_log))
        return self._pose

    def _hold(self, condition: Tensor) -> None:
        """Fill the queues as after a whole field of the first pose with one condition."""
        wavenet, field = self._network.WaveNet, self._network.layout.field
        x, column = wavenet.begin(self._pose[None, :, None].expand(1, -1, field)), condition[None, :, None]
        for block, dilation in zip(wavenet.residual_blocks, wavenet.dilations, strict=True):
            self._queues.append(list(x[..., -dilation:].split(1, -1)))
            x, _ = block(_earlier(x, dilation), x, column)

    def _step(self, condition: Tensor) -> Tensor:
        """Parameters of the next pose after the latest one and its condition."""
        wavenet, column = self._network.WaveNet, condition[None, :, None]
        x, skipped = wavenet.begin(self._pose[None, :, None]), torch.zeros(())
        for block, queue in zip(wavenet.residual_blocks, self._queues, strict=True):
            queue.append(x)
            x, skip = block(queue.pop(0), x, column)
            skipped = skipped + skip
        return wavenet.end(skipped)[0, :, 0]

    def _limited(self, pose: Tensor) -> Tensor:
        if self._limits is None:
            return pose
        place, velocity = pose.chunk(2)
        return torch.cat([soft_limit(place, self._limits), velocity])


@torch.no_grad()
def sample_poses(
    network: HeadPoseNetwork,
    features: Tensor,
    noise: Tensor,
    ahead: int,
    sigma_scale: float = SIGMA_SCALE,
    first: Tensor | None = None,
    limits: Tensor | None = None,
) -> Tensor:
    """Poses (T, pose) sampled from T + `ahead` pairs of speech features.

    Args:
        network: the head-pose network.
        features: (T + ahead, 2 · feature).
        noise: (T, pose) standard normal.
        ahead: frames of voice beyond its own that a pose depends on; 15 for Live Speech Portraits, 6 at 25 fps.
        sigma_scale: factor on the standard deviation.
        first: (pose,) the pose before the beginning; zeros when None.
        limits: see `PoseSampler`.
    """
    start = torch.zeros(network.layout.pose) if first is None else first
    sampler = PoseSampler(network, start, features[0], limits)
    for feature in features[:ahead]:
        sampler.hear(feature)
    return torch.stack(
        [sampler.next(feature, drawn, sigma_scale) for feature, drawn in zip(features[ahead:], noise, strict=False)]
    )


def paired(features: Tensor) -> Tensor:
    """Pairs (T, 2 C), one per video frame, of speech features (2 T, C) at twice the video's rate."""
    return features[: len(features) // 2 * 2].view(-1, 2 * features.shape[-1])


def soft_limit(values: Tensor, limits: Tensor) -> Tensor:
    """Values (…, C) limited softly to ± limits (C,): unchanged below half of them, then compressed smoothly."""
    knee = KNEE * limits
    room = limits - knee
    beyond = (values.abs() - knee).clamp(min=0)
    bent = knee + room * torch.tanh(beyond / room)
    return torch.where(beyond > 0, values.sign() * bent, values)


def gaussian_likelihood(parameters: Tensor, target: Tensor, components: int = 1) -> Tensor:
    """The training loss: the mean negative log-likelihood of targets (…, D), per component and channel.

    As in Live Speech Portraits' training, the components' weights are ignored, so it is a likelihood only for one
    component; standard deviations are at least SIGMA_FLOOR.
    """
    flat = parameters.reshape(-1, parameters.shape[-1])
    _, means, negative_logs = _mixture(flat, components)
    precise = negative_logs.clamp(max=math.log(1 / SIGMA_FLOOR))
    error = (target.reshape(-1, 1, target.shape[-1]) - means) * torch.exp(precise)
    return (0.5 * math.log(2 * math.pi) - precise + 0.5 * error**2).mean()


def _mixture(parameters: Tensor, components: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, K), means (N, K, D) and negative logarithms of deviations (N, K, D)."""
    values = (parameters.shape[-1] - components) // 2
    logits, means, negative_logs = parameters.split((components, values, values), -1)
    return logits, means.unflatten(-1, (components, -1)), negative_logs.unflatten(-1, (components, -1))


def _earlier(x: Tensor, dilation: int) -> Tensor:
    """Frames (B, C, T) delayed by `dilation` frames; zeros before the first."""
    return F.pad(x, (dilation, 0))[..., : x.shape[-1]]


def _two_taps(convolution: nn.Conv1d, past: Tensor, x: Tensor) -> Tensor:
    """A convolution with a kernel of two frames, applied to given past and current frames."""
    earlier, later = convolution.weight.unbind(-1)
    return F.conv1d(past, earlier[..., None]) + F.conv1d(x, later[..., None], convolution.bias)
