"""The demo's folder: its database, its keys and its API keys. For its owner only."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

DATABASE: Final = "demo.sqlite3"
INSTALLATION: Final = "installation.json"
API_KEYS: Final = "keys.json"
LOCK: Final = "lock"

FILES: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", INSTALLATION, API_KEYS)


class Home:
    """A folder of mode 0700 with files of mode 0600."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def database(self) -> Path:
        return self.folder / DATABASE

    def make(self) -> None:
        """Make the folder. Raises click.ClickException when that cannot be."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            message = f"The demo's folder {self.folder} cannot be used ({error.strerror})."
            raise click.ClickException(message) from None

    def clear(self) -> None:
        """Forget everything. Only the demo's own files go, whatever else the folder holds."""
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One demo at a time. Raises click.ClickException when another one has the folder."""
        with self._open(LOCK) as file:
            _lock(file, self.folder)
            yield

    def installation(self) -> dict[str, Any]:
        """Ports and keys of this demo; {} before its first run."""
        return self._read(INSTALLATION)

    def settle_in(self, port: int, simulator_port: int) -> None:
        """Note the ports of this run. The first run makes the installation's keys as well."""
        from milango import sealing

        known = self.installation() or {
            "keys": [sealing.generate_key("01")],
            "secret_key": secrets.token_urlsafe(48),
            "admin_password": secrets.token_urlsafe(12),
        }
        # One that is kept: the short codes keep the certificate, and the simulator keeps nothing.
        known = {"simulator_key": known.get("simulator_key") or _rsa_key()} | known
        self._write(INSTALLATION, known | {"port": port, "simulator_port": simulator_port})

    def api_keys(self) -> dict[str, dict[str, str]]:
        """The API keys by merchant's name: the database has only their hashes."""
        return self._read(API_KEYS)

    def keep_api_keys(self, keys: dict[str, dict[str, str]]) -> None:
        self._write(API_KEYS, keys)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / name).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            message = f"{self.folder / name} cannot be read. Start over with: milango demo --fresh"
            raise click.ClickException(message) from None
        return found if isinstance(found, dict) else {}

    def _write(self, name: str, content: dict[str, Any]) -> None:
        # Beside it first: a full disk must not leave half of the keys.
        with self._open(f"{name}.new") as file:
            os.ftruncate(file.fileno(), 0)
            file.write(json.dumps(content, indent=2) + "\n")
        (self.folder / f"{name}.new").replace(self.folder / name)

    def _open(self, name: str) -> Any:
        number = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(number, 0o600)
        return os.fdopen(number, "r+", encoding="utf-8")


def _rsa_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()


def _lock(file: Any, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two demos in one folder are then the user's own care
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        message = f"Another demo is running on {folder}. Stop it, or use --data with another."
        raise click.ClickException(message) from None
