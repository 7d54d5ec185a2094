"""What every test counts on: tables as migrations make them, and none of another test's rows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor

from milango.models import Merchant, Payment
from tests import databases
from tests.flows.conftest import make_payment
from tests.people import make_credential, make_merchant


@pytest.fixture
def rows(transactional_db: None) -> None:
    make_payment(make_credential(make_merchant("Duka")))
    User.objects.create_user("clerk").user_permissions.set(Permission.objects.all())


def full() -> set[str]:
    """The tables that have any rows."""
    tables = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    return {name for name, model in tables.items() if model._base_manager.exists()}


def test_after_a_test_only_what_a_migration_put_there_is_left(rows: None) -> None:
    assert full() > databases.KEPT
    permissions = set(Permission.objects.values_list("pk", flat=True))
    databases.empty()
    assert full() == databases.KEPT
    assert set(Permission.objects.values_list("pk", flat=True)) == permissions


def test_emptied_tables_still_refuse_what_refers_to_nothing(rows: None) -> None:
    stray = Payment.objects.get()
    databases.empty()
    with pytest.raises(IntegrityError):
        stray.save(force_insert=True)


def test_a_row_that_another_thread_is_about_to_commit_goes_too(rows: None) -> None:
    written, at_most = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            Merchant.objects.create(name="Late")
            written.set()
            at_most.wait(0.3)
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(10)
    databases.empty()
    writer.join()
    assert not Merchant.objects.exists()


@pytest.mark.django_db
def test_every_migration_has_been_applied() -> None:
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []


def test_what_is_needed_once_in_a_run_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(databases.FOLDER, str(tmp_path))
    made: list[Any] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "it").write_text("is made")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("of it")
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any would do
        databases.once("thing", fail)
    threads = [threading.Thread(target=databases.once, args=["thing", make]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [path.name for path in databases.once("thing", make).iterdir()] == ["it"]
