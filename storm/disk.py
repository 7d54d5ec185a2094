"""A small disk of the storm's own, so that it can be full without hurting anybody."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOM: Final = "3g"
LEFT: Final = 256
"""Kilobytes that are free on the full disk: enough to begin a write, not to end it."""


class Disk:
    """A tmpfs under the database, where we may mount one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.missing = ""
        """Why there is none: then the folder is an ordinary one, and the disk is never full."""
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() != 0:
            self.missing = "mounting a small disk needs root"
        elif not self._mount(f"size={ROOM},mode=0755", "-t", "tmpfs", "storm"):
            self.missing = "mounting a small disk is not allowed here"

    @staticmethod
    def forget(folder: Path) -> None:
        """Unmount what a storm that was killed itself has left there."""
        if os.path.ismount(folder):
            subprocess.run(["umount", "--lazy", str(folder)], check=False)

    def fill(self) -> None:
        """Leave next to nothing free."""
        used = shutil.disk_usage(self.folder).used // 1024
        self._mount(f"remount,size={used + LEFT}k")

    def empty(self) -> None:
        """Give the room back."""
        self._mount(f"remount,size={ROOM}")

    def close(self) -> None:
        """Unmount it, with all that is on it."""
        if not self.missing:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def _mount(self, options: str, *words: str) -> bool:
        command = ["mount", *words, "-o", options, str(self.folder)]
        return not subprocess.run(command, capture_output=True, check=False).returncode
