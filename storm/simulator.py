"""The simulator's control API, as the storm uses it."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import msgspec

from .books import Prompt

WITHOUT: Final = frozenset({"handset"})
"""Waits for a person."""

OFTEN: Final = {"paid": 25.0, "cancelled": 8.0}
PUSHING_BACK: Final = dict.fromkeys(("busy", "spike_arrest", "spike_arrest_429", "quota"), 0.3)
"""Each of them halves the pace of a whole app, so a few go a long way."""

SETTINGS: Final = {
    # Scaled by the plan's `time_scale`: at a tenth, payers take one to three seconds.
    "answer_delay": [10, 30],
    "duplicate_window_s": 0,
    "metadata": "mixed",
    "result_shape": "mixed",
    "result_faults": {"drop": 0.05, "twice": 0.05, "late": 0.05, "late_s": [10, 60]},
    "confirmation_first": 0.2,
    "confirmation_faults": {"drop": 0.1, "twice": 0.1, "late": 0.1, "late_s": [10, 60]},
    "c2b_names": "mixed",
    "pull_fails": 0.05,
    "pull_page": 1_000,
}


class Simulator:
    """Reached over HTTP alone: it shares nothing with Milango."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def set_the_stage(self, seed: int, time_scale: float, apps: list[dict[str, Any]]) -> None:
        """Register the apps and let every story be told, at random."""
        await self._call("PATCH", "settings", SETTINGS | {"seed": seed, "time_scale": time_scale})
        await self._call("POST", "reset", {"keep_settings": True})
        for app in apps:
            await self._call("POST", "apps", app)
        stories = await self._call("GET", "stories")
        weights = dict.fromkeys(stories["stories"], 1.0) | OFTEN | PUSHING_BACK
        weights = {name: weight for name, weight in weights.items() if name not in WITHOUT}
        await self._call("POST", "random", {"seed": seed, "weights": weights})

    async def certificate(self) -> str:
        """What passwords of API operators are encrypted with."""
        async with self._session.get(f"{self._url}/control/certificate") as answer:
            return await answer.text()

    async def quiet(self, seconds: float) -> bool:
        """Wait until every callback that will come has come."""
        said = await self._call("POST", "idle", {"timeout_s": seconds})
        return bool(said["idle"])

    async def ledger(self) -> list[Prompt]:
        """The truth about every prompt."""
        async with self._session.get(f"{self._url}/control/ledger") as answer:
            return msgspec.json.decode(await answer.read(), type=list[Prompt])

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self._url}/control/{path}"
        async with self._session.request(method, url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()
