"""Finding what a person named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from milango.models import Merchant


def merchant_named(text: str) -> Merchant:
    """The merchant with this name or id (`mer_…`). Raises click.BadParameter."""
    from milango.models import Merchant
    from milango.models.ids import parse_public_id

    found = Merchant.objects.filter(name__iexact=text.strip()).first()
    if found is None and (known := parse_public_id(text.strip(), "mer")):
        found = Merchant.objects.filter(pk=known).first()
    if found is None:
        names = ", ".join(Merchant.objects.order_by("name").values_list("name", flat=True)[:20])
        hint = f"There are: {names}." if names else "Add one with: milango merchants add NAME"
        raise click.BadParameter(f"there is no merchant {text!r}. {hint}", param_hint="--merchant")
    return found


merchant_option = click.option(
    "--merchant", "merchant", required=True, metavar="NAME", help="The merchant's name or mer_ id."
)
