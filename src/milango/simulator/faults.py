"""What chance does to a message on its way: lost, doubled, late."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shares of one kind of message; `late_s` is how late, in seconds before `time_scale`."""

    drop: Share = 0
    twice: Share = 0
    late: Share = 0
    late_s: tuple[Seconds, Seconds] = (30, 90)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one message. `wait` in seconds before `time_scale`."""

    copies: int
    wait: float


def draw(dice: random.Random, faults: Faults) -> Fate:
    """Always the same number of throws, so that one share does not change what others decide."""
    drop, twice, late, how_late = (dice.random() for _ in range(4))
    copies = 0 if drop < faults.drop else 2 if twice < faults.twice else 1
    shortest, longest = faults.late_s
    wait = shortest + (longest - shortest) * how_late if late < faults.late else 0.0
    return Fate(copies, wait)
