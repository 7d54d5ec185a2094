"""The merchants' own server: hears webhooks, refuses some of them, remembers all that it took."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Final

import msgspec
from aiohttp import web

REFUSED: Final = 0.05
"""Share of deliveries that get an error, as from a shop whose server restarts."""


class Receiver:
    """`heard` counts, for each (endpoint, webhook-id), how often it was taken with 200."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.heard: Counter[tuple[str, str]] = Counter()
        self.event_ids: dict[str, set[str]] = {}
        """For each webhook-id, the event ids that came with it: must be one."""
        self.unreadable = 0
        self._runner: web.AppRunner | None = None

    async def open(self, port: int) -> None:
        """Listen on the loopback."""
        app = web.Application()
        app.router.add_post("/hooks/{endpoint}", self._hear)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=512).start()

    async def close(self) -> None:
        """Hear no more."""
        if self._runner:
            await self._runner.cleanup()

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self._chance.random() < REFUSED:
            return web.Response(status=503)
        self.take(request.match_info["endpoint"], request.headers.get("webhook-id", ""), body)
        return web.Response()

    def take(self, endpoint: str, webhook_id: str, body: bytes) -> None:
        """Remember one webhook."""
        try:
            told: dict[str, Any] = msgspec.json.decode(body)
        except msgspec.DecodeError:
            told = {}
        if not webhook_id or not isinstance(told, dict):
            self.unreadable += 1
            return
        self.heard[endpoint, webhook_id] += 1
        self.event_ids.setdefault(webhook_id, set()).add(str(told.get("id", "")))
