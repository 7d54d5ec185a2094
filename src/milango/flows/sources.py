"""Which sources of evidence a short code does without, and what that may cost."""

from __future__ import annotations

from collections.abc import Iterator

from milango.models import AuditEntry, MpesaCredential

from .questions import may_ask


def gaps() -> Iterator[str]:
    """A sentence for each source that could tell of lost payments and cannot; for production."""
    rows = MpesaCredential.objects.filter(environment="production", active=True)
    told = set(AuditEntry.objects.filter(action="c2b.registered").values_list("subject", flat=True))
    for credential in rows.select_related("merchant", "state").order_by("id"):
        of = f"{credential} of {credential.merchant.public_id}"
        if not credential.pull and credential.public_id not in told:
            yield (
                f"{of}: neither C2B nor Pull is on. If a callback is lost and the query is wrong "
                "or silent, a payment stays Failed or Pending though it was paid. Run: milango "
                "shortcodes register-urls, and milango shortcodes pull."
            )
        if credential.can_ask_by_receipt and not may_ask(credential):
            yield (
                f"{of}: Daraja refused the API operator, so Transaction Status is not asked. Mend "
                "it in the M-Pesa portal, then run: milango shortcodes initiator."
            )
        state = getattr(credential, "state", None)
        if credential.pull and state and state.pull_problem:
            yield f"{of}: the last Pull went wrong, and is tried again: {state.pull_problem}"
