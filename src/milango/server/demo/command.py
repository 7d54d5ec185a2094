"""The command `milango demo`."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from .home import Home

T = TypeVar("T")

HOST: Final = "127.0.0.1"
PORT: Final = click.IntRange(1, 65535)


@click.command()
@click.option("--port", default=8100, show_default=True, type=PORT, help="Of the page and the API.")
@click.option("--simulator-port", default=8200, show_default=True, type=PORT)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready.")
@click.option("--fresh", is_flag=True, help="Forget earlier payments, merchants and keys.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".milango", "demo"),
    show_default=True,
    help="Where the demo keeps its data.",
)
def demo(port: int, simulator_port: int, as_json: bool, fresh: bool, data: Path) -> None:
    """Run a gateway, a simulated M-Pesa and a page to pay on.

    One process on this machine alone, with an embedded database and two merchants. No money
    moves, and nothing reaches Safaricom. A second run keeps the data. Ctrl-C ends everything.
    """
    from milango.server import run

    if port == simulator_port:
        raise click.UsageError("--port and --simulator-port must differ.")
    os.umask(0o077)
    listeners = [run.bind(HOST, port), run.bind(HOST, simulator_port)]
    home = Home(data)
    home.make()
    with home.locked():
        if fresh:
            home.clear()
        merchants = _prepare(home, port, simulator_port)
        ready = {
            "base_url": f"http://{HOST}:{port}",
            "simulator_url": f"http://{HOST}:{simulator_port}",
            "merchants": merchants,
        }
        _run(listeners, ready, home.installation(), as_json=as_json)
    run.leave()


def _prepare(home: Home, port: int, simulator_port: int) -> list[dict[str, str]]:
    """Database, merchants and keys: made the first time, kept afterwards."""
    home.settle_in(port, simulator_port)
    os.environ["DJANGO_SETTINGS_MODULE"] = "milango.server.demo.settings"
    os.environ["MILANGO_DEMO_DATA"] = str(home.folder)
    import django

    django.setup()
    from django.core.management import call_command

    from .seed import seed

    call_command("migrate", interactive=False, verbosity=0)
    return seed(home, port)


def _run(
    listeners: list[Any], ready: dict[str, Any], installed: dict[str, Any], *, as_json: bool
) -> None:
    from milango import tasks
    from milango.server import run
    from milango.server.asgi import application

    # By name: nothing of ours imports the simulator, so that it cannot share our mistakes.
    # Paying the same amount twice is what people do in a demo; in life result 17 would stop them.
    simulator = import_module("milango.simulator.app").create_app(
        key=installed["simulator_key"], duplicate_window_s=0
    )
    sites = [
        run.site(application, listeners[0], grace=1, lifespan=True),
        run.site(simulator, listeners[1], grace=1, lifespan=True),
    ]
    at_work: list[tuple[threading.Thread, threading.Event]] = []

    async def announce() -> None:
        await _go_live(ready["simulator_url"])
        # Only now: the simulator has to know whom the worker asks for.
        at_work.append(tasks.start())
        if as_json:
            click.echo(json.dumps(ready))
        else:
            _print(ready, installed["admin_password"])

    try:
        run.run(sites, ready=announce)
    finally:
        for thread, stop in at_work:
            stop.set()
            thread.join(1)


async def _go_live(simulator_url: str) -> None:
    """Go through what a merchant goes through at Safaricom: tell the simulator which Daraja apps
    there are, take an API operator's certificate home, register C2B and Pull."""
    import aiohttp

    from .seed import connect, daraja_apps, equip

    async with aiohttp.ClientSession(simulator_url, raise_for_status=True) as session:
        async with session.get("/control/certificate") as answer:
            certificate = await answer.text()
        await _in_thread(lambda: equip(certificate))
        for app in await _in_thread(daraja_apps):
            async with session.post("/control/apps", json=app):
                pass
        await _in_thread(connect)


async def _in_thread(work: Callable[[], T]) -> T:
    """The simulator answers from this loop, so that whoever asks it must wait elsewhere."""
    from django.db import connections

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def _print(ready: dict[str, Any], password: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print()
    console.print("[bold green]Milango is ready.[/] No money moves, nothing leaves this machine.\n")
    places = Table.grid(padding=(0, 2))
    places.add_row("  Pay here", f"[bold]{ready['base_url']}[/]")
    places.add_row("  The payer's phone", f"[bold]{ready['simulator_url']}/handset[/]  (PIN 1234)")
    places.add_row("  Admin", f"[bold]{ready['base_url']}/admin/[/]  (demo, {password})")
    console.print(places)
    for merchant in ready["merchants"]:
        console.print(
            f"\n  [bold]{merchant['name']}[/], {merchant['kind']} {merchant['shortcode']}"
        )
        console.print(f"    {merchant['secret_key']}", soft_wrap=True, markup=False)
        console.print(f"    {merchant['publishable_key']}", soft_wrap=True, markup=False)
    console.print("\n  Or from your server:\n")
    console.print(curl(ready), soft_wrap=True, markup=False)
    console.print("\n[dim]Ctrl-C ends everything; the data stay for the next time.[/]")


def curl(ready: dict[str, Any]) -> str:
    """A command that sends a prompt, to be pasted into a shell."""
    merchant = ready["merchants"][0]
    body = json.dumps(
        {"phone_number": "0712345678", "amount": 50, "shortcode": merchant["shortcode"]}
    )
    return (
        f"curl {ready['base_url']}/api/v1/stk-push \\\n"
        f"  -H 'Authorization: Bearer {merchant['secret_key']}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )
