"""The merchants' servers: they ask once, and again with the same key until they are answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

MOST_AT_ONCE: Final = 400
"""Requests under way. While Milango is down, nobody asks for more."""

LONGEST_PAUSE: Final = 2.0
"""Seconds between two tries, at most: a payer stands at the counter."""

ANSWERED: Final = frozenset({202, 422})
"""A payment, or a refusal that is final. Everything else is tried again with the same key."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant as its own server knows it."""

    name: str
    short_code: str
    key: str


@dataclass(slots=True)
class Asked:
    """One request for a prompt, and what came of it."""

    reference: str
    shop: Shop
    body: dict[str, Any]
    status: int = 0
    code: str = ""
    payment: str = ""
    tries: int = 0


@dataclass
class Payers:
    """Asks at a steady pace. `rate` in requests a second."""

    url: str
    shops: list[Shop]
    seed: int
    rate: float
    asked: list[Asked] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """How often each status, or the name of an exception, was met."""
    two_payments: int = 0
    """Keys that were answered with two different payments."""

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self.hurry = asyncio.Event()
        """Set: whoever still has no answer gives up."""

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    async def ask(self, number: int, session: aiohttp.ClientSession, more: Any) -> None:
        """Ask for so many payments, and then on as long as `more()`."""
        next_at = time.monotonic()
        while len(self.asked) < number or more():
            await self._places.acquire()
            asked = self._next()
            task = asyncio.create_task(self._until_answered(asked, session))
            self._under_way.add(task)
            task.add_done_callback(self._done)
            # Who was held up does not make up for it: that would be a burst of its own.
            next_at = max(next_at + 1 / self.rate, time.monotonic() - 0.5)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def wait(self, seconds: float) -> None:
        """Wait until all are answered; after so many seconds those without an answer give up."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)
        self.hurry.set()
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._places.release()
        if not task.cancelled():
            task.result()

    def _next(self) -> Asked:
        number = len(self.asked)
        shop = self.shops[number % len(self.shops)]
        reference = f"S{number:07}"
        body = {
            # A phone each: what one payer's second prompt does is a matter of other tests.
            "phone_number": f"2547{(number * 7_919 + self.seed) % 10**8:08}",
            "amount": self._chance.randint(1, 300),
            "shortcode": shop.short_code,
            "account_reference": reference,
            "service_type": self._chance.choice(["payment", "captive_portal"]),
        }
        asked = Asked(reference, shop, body)
        self.asked.append(asked)
        return asked

    async def _until_answered(self, asked: Asked, session: aiohttp.ClientSession) -> None:
        pause = 0.1
        while asked.status not in ANSWERED and not self.hurry.is_set():
            asked.tries += 1
            wait = await self._try(asked, session)
            if asked.status in ANSWERED:
                return
            await asyncio.sleep(min(max(pause, wait), LONGEST_PAUSE))
            pause *= 2

    async def _try(self, asked: Asked, session: aiohttp.ClientSession) -> float:
        """One request. Returns the seconds that the answer asks us to wait."""
        headers = {
            "Authorization": f"Bearer {asked.shop.key}",
            "Idempotency-Key": f"storm-{self.seed}-{asked.reference}",
        }
        try:
            async with session.post(
                f"{self.url}/api/v1/stk-push", json=asked.body, headers=headers
            ) as answer:
                said = await answer.json(content_type=None)
                asked.status = answer.status
                wait = float(answer.headers.get("Retry-After", 0))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self.answers[type(error).__name__] += 1
            return 0.0
        asked.code = str(said.get("code", ""))
        self.answers[f"{asked.status} {asked.code}".strip()] += 1
        if payment := said.get("id"):
            self.two_payments += bool(asked.payment and asked.payment != payment)
            asked.payment = payment
        return wait
