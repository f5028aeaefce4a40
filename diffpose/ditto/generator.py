"""The second diffusion generator: Ditto's network, at once or while the voice is still arriving."""

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
    """A generator made of Ditto's network, which is also given the mood of the options.

    Args:
        network: the denoiser.
        encoder: its speech encoder.
        source: the face that moves; a usual one when None. Motion is measured from it, so any portrait can be
            driven.
        options: how windows are sampled.
        ensure_loaded: brings the denoiser to its device.
        controls: how much of the network's motion moves the face, before what is wanted of any generator's.
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
        # The network has no style code to be guided by.
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
        """A stream to push sound into; in the default plan the first frames settle after 880 ms of it.

        After that ten frames settle with every 400 ms of sound. Arguments are those of `generate`, and how the
        voice is cut.
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
            ValueError: another rate than the network's 25.
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
