"""Everything that one running simulator knows, in memory."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from milango.simulator import magic
from milango.simulator.apps import Apps
from milango.simulator.c2b import Registrations
from milango.simulator.callbacks import Poster
from milango.simulator.errors import Refused
from milango.simulator.ids import Ids
from milango.simulator.initiators import Initiators, KeyPair
from milango.simulator.ledger import Ledger, Push
from milango.simulator.oauth import Tokens
from milango.simulator.settings import Settings
from milango.simulator.stage import Stage
from milango.simulator.status import Inquiry
from milango.simulator.stories import HANDSET, STORIES, Story

REQUESTS_KEPT = 20_000


class Casting:
    """Which story the next push plays: one set for its phone, a random one, magic, or a person."""

    def __init__(self) -> None:
        self._set: dict[str, tuple[Story, int | None]] = {}
        self._follows: dict[str, Story] = {}
        self._weights: dict[str, float] = {}
        self._dice = random.Random()

    def set_story(self, phone: str, story: Story, times: int | None) -> None:
        """For the next `times` pushes to this phone; None means until it is changed."""
        self._set[phone] = (story, times)
        self._follows.pop(phone, None)

    def set_random(self, seed: int | None, weights: dict[str, float]) -> None:
        self._dice = random.Random(seed)
        self._weights = dict(weights)

    def clear(self) -> None:
        self._set.clear()
        self._follows.clear()
        self._weights.clear()

    def view(self) -> dict[str, Any]:
        chosen = {
            phone: {"story": story.name, "times": times}
            for phone, (story, times) in self._set.items()
        }
        return {"set": chosen, "random": self._weights}

    def choose(self, push: Push) -> Story:
        story = self._follows.pop(push.phone, None) or self._next(push)
        if story.then:
            self._follows[push.phone] = STORIES[story.then]
        return story

    def _next(self, push: Push) -> Story:
        chosen, times = self._set.get(push.phone, (None, None))
        if chosen is not None:
            self._count_down(push.phone, chosen, times)
            return chosen
        if self._weights:
            names, weights = list(self._weights), list(self._weights.values())
            return STORIES[self._dice.choices(names, weights)[0]]
        name = magic.PHONES.get(push.phone) or magic.AMOUNTS.get(push.amount)
        return STORIES[name] if name else HANDSET

    def _count_down(self, phone: str, story: Story, times: int | None) -> None:
        if times is None:
            return
        if times > 1:
            self._set[phone] = (story, times - 1)
        else:
            del self._set[phone]


class World:
    """Built once for each application; `reset` makes it new, the settings it was born with kept."""

    def __init__(self, settings: Settings, key: str = "") -> None:
        self._first_settings = settings
        self.key_pair = KeyPair(key)
        self._begin(settings)

    def _begin(self, settings: Settings) -> None:
        self.settings = settings
        self.apps = Apps()
        self.casting = Casting()
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._forget(settings.seed)

    def _forget(self, seed: int | None) -> None:
        """Forget all traffic; ids and delays repeat themselves for the same seed."""
        self._chance = random.Random(seed)
        self.dice = random.Random(seed)
        self.initiators = Initiators(self.key_pair)
        self.pulled: frozenset[str] = frozenset()
        """The numbers that have registered for Pull."""
        self.registrations = Registrations()
        self.inquiries: deque[Inquiry] = deque(maxlen=REQUESTS_KEPT)
        self._calls: dict[str, tuple[int, int]] = {}
        self.ids = Ids(seed)
        self.tokens = Tokens()
        self.ledger = Ledger(self.ids)
        self.poster = Poster(self.ids, self._chance)
        self.stage = Stage(self, self._chance)

    async def close(self) -> None:
        """Stop every story and close every connection."""
        await self.stage.stop()
        await self.poster.close()

    async def reset(self, *, keep_apps: bool = False, keep_settings: bool = False) -> None:
        apps, settings = self.apps, self.settings
        await self.close()
        self._begin(settings if keep_settings else self._first_settings)
        if keep_apps:
            self.apps = apps

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of the story, scaled."""
        await asyncio.sleep(seconds * self.settings.time_scale)

    def happens(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share

    def between(self, limits: tuple[float, float]) -> float:
        shortest, longest = limits
        return self._chance.uniform(shortest, longest) if shortest < longest else shortest

    def charge_on(self, amount: int) -> int:
        """What M-Pesa keeps of so many whole KES, in cents."""
        return round(amount * 100 * self.settings.charge_share)

    def pick(self, choices: Sequence[str]) -> str:
        return self._chance.choice(choices)

    def choose(self, push: Push) -> Story:
        return self.casting.choose(push)

    def log_call(self, **entry: Any) -> None:
        self.requests.append(entry)

    def count_call(self, consumer_key: str) -> None:
        """Raises Refused when this consumer key has used up the current second."""
        if not self.settings.max_tps:
            return
        second = int(time.monotonic())
        last, count = self._calls.get(consumer_key, (second, 0))
        count = count + 1 if last == second else 1
        self._calls[consumer_key] = (second, count)
        if count > self.settings.max_tps:
            raise Refused("spike_arrest")
