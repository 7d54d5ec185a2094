"""The command line, one file per noun. `milango …` and `manage.py milango …` are the same commands.

Nothing here imports Django until a command runs: `milango --help` answers at once, and each
command's help can be read before anything is configured. That is why callbacks import what they
use themselves.
"""

from __future__ import annotations

from typing import Final

from .lazy import Command, LazyGroup

COMMANDS: Final = {
    "push": Command("milango.api.cli.push:push", "Send a prompt, and follow it to its end."),
    "payments": Command(
        "milango.api.cli.payments:payments", "Show a payment, or say how it ended."
    ),
    "merchants": Command("milango.api.cli.merchants:merchants", "Add and list merchants."),
    "credentials": Command(
        "milango.api.cli.credentials:credentials", "Add and list tills and paybills."
    ),
    "shortcodes": Command(
        "milango.api.cli.shortcodes:shortcodes", "Set up C2B, Pull and Transaction Status."
    ),
    "keys": Command("milango.api.cli.keys:keys", "Create, revoke and list API keys."),
    "webhooks": Command(
        "milango.api.cli.webhooks:webhooks", "Add and rotate webhook endpoints; deliver again."
    ),
    "listen": Command(
        "milango.api.cli.listen:listen", "Forward a merchant's events to your machine."
    ),
    "trigger": Command("milango.api.cli.listen:trigger", "Send a test event to the endpoints."),
    "reconcile": Command(
        "milango.api.cli.reconcile:reconcile", "Compare a statement of M-Pesa with the payments."
    ),
    "worker": Command("milango.api.cli.worker:worker", "Do the background work, until stopped."),
    "check": Command("milango.api.cli.check:check", "Prove that set-up and books are right."),
    "replay": Command("milango.api.cli.replay:replay", "Process stored callbacks again."),
    "doubts": Command("milango.api.cli.doubts:doubts", "List and resolve what needs a person."),
    "audit": Command("milango.api.cli.audit:audit", "Read and verify the trail of who did what."),
    "adopt": Command("milango.api.cli.installation:adopt", "Move this database to this address."),
    "new-key": Command("milango.api.cli.installation:new_key", "Make an encryption key."),
    "rotate-keys": Command(
        "milango.api.cli.installation:rotate_keys", "Seal all secrets with the newest key."
    ),
}


def new_group(more: dict[str, Command] | None = None) -> LazyGroup:
    """The group of all commands; `more` stands before them in the help."""
    text = "Milango, an M-Pesa gateway for many merchants."
    return LazyGroup("milango", table=(more or {}) | COMMANDS, help=text, no_args_is_help=True)
