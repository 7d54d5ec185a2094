"""`milango serve`: the ready server, in production."""

from __future__ import annotations

import click

from milango.api.cli.lazy import with_django


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="A proxy with TLS is in front."
)
@click.option("--port", default=8100, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."
)
@click.option(
    "--background/--no-background",
    default=None,
    help="Do the background work in this process too. Default: on SQLite only.",
)
@with_django
def serve(host: str, port: int, workers: int, background: bool | None) -> None:
    """Serve the API, the callbacks and the admin.

    Settings come from the environment (docs/production.md). Refuses to start without an https
    MILANGO_PUBLIC_URL and on a database that is not migrated.
    """
    _check_settings()
    _check_tables()
    if workers > 1:
        _serve_many(host, port, workers, background)
    else:
        _serve_one(host, port, background)


def _check_settings() -> None:
    from django.core import checks

    wrong = [str(message) for message in checks.run_checks() if message.is_serious()]
    if wrong:
        raise click.ClickException("\n".join(["These settings cannot be served with:", *wrong]))


def _check_tables() -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise click.ClickException("The database is not up to date. Run: milango migrate")
    connection.close()


def _serve_many(host: str, port: int, workers: int, background: bool | None) -> None:
    from . import many, run

    if background:
        message = "With several processes, run the background work beside them: milango worker"
        raise click.UsageError(message)
    with run.bind(host, port, shared=True, listen=False):
        click.echo(f"Serving on http://{host}:{port}. Ctrl-C ends it.", err=True)
        command = ["serve", "--host", host, "--port", str(port), "--no-background"]
        many.run(command, workers, grace=run.GRACE + 5)


def _serve_one(host: str, port: int, background: bool | None) -> None:
    from django.db import connection

    from milango import tasks

    from . import many, run
    from .asgi import application

    if many.is_worker():
        many.end_with_parent()
    listener = run.bind(host, port, shared=many.is_worker())
    embedded = connection.vendor == "sqlite" if background is None else background
    thread, stop = tasks.start() if embedded else (None, None)

    async def ready() -> None:
        if many.is_worker():
            return
        click.echo(f"Serving on http://{host}:{port}. Ctrl-C ends it.", err=True)

    try:
        run.run([run.site(application, listener, lifespan=True)], ready=ready)
    finally:
        if thread and stop:
            stop.set()
            thread.join(5)
    if thread:
        tasks.leave()
    run.leave()
