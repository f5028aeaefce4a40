"""How much of each part of a talking face is wanted."""

import math
from dataclasses import dataclass

POSES = ("synthetic", "still")
LOOKS = ("natural", "viewer")
MOODS = ("neutral", "happy", "sad", "angry", "surprised", "disgusted", "afraid", "contemptuous")
STRENGTHS = ("lips", "brows", "head", "blinks", "gaze", "subtle")
MAXIMUM_STRENGTH = 3.0
MAXIMUM_LEAD_MS = 300.0


@dataclass(frozen=True)
class MotionOptions:
    """How much of each part of a talking face is wanted; the defaults are a natural talker.

    Attributes:
        lips: 0 … 3, size of the lips' movement; 0 keeps them still.
        brows: 0 … 3, size of the brows' movement.
        head: 0 … 3, size of the head's movement.
        blinks: 0 … 3, blinks against the natural rate of about 19 a minute; 0 is never.
        gaze: 0 … 3, size of the eyes' own movement; at 0 the pupils stay where they are in the picture.
        pose: "synthetic" moves the head with the speech, "still" leaves it in the portrait's pose.
        lip_lead_ms: how far the lips are ahead of the sound, -300 … 300 ms.
        lips_only: nothing but the lips moves, whatever the other strengths say.
        expression: 0 … 3, size of the whole face's expression, lips and brows included; blinks and gaze have their
            own.
        rest_in_silence: the lips rest while nobody speaks; False leaves a network's lips as they are (the
            procedural ones rest in any case).
        subtle: 0 … 3, size of small expressions beside the speech: brow flashes on emphasis, lid tension, one-sided
            smiles; 0 adds none, as for parity with a published project.
        mood: one of MOODS, held through speech and silence; neutral adds nothing.
        mood_strength: 0 … 3 of the mood.
        look: "natural" is the generator's own gaze (the procedural eyes turn against the head, and wander);
            "viewer" locks the pupils on the viewer whatever the head does, by the same linear law.
    """

    lips: float = 1.0
    brows: float = 1.0
    head: float = 1.0
    blinks: float = 1.0
    gaze: float = 1.0
    pose: str = "synthetic"
    lip_lead_ms: float = 30.0
    lips_only: bool = False
    expression: float = 1.0
    rest_in_silence: bool = True
    subtle: float = 1.0
    mood: str = "neutral"
    mood_strength: float = 1.0
    look: str = "natural"

    def __post_init__(self) -> None:
        for name in (*STRENGTHS, "expression", "mood_strength"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= MAXIMUM_STRENGTH):
                part = name.removesuffix("_strength")
                raise ValueError(
                    f"The strength of {part} is {value}; expected 0 … {MAXIMUM_STRENGTH:g}, 1 is natural."
                )
        for name, known in (("pose", POSES), ("mood", MOODS), ("look", LOOKS)):
            if getattr(self, name) not in known:
                raise ValueError(f"The {name} is {getattr(self, name)!r}; expected one of {', '.join(known)}.")
        if not abs(self.lip_lead_ms) <= MAXIMUM_LEAD_MS:
            raise ValueError(
                f"The lips' lead is {self.lip_lead_ms} ms; expected -{MAXIMUM_LEAD_MS:g} … {MAXIMUM_LEAD_MS:g} ms."
            )


def check_seed(seed: int) -> None:
    """Refuse a seed below 0 in a sentence."""
    if seed < 0:
        raise ValueError(f"The seed is {seed}; expected 0 or more.")
