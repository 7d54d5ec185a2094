"""One storm from beginning to end: build, rage, clear up, compare."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.processes import ROOT, free_port

from . import books, clock, ours, town
from .databases import KINDS, Database
from .disk import Disk
from .payers import Payers
from .processes import Program
from .receiver import Receiver
from .simulator import Simulator
from .weather import House, Weather

FOLDER: Final = ROOT / ".milango" / "storm"

DISK_FULL_AT: Final = 0.4
"""When the disk is full once: after this share of the payments."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of a storm. Times in seconds."""

    seed: int
    payments: int
    kills: int
    rate: float
    """Requests for a prompt a second."""
    reconcile: float
    """How long Milango may take to resolve everything once the storm is over."""
    still: float = 30
    """When nothing has moved for so long, and Pull has told everything once more, all is resolved
    that can be."""
    gap: float
    """Between two faults, on average."""
    database: str = "postgres"
    prompt_life: int = 20
    time_scale: float = 0.1
    """How long the simulator's stories take, as a part of life."""


@dataclass
class Progress:
    """What the live view shows."""

    phase: str = "building"
    lines: list[str] = field(default_factory=list)
    payers: Payers | None = None
    weather: Weather | None = None
    receiver: Receiver | None = None
    counts: ours.Counts = field(default_factory=ours.Counts)

    began: list[float] = field(default_factory=lambda: [time.monotonic()])
    """When each phase did: building, storm, resolving, comparing."""

    def begin(self, phase: str) -> None:
        """The next phase."""
        self.phase = phase
        self.began.append(time.monotonic())

    @property
    def spent(self) -> list[float]:
        """Seconds of each phase so far."""
        ends = [*self.began[1:], time.monotonic()]
        return [round(end - begin, 1) for begin, end in zip(self.began, ends, strict=True)]

    def say(self, text: str) -> None:
        """One more thing that happened."""
        self.lines = [*self.lines[-5:], text]


@dataclass
class Report:
    """How it ended."""

    plan: Plan
    seconds: list[float]
    """Of building, storm, resolving, comparing."""
    kills: int
    payments: int
    faults: Counter[str]
    skipped: list[str]
    """What this machine would not let us do, and why."""
    answers: Counter[str]
    unanswered: int
    two_payments: int
    ended: Counter[str]
    """Programs that ended by themselves."""
    verdict: books.Verdict
    webhooks_due: int
    webhooks_missing: int
    webhooks_mixed: int
    """Events that came under several ids, or ids that came with several events."""
    spooled: int
    """Callbacks that are still on the disk, not settled."""
    counts: ours.Counts
    check_clean: bool
    check_said: str

    @property
    def failures(self) -> list[str]:
        """What does not hold, in words."""
        verdict = self.verdict
        wrong = {
            "successes that are missing here": len(verdict.missing),
            "successes that are not in the ledger": len(verdict.invented),
            "successes with another amount": len(verdict.other_amount),
            "doubled": verdict.doubled + self.two_payments,
            "taken for a payer's own": len(verdict.unprompted),
            "grants missing": len(verdict.grants_missing),
            "grants without a success": len(verdict.grants_invented),
            "webhooks missing": self.webhooks_missing,
            "events under several ids": self.webhooks_mixed,
            "callbacks left in the spool": self.spooled,
            "programs that ended by themselves": self.ended.total(),
            "requests without an answer": self.unanswered,
            "kills too few": max(0, self.plan.kills - self.kills),
            "payments too few": max(0, self.plan.payments - self.payments),
            "complaints of milango check": not self.check_clean,
        }
        return [f"{what}: {int(number):,}" for what, number in wrong.items() if number]

    def figures(self) -> dict[str, Any]:
        """For the JSON."""
        verdict = self.verdict
        return {
            "kills": self.kills,
            "payments": self.payments,
            "successes_here": verdict.successes_here,
            "successes_there": verdict.successes_there,
            "equal": verdict.equal,
            "doubled": verdict.doubled + self.two_payments,
            "missing": len(verdict.missing),
            "invented": len(verdict.invented),
            "other_amount": len(verdict.other_amount),
            "unprompted": len(verdict.unprompted),
            "without_receipt": len(verdict.without_receipt),
            "pending": self.counts.pending,
            "grants_wrong": len(verdict.grants_missing) + len(verdict.grants_invented),
            "webhooks_due": self.webhooks_due,
            "webhooks_missing": self.webhooks_missing,
            "webhooks_mixed": self.webhooks_mixed,
            "spooled": self.spooled,
            "ended_by_themselves": dict(self.ended),
            "check_clean": self.check_clean,
            "faults": dict(self.faults),
            "skipped": self.skipped,
            "answers": dict(self.answers),
            "missing_stories": verdict.stories_missing,
            "failures": self.failures,
            "seed": self.plan.seed,
            "database": self.plan.database,
            "seconds": round(sum(self.seconds), 1),
            "phases": self.seconds,
        }


async def storm(plan: Plan, progress: Progress, folder: Path = FOLDER) -> Report:
    """Make one. Raises RuntimeError when it cannot even be built."""
    Disk.forget(folder / "disk")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with AsyncExitStack() as stack:
        stage = await _build(plan, progress, folder, stack)
        await _rage(plan, progress, stage)
        progress.begin("the storm is over; Milango resolves what is left")
        await _settle(plan, progress, stage)
        progress.begin("comparing the books")
        return await _compare(plan, progress, stage)


@dataclass
class _Stage:
    folder: Path
    database: Database
    house: House
    programs: list[Program]
    simulator: Simulator
    session: aiohttp.ClientSession
    payers: Payers
    weather: Weather
    receiver: Receiver
    env: dict[str, str]

    @property
    def spool(self) -> Path:
        return self.folder / "spool"


def _open(plan: Plan, folder: Path) -> Database:
    return KINDS[plan.database](folder)


async def _build(plan: Plan, progress: Progress, folder: Path, stack: AsyncExitStack) -> _Stage:
    database = await asyncio.to_thread(lambda: _open(plan, folder))
    stack.push_async_callback(database.stop)
    await database.start()
    web, daraja, hooks, line = (free_port() for _ in range(4))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in (("web", web), ("daraja", daraja))}
    env = {
        "DJANGO_SETTINGS_MODULE": "storm.settings",
        "STORM_DATABASE": database.url(),
        "STORM_DARAJA": urls["daraja"],
        "STORM_URL": urls["web"],
        "STORM_SPOOL": str(folder / "spool"),
        "STORM_PROMPT_LIFE": str(plan.prompt_life),
    }
    shops, apps = await asyncio.to_thread(_move_in, env, f"http://127.0.0.1:{hooks}")
    receiver = Receiver(plan.seed)
    await receiver.open(hooks)
    stack.push_async_callback(receiver.close)
    time_out = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0, force_close=False)
    session = aiohttp.ClientSession(timeout=time_out, connector=connector)
    await stack.enter_async_context(session)
    house, programs = _house(database, env, folder, web, line, daraja)
    for program in programs:
        program.start()
        stack.push_async_callback(program.stop)
    await _until_answers(session, f"{urls['daraja']}/healthz")
    await _until_answers(session, urls["web"])
    simulator = Simulator(urls["daraja"], session)
    await simulator.set_the_stage(plan.seed, plan.time_scale, apps)
    await asyncio.to_thread(town.open_all_sources, await simulator.certificate())
    payers = Payers(urls["web"], shops, plan.seed, plan.rate)
    weather = Weather(house, plan.seed, plan.gap, progress.say)
    progress.payers, progress.weather, progress.receiver = payers, weather, receiver
    return _Stage(
        *(folder, database, house, programs, simulator, session, payers, weather, receiver, env)
    )


def _move_in(env: dict[str, str], hooks: str) -> tuple[list[Any], list[dict[str, Any]]]:
    import os

    os.environ.update(env)
    ours.set_up()
    ours.migrate()
    return town.settle_down(hooks)


def _house(
    database: Database, env: dict[str, str], folder: Path, web: int, line: int, daraja: int
) -> tuple[House, list[Program]]:
    """Milango as in production: web processes and workers. The line to the database breaks."""
    clock_file = clock.make(folder / "clock")

    def program(name: str, words: list[str], **more: str) -> Program:
        return Program(name, words, env | more, folder / f"{name}.log")

    simulator = program("simulator", ["milango.simulator", "--port", str(daraja)])
    breaking = (
        program("line", ["storm.proxy", str(line), database.socket]) if database.socket else None
    )
    serve = ["milango.server", "serve", "--port", str(web), "--workers", "2", "--no-background"]
    over = database.url(line if breaking else 0)
    server = program("web", serve, STORM_DATABASE=over)
    workers = [
        program("worker-1", ["milango.server", "worker"], STORM_CLOCK=str(clock_file)),
        program("worker-2", ["milango.server", "worker"], STORM_DATABASE=over),
    ]
    programs = [simulator, *([breaking] if breaking else []), server, *workers]
    return House(database, server, workers, breaking, clock_file), programs


async def _until_answers(session: aiohttp.ClientSession, url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            async with session.get(url):
                return
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.1)
    raise RuntimeError(f"nothing answers at {url}; see {FOLDER}/*.log")


# --- the storm --------------------------------------------------------------------------------


async def _rage(plan: Plan, progress: Progress, stage: _Stage) -> None:
    progress.begin("storm")
    payers, weather = stage.payers, stage.weather
    raging = asyncio.create_task(weather.rage())
    watching = asyncio.create_task(_watch(progress))
    filling = asyncio.create_task(_fill_the_disk(plan, stage))
    try:
        await payers.ask(plan.payments, stage.session, lambda: weather.kills < plan.kills)
        await filling
    finally:
        for task in (raging, filling, watching):
            task.cancel()
        results = await asyncio.gather(raging, filling, watching, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    await weather.clear()


async def _fill_the_disk(plan: Plan, stage: _Stage) -> None:
    while len(stage.payers.asked) < plan.payments * DISK_FULL_AT:
        await asyncio.sleep(0.2)
    await stage.weather.fill_the_disk()


async def _watch(progress: Progress) -> None:
    while True:
        await _look(progress)
        await asyncio.sleep(2)


async def _look(progress: Progress) -> bool:
    """Count again; False while the database is away."""
    from django.db import Error

    try:
        progress.counts = await asyncio.to_thread(ours.counts)
    except (Error, OSError):
        return False
    return True


# --- afterwards -------------------------------------------------------------------------------

PACE: Final = 3.0
"""Seconds between two looks while everything is resolved."""


async def _settle(plan: Plan, progress: Progress, stage: _Stage) -> None:
    """Wait until nothing changes any more although everything is asked, or the time is over.

    A payment whose prompt nobody can tell about stays Pending, and is asked about for days; so
    the end is where nothing moves, not where nothing is due. Pull fails now and then, and on a
    busy machine comes late: before every short code was pulled whole, nothing was asked.
    """
    await stage.payers.wait(60)
    await stage.simulator.quiet(60)
    deadline = time.monotonic() + plan.reconcile
    before, changed_at = None, time.monotonic()
    while time.monotonic() < deadline:
        if await _look(progress):
            counts = progress.counts
            now = (counts.payments, counts.succeeded, counts.deliveries, _spooled(stage.spool))
            if now != before:
                before, changed_at = now, time.monotonic()
            still = time.monotonic() - changed_at
            if still > plan.still and not any(now[2:]) and await _pulled_within(still):
                return
        await asyncio.to_thread(ours.hurry)
        await asyncio.sleep(PACE)


async def _pulled_within(seconds: float) -> bool:
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    return await asyncio.to_thread(ours.pulled_since, began)


def _spooled(folder: Path) -> int:
    """Callbacks that lie on the disk, settled or not yet removed."""
    files = folder.glob("*.spool") if folder.exists() else ()
    return sum(file.read_bytes().count(b"\n") for file in files)


async def _compare(plan: Plan, progress: Progress, stage: _Stage) -> Report:
    await _look(progress)
    ledger = await stage.simulator.ledger()
    payments = await asyncio.to_thread(lambda: list(ours.payments()))
    due = await asyncio.to_thread(lambda: list(ours.due_webhooks()))
    receiver, payers = stage.receiver, stage.payers
    missing, mixed = books.unheard(due, receiver.heard, receiver.event_ids)
    clean, said = await asyncio.to_thread(_check, stage.env)
    disk = stage.database.disk
    skipped = [f"the disk was never full: {disk.missing}"] if disk.missing else []
    return Report(
        plan=plan,
        seconds=progress.spent,
        kills=stage.weather.kills,
        payments=len(payers.asked),
        faults=stage.weather.done,
        skipped=skipped,
        answers=payers.answers,
        unanswered=sum(not asked.payment and asked.status != 422 for asked in payers.asked),
        two_payments=payers.two_payments,
        ended=sum((program.ended for program in stage.programs), Counter()),
        verdict=books.compare(ledger, payments),
        webhooks_due=len(due),
        webhooks_missing=missing,
        webhooks_mixed=mixed,
        spooled=_spooled(stage.spool),
        counts=progress.counts,
        check_clean=clean,
        check_said=said,
    )


def _check(env: dict[str, str]) -> tuple[bool, str]:
    import os

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "milango.server", "check"],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr
