"""Callbacks that the database could not take: kept encrypted on the local disk, told later.

Safaricom sends an STK callback once. A refusal with 503 is honest and loses the bytes; so they are
also written here, and synced, before the 503 goes out, and settled as soon as the database is
back. Settling one twice only counts it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from milango import sealing
from milango.core.errors import Declined, SecretUnreadable
from milango.core.payments import Evidence, Original
from milango.flows import receive

from .inbox import Inbox

logger = logging.getLogger(__name__)

BOND: Final = "milango.spool"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of one process's file; what comes then is refused without being kept."""

AGAIN: Final = 2.0
"""Seconds between two tries to tell what is kept."""


class Kept(msgspec.Struct, frozen=True):
    """One callback on the disk."""

    payment_id: UUID
    listed: bool
    original: Original


class Spool:
    """One folder for the processes of one machine, a file for each."""

    def __init__(self, folder: Path, inbox: Inbox) -> None:
        self._folder = folder
        self._inbox = inbox
        self._file = folder / f"{uuid4().hex}.spool"
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._telling = asyncio.create_task(self._tell_again_and_again())

    async def keep(self, evidence: Evidence) -> None:
        """Write the callback down, synced. A full or broken disk is logged, and changes nothing."""
        if evidence.original is None:
            return
        kept = Kept(evidence.payment_id, evidence.listed, evidence.original)
        try:
            await asyncio.to_thread(self._write, msgspec.json.encode(kept).decode())
        except OSError as error:
            logger.error("a callback could not be spooled: %s", type(error).__name__)

    async def close(self) -> None:
        """Leave what is there to the next start."""
        self._telling.cancel()

    def _write(self, text: str) -> None:
        line = sealing.seal(text, BOND).encode() + b"\n"
        with self._lock, self._file.open("ab") as file:
            if file.tell() + len(line) > LARGEST:
                raise OSError("the spool is full")
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    async def _tell_again_and_again(self) -> None:
        while True:
            for file in await asyncio.to_thread(self._files):
                await self._tell(file)
            await asyncio.sleep(AGAIN)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.spool"))

    async def _tell(self, file: Path) -> None:
        """Settle what the file holds and remove it; while the database is away, leave it."""
        taken = file.with_suffix(f".telling-{uuid4().hex}")
        try:
            await asyncio.to_thread(file.rename, taken)
        except OSError:
            return  # another process has it
        try:
            for kept in await asyncio.to_thread(lambda: list(_read(taken))):
                await self._inbox.submit(receive.EVIDENCE, _evidence(kept))
        except BaseException as error:
            await asyncio.to_thread(taken.rename, file)
            if not isinstance(error, Declined):
                raise
            return
        await asyncio.to_thread(taken.unlink)
        logger.warning("callbacks from the spool were settled")


def _evidence(kept: Kept) -> Evidence:
    return receive.evidence_of(kept.payment_id, kept.original, listed=kept.listed)


def _read(file: Path) -> Iterator[Kept]:
    """What can be read; a line cut off by a crash, or sealed with a lost key, is told of."""
    for line in file.read_bytes().splitlines():
        try:
            yield msgspec.json.decode(sealing.unseal(line.decode(), BOND), type=Kept)
        except (SecretUnreadable, ValueError) as error:
            logger.error("a line of the spool cannot be read: %s", type(error).__name__)


def opened(folder: str, inbox: Inbox) -> Any:
    """The spool, or None where no folder is set."""
    return Spool(Path(folder), inbox) if folder else None
