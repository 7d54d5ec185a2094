"""Where settling keeps its rows: one store for each kind of database, the same verbs in both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib import import_module
from typing import Final, Protocol, cast
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from .rows import Changes, Payer, PaymentRow, ReceiptKey, RowOf, Table


class Store(Protocol):
    """Reads and writes of one batch, within the caller's transaction. Knows no policy.

    Every verb is a constant number of statements, whatever the size of the batch.
    """

    def open(self, payment_ids: Sequence[UUID]) -> list[PaymentRow]:
        """Lock the payments, by id."""

    def receipts(self, codes: Iterable[str]) -> dict[ReceiptKey, UUID | None]:
        """Who owns the receipts with these codes."""

    def used_checkout_ids(self, named: Iterable[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
        """Which of the (credential, CheckoutRequestID) are bound to a payment already."""

    def claim_receipts(self, rows: Sequence[RowOf]) -> dict[ReceiptKey, UUID | None]:
        """Insert receipts, take over those without a payment, and say who owns them now."""

    def claim_orders(
        self, orders: Sequence[tuple[UUID, str, UUID]]
    ) -> dict[tuple[UUID, str], UUID]:
        """Insert (merchant, order, payment), and say which payment settled each order."""

    def customers(self, wanted: Sequence[RowOf]) -> dict[Payer, UUID]:
        """Find, or make from (id, merchant, phone, now), the customers."""

    def insert(self, table: Table, rows: Sequence[RowOf]) -> None:
        """Insert rows."""

    def insert_new(self, table: Table, rows: Sequence[RowOf]) -> set[UUID]:
        """Insert what conflicts with nothing; returns the payments whose rows went in."""

    def end_prompts(self, phones: Sequence[tuple[UUID, str]], now: datetime) -> None:
        """Free these (credential, phone) of prompts whose life is over."""

    def write(self, changes: Changes) -> None:
        """Write everything that the batch changed."""


STORES: Final = {"postgresql": "store_postgres", "sqlite": "store_sqlite"}


def store() -> Store:
    """The store of the database in use.

    Raises ImproperlyConfigured for one that Milango does not know.
    """
    name = STORES.get(connection.vendor)
    if name is None:
        raise ImproperlyConfigured(
            f"Milango keeps money on PostgreSQL or SQLite, not on {connection.vendor}."
        )
    return cast(Store, import_module(f".{name}", __package__))
