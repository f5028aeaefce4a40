"""Options that are said once, in the fields of a dataclass."""

import math
from dataclasses import dataclass

import pytest

from talking_head.lp_core.options import check_options, option, options_of


@dataclass(frozen=True)
class Fan:
    speed: float = option(1.0, "How fast it turns.", minimum=0, maximum=3, unit="Hz")
    blades: int = option(4, "How many there are.", choices=(3, 4), label="number of blades")
    tilt: tuple[float, float] = option((0.0, 0.0), "Degrees by axis.", minimum=-10)
    limit: float | None = option(None, "Fastest turn.", maximum=5, optional=True)
    name: str = "fan"

    def __post_init__(self):
        check_options(self)


def test_fields_keep_their_defaults_and_tell_what_is_known_of_them():
    assert Fan() == Fan(1.0, 4, (0.0, 0.0), None, "fan")
    described = options_of(Fan)
    assert list(described) == ["speed", "blades", "tilt", "limit"]
    assert (described["speed"].default, described["speed"].unit, described["speed"].maximum) == (1.0, "Hz", 3)


@pytest.mark.parametrize("taken", [{"speed": 0}, {"speed": 3}, {"tilt": (9e9, -10)}, {"limit": -9}, {"limit": 5}])
def test_the_ends_of_a_range_belong_to_it(taken):
    assert Fan(**taken) != Fan(name="other")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"speed": 3.1}, r"The speed is 3\.1; expected 0 … 3 Hz\."),
        ({"speed": math.nan}, r"The speed is nan; expected 0 … 3 Hz\."),
        ({"blades": 5}, r"The number of blades is 5; expected one of 3, 4\."),
        ({"tilt": (0.0, -11.0)}, r"The tilt is -11\.0; expected -10 or more\."),
        ({"limit": math.inf}, r"The limit is inf; expected 5 or less\."),
    ],
)
def test_values_outside_are_refused_with_what_was_expected(given, message):
    with pytest.raises(ValueError, match=message):
        Fan(**given)
