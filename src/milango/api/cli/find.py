"""Finding what a person named on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from milango.models import Merchant, MpesaCredential

    M = TypeVar("M", bound=Model)


def row_named(rows: QuerySet[M], text: str, argument: str, hint: str = "") -> M:
    """The row with this public id (`whe_…`, `dbt_…`). Raises click.BadParameter, with the hint."""
    from milango.models.ids import with_public_id

    found = with_public_id(rows, text)
    if found is None:
        what = rows.model._meta.verbose_name
        raise click.BadParameter(
            f"there is no {what} {text!r}. {hint}".rstrip(), param_hint=argument
        )
    return found


def merchant_named(text: str) -> Merchant:
    """The merchant with this name or id (`mer_…`). Raises click.BadParameter."""
    from milango.models import Merchant
    from milango.models.ids import with_public_id

    found = Merchant.objects.filter(name__iexact=text.strip()).first()
    found = found or with_public_id(Merchant.objects.all(), text)
    if found is None:
        names = ", ".join(Merchant.objects.order_by("name").values_list("name", flat=True)[:20])
        hint = f"There are: {names}." if names else "Add one with: milango merchants add NAME"
        raise click.BadParameter(f"there is no merchant {text!r}. {hint}", param_hint="--merchant")
    return found


merchant_option = click.option(
    "--merchant", "merchant", required=True, metavar="NAME", help="The merchant's name or mer_ id."
)


def credential_named(merchant: str, shortcode: str, environment: str) -> MpesaCredential:
    """The merchant's short code. Raises click.BadParameter when there is none, or several."""
    owner = merchant_named(merchant)
    rows = owner.credentials.filter(short_code=shortcode.strip())
    found = list(rows.filter(environment=environment) if environment else rows)
    if len(found) == 1:
        return found[0]
    if found:
        problem = "several environments have it; say --environment."
    else:
        theirs = ", ".join(str(each) for each in owner.credentials.order_by("short_code")[:20])
        problem = f"{owner.name} does not have it. It has: {theirs or 'none'}."
    raise click.BadParameter(f"{shortcode!r}: {problem}", param_hint="--shortcode")


def shortcode_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--merchant`, `--shortcode` and `--environment`."""
    for option in (
        click.option("--environment", default="", help="Where one short code has several."),
        click.option("--shortcode", required=True, metavar="NUMBER", help="The paybill or till."),
        merchant_option,
    ):
        command = option(command)
    return command
