"""A click group that imports a command when it is called, and says our errors in one sentence."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


class Command(NamedTuple):
    """Where a command lives (`module:attribute`), and what it is for."""

    at: str
    help: str


class LazyGroup(click.Group):
    """A group whose commands are a table of import strings."""

    def __init__(self, *args: Any, table: Mapping[str, Command], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name].at.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in self.table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            raise click.ClickException(sentence) from None


def explain(error: Exception) -> str | None:
    """What went wrong, for a person, where the person can mend it; None: it is a bug of ours."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError, InterfaceError

    from milango.core.errors import ImpossibleTransition, MilangoError

    if isinstance(error, ImproperlyConfigured):
        return str(error)
    if isinstance(error, MilangoError) and not isinstance(error, ImpossibleTransition):
        return str(error)
    if isinstance(error, DatabaseError | InterfaceError):
        first_line = str(error).strip().partition("\n")[0]
        hint = " Run: milango migrate" if _is_missing_table(first_line) else ""
        return f"The database cannot be used ({first_line}).{hint}"
    return None


def _is_missing_table(line: str) -> bool:
    return "no such table" in line or ("relation" in line and "does not exist" in line)


def with_django(command: Callable[P, R]) -> Callable[P, R]:
    """Load Django's apps before the command runs, unless `manage.py` has done so already."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        import django
        from django.apps import apps

        if not apps.ready:
            django.setup()
        return command(*args, **kwargs)

    return run


def actor() -> str:
    """Who is at the command line, for the audit trail and for the rule of two persons.

    The account that runs us, as the system says it: what the environment says (LOGNAME, USER) is
    anybody's to choose, and one person would be two.
    """
    import pwd  # Windows has none: there the simulator runs, and acts for nobody

    uid = _account()
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # a container's user may have no name
        return f"cli:uid:{uid}"


def _account() -> int:
    """The account's number; under sudo that of who called it. Only root's word for it is taken:
    root can be anybody anyway."""
    own, caller = os.getuid(), os.environ.get("SUDO_UID", "")
    return int(caller) if own == 0 and re.fullmatch("[0-9]{1,10}", caller) else own
