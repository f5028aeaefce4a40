"""The second diffusion generator: Ditto's network, offline or streamed."""

from fractions import Fraction

from ...lp_core.compute.device import EnsureLoaded, already_loaded
from ...lp_core.motion.sequence import MotionSequence
from ..diffusion.generator import WindowStream, check_live_rate, whole_motion
from ..diffusion.samplers import SampleOptions, seeded_noise
from ..motion_generator import MotionGenerator, MotionRequest
from ..speech.encoder import FPS
from ..steering.apply import LiveSteering
from ..steering.options import MotionOptions, check_seed
from ..steering.style import Style
from .hearing import ChunkEncoder, DittoFeatures
from .motion import (
    DIMS,
    EMOTIONS,
    LIVE_DITTO,
    LOOK_AHEAD,
    WHOLE_DITTO,
    DittoControls,
    DittoMotion,
    DittoPlan,
    DittoSource,
    DittoSpace,
)
from .network import Lmdm


class DittoGenerator(MotionGenerator):
    """Motion generator with Ditto's network, which takes the options' mood as a condition.

    Args:
        network: the denoiser.
        encoder: its speech encoder.
        source: the face from which motion is measured, so that it fits any portrait; a typical one when None.
        options: sampling of each window.
        ensure_loaded: moves the denoiser to its device.
        controls: factors on the network's motion, applied before the motion options.
    """

    def __init__(
        self,
        network: Lmdm,
        encoder: ChunkEncoder,
        source: DittoSource | None = None,
        options: SampleOptions | None = None,
        ensure_loaded: EnsureLoaded = already_loaded,
        controls: DittoControls | None = None,
    ) -> None:
        self._ensure_loaded, self._controls = ensure_loaded, controls or DittoControls()
        self._network, self._encoder = network, encoder
        self._source, wanted = source or DittoSource.typical(), options or SampleOptions()
        # The network has no style input to guide.
        self._options = wanted.guided_by_style(None)

    def _generated(self, request: MotionRequest) -> MotionSequence:
        stream = self._stream(request.seed, request.options, WHOLE_DITTO, None)
        return whole_motion(stream, request, request.gains)

    def stream(
        self,
        seed: int = 0,
        style: Style | None = None,
        plan: DittoPlan = LIVE_DITTO,
        options: MotionOptions | None = None,
    ) -> WindowStream:
        """A stream that returns motion as sound is pushed; with the default plan the first frames need 880 ms.

        After that, ten frames settle with every 400 ms of sound. Arguments are those of `generate`, and the
        division of the voice into windows.
        """
        wanted, gains = options or MotionOptions(), (style or Style()).gains()
        steering = LiveSteering(wanted, gains, seed, plan.fade + 1 + LOOK_AHEAD)
        return self._stream(seed, wanted, plan, steering)

    def live(
        self,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> WindowStream:
        """See live.LiveGenerator.

        Raises:
            ValueError: the rate is not the network's 25.
        """
        check_live_rate(fps)
        return self.stream(seed, style, options=options)

    def _stream(
        self, seed: int, wanted: MotionOptions, plan: DittoPlan, steering: LiveSteering | None
    ) -> WindowStream:
        check_seed(seed)
        features, draw = DittoFeatures(self._encoder), seeded_noise(seed, (1, plan.frames, DIMS))
        emotion = EMOTIONS.index(wanted.mood)
        windows = DittoMotion(
            self._network, features, self._source, plan, self._options, draw, emotion, self._ensure_loaded
        )
        waited_for = plan.new + plan.fade + 1 + LOOK_AHEAD + (0 if steering is None else steering.held_back)
        return WindowStream(features, windows, DittoSpace(self._source, self._controls), steering, waited_for / FPS)
