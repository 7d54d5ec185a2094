"""Callbacks that the database could not take: kept encrypted on the local disk, told later.

Safaricom sends a callback once, of whatever kind. A refusal with 503 is honest and loses the
bytes; so they are also written here, and synced, before the 503 goes out, and settled as soon as
the database is back. Settling one twice only counts it.

Each process writes files of its own, a sealed callback on a line, and holds a lock on each for as
long as it lives: a file that can be locked has no owner any more, and belongs to whoever finds it.
A file that is being told is never written to, and goes only once all of it has been told.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID, uuid4

import msgspec

from milango import sealing
from milango.core.errors import Declined, SecretUnreadable
from milango.core.payments import Original
from milango.flows import hours
from milango.flows.batches import Verb
from milango.flows.kinds import KINDS

from .inbox import Inbox

logger = logging.getLogger(__name__)

BOND: Final = "milango.spool"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes in the folder; what comes then is refused without being kept. Half is for listed peers."""

AGAIN: Final = 2.0
"""Seconds between two tries to tell what is kept."""

AT_ONCE: Final = 128
"""Callbacks that are told together."""

WAITING: Final = ".spool"
LEFT: Final = ".left"
"""Ends the name of a file of lines that could not be told at all: for a person."""


class Kept(msgspec.Struct, frozen=True):
    """One callback on the disk."""

    named_id: UUID = msgspec.field(name="payment_id")  # as it was called while there was one kind
    """What its address was made for: a payment, a credential or a question."""
    listed: bool
    original: Original
    kind: str = "stk"


class Spool:
    """One folder for the processes of one machine."""

    def __init__(self, folder: Path, inbox: Inbox) -> None:
        self._folder = folder
        self._inbox = inbox
        self._own: dict[Path, BinaryIO] = {}
        """Our files, open and so locked."""
        self._written_to: Path | None = None
        self._bodies: dict[tuple[str, UUID], set[str]] = {}
        """What each address has brought since everything was told."""
        self._pending: list[Kept] = []
        self._turn = asyncio.Lock()
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._telling = asyncio.create_task(self._tell_again_and_again())

    async def close(self) -> None:
        """Leave what is there to the next start."""
        self._telling.cancel()
        with suppress(asyncio.CancelledError):
            await self._telling
        for file in self._own.values():
            file.close()

    # --- keep -------------------------------------------------------------------------------

    async def keep(self, callback: Kept) -> None:
        """Write the callback down, synced. A full or broken disk is logged, and changes nothing.

        What comes while the disk works is written together afterwards.
        """
        if not self._has_room(callback):
            return
        self._pending.append(callback)
        async with self._turn:
            mine, self._pending = self._pending, []
            if mine:
                await asyncio.shield(asyncio.to_thread(self._write_or_tell, mine))

    def _has_room(self, callback: Kept) -> bool:
        """A body is kept once, and of strangers only a few for each address."""
        bodies = self._bodies.setdefault((callback.kind, callback.named_id), set())
        is_full = len(bodies) >= KINDS[callback.kind].strangers and not callback.listed
        if callback.original.sha256 in bodies or is_full:
            return False
        bodies.add(callback.original.sha256)
        return True

    def _write_or_tell(self, callbacks: Sequence[Kept]) -> None:
        try:
            self._write(callbacks)
        except OSError as error:
            logger.error("callbacks could not be spooled: %s", type(error).__name__)

    def _write(self, callbacks: Sequence[Kept]) -> None:
        with self._lock:
            used = sum(file.stat().st_size for file in self._folder.glob(f"*{WAITING}"))
            lines = []
            for item in callbacks:
                line = _sealed(item)
                if used + len(line) > (LARGEST if item.listed else LARGEST // 2):
                    logger.error("a callback could not be spooled: the spool is full")
                    continue
                used += len(line)
                lines.append(line)
            if lines:
                _append(self._file(), b"".join(lines))

    def _file(self) -> BinaryIO:
        """The file to write to. Called with the lock held."""
        if self._written_to is None:
            # Names in the order of time: the oldest is told first. This machine's clock will do:
            # nobody else writes here, and no time is read from a name.
            path = self._folder / f"{time.time_ns():020}-{uuid4().hex}{WAITING}"
            file = path.with_suffix(".new").open("xb", buffering=0)
            # Locked before it has a name that others look for: they would take it for ownerless.
            fcntl.flock(file, fcntl.LOCK_EX)
            path.with_suffix(".new").rename(path)
            _sync_folder(self._folder)
            self._own[path] = file
            self._written_to = path
        return self._own[self._written_to]

    # --- tell -------------------------------------------------------------------------------

    async def _tell_again_and_again(self) -> None:
        while True:
            try:
                await self._tell_all()
            except Exception as error:
                logger.error("the spool cannot be told: %s", type(error).__name__)
            await asyncio.sleep(AGAIN)

    async def _tell_all(self) -> None:
        """Settle what is kept, the oldest first, until there is no more or the database is away."""
        for path in await asyncio.to_thread(lambda: sorted(self._folder.glob(f"*{WAITING}"))):
            if not await asyncio.to_thread(self._take, path):
                continue
            if not await self._tell(path):
                return
            self._own.pop(path).close()
        self._bodies.clear()

    def _take(self, path: Path) -> bool:
        """Have the file for ourselves, and write no more to it. False: it is another process's."""
        with self._lock:
            if path not in self._own:
                file = _taken_over(path)
                if file is None:
                    return False
                self._own[path] = file
            if path == self._written_to:
                self._written_to = None
            return True

    async def _tell(self, path: Path) -> bool:
        """Settle what the file holds, and remove it. False: the database is away."""
        left: list[bytes] = []
        lines = await asyncio.to_thread(_lines, path)
        for start in range(0, len(lines), AT_ONCE):
            some = lines[start : start + AT_ONCE]
            told = await self._tell_some(some)
            if None in told:
                return False
            left += [line for line, done in zip(some, told, strict=True) if not done]
        await asyncio.to_thread(_finish, path, left)
        logger.warning("callbacks from the spool were settled")
        return True

    async def _tell_some(self, lines: Sequence[bytes]) -> list[bool | None]:
        """Of each whether it is told for good; None: the database is away."""
        read = await asyncio.to_thread(lambda: [_read(line) for line in lines])
        return await asyncio.gather(*map(self._tell_one, read))

    async def _tell_one(self, read: tuple[Verb, Any] | None) -> bool | None:
        if read is None:
            return False
        try:
            await self._inbox.submit(*read)
        except Exception as error:
            if isinstance(error, Declined) and error.code == "database_unavailable":
                return None
            logger.error("a callback of the spool is left over: %s", type(error).__name__)
            return False
        return True


def _sealed(callback: Kept) -> bytes:
    return sealing.seal(msgspec.json.encode(callback).decode(), BOND).encode() + b"\n"


def _read(line: bytes) -> tuple[Verb, Any] | None:
    """What is to be done, and with what. None: cut off by a crash, sealed with a key that is not
    there, or of a kind that only a later release knows."""
    try:
        kept = msgspec.json.decode(sealing.unseal(line.decode(), BOND), type=Kept)
        kind = KINDS[kept.kind]
    except (SecretUnreadable, ValueError, KeyError) as error:
        logger.error("a line of the spool cannot be read: %s", type(error).__name__)
        return None
    return kind.verb, kind.read(kept.named_id, kept.original, kept.listed, hours.now())


def _append(file: BinaryIO, lines: bytes) -> None:
    """All of the lines, synced, or none of them."""
    before = file.tell()
    try:
        if file.write(lines) != len(lines):
            raise OSError("the disk is full")
        os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            file.truncate(before)
            file.seek(before)
        raise


def _taken_over(path: Path) -> BinaryIO | None:
    """The file, if whoever wrote it is no more."""
    try:
        file = path.open("rb", buffering=0)
    except OSError:
        return None  # told by another process in this moment
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _lines(path: Path) -> Sequence[bytes]:
    with suppress(FileNotFoundError):
        return path.read_bytes().splitlines()
    return ()


def _finish(path: Path, left: Sequence[bytes]) -> None:
    """The file is told. What nobody could read, or what was refused, is kept for a person."""
    if left:
        with path.with_suffix(LEFT).open("wb") as file:
            file.write(b"\n".join([*left, b""]))
            file.flush()
            os.fsync(file.fileno())
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def opened(folder: str, inbox: Inbox) -> Spool | None:
    """The spool, or None where no folder is set."""
    return Spool(Path(folder), inbox) if folder else None
