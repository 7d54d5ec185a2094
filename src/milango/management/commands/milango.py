"""`manage.py milango …`: the commands of `milango`, inside another Django project."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand

from milango.api.cli import new_group


class Command(BaseCommand):
    """Hands everything after `milango` to the same command line."""

    help = "Merchants, credentials, keys, prompts and checks: try `manage.py milango --help`."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        """Leave the arguments alone: click reads them."""
        new_group().main(args=argv[2:], prog_name=f"{argv[0]} {argv[1]}")
        sys.exit(0)

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("arguments", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        """`call_command("milango", "check")`: raises click's exceptions instead of exiting."""
        new_group().main(args=options["arguments"], standalone_mode=False)
