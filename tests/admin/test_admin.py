"""The admin: everybody sees their own merchants only, secrets never, and money cannot be edited."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import formats, timezone

from milango.flows import audit, words
from milango.flows.settle import settle_many
from milango.models import (
    ApiKey,
    AuditEntry,
    Customer,
    Doubt,
    InboundCallback,
    Membership,
    Merchant,
    MpesaCredential,
    OperatorWord,
    Payment,
    Receipt,
    StatementImport,
    WebhookDelivery,
    WebhookEndpoint,
)
from milango.server import common
from tests.flows.conftest import accepted, make_payment, original, paid
from tests.flows.test_traces import told
from tests.people import make_credential, make_key, make_merchant, seen

pytestmark = pytest.mark.django_db

OURS: list[Any] = [model for model in site._registry if model._meta.app_label == "milango"]
SECRETS = ("consumer-key", "consumer-secret", "the-passkey", "webhook-secret")


def world(name: str, number: int) -> dict[Any, Any]:
    """A merchant with one row of everything, each bearing the merchant's own name."""
    merchant = make_merchant(name)
    credential = make_credential(
        merchant,
        short_code=str(number),
        consumer_key=f"consumer-key-{name}",
        consumer_secret=f"consumer-secret-{name}",
        passkey=f"the-passkey-{name}",
    )
    endpoint = WebhookEndpoint.objects.create(
        merchant=merchant, url=f"https://{name}.example/hook", secret=f"webhook-secret-{name}"
    )
    payment = make_payment(
        credential,
        account_reference=name,
        service_type="captive_portal",
        phone=f"254700{number}",
    )
    callback = paid(payment, f"RCPT{name}".upper(), original=original(payment, name.encode()))
    settle_many([accepted(payment), callback])
    Doubt.objects.create(
        merchant=merchant,
        payment=payment,
        kind="refund_due",
        amount=50,
        owner=name,
        raised_at=timezone.now(),
    )
    key, _ = make_key(merchant, name=name)
    audit.record(name, "test.entry", name, merchant=merchant)
    return {"merchant": merchant, "payment": payment, "credential": credential, "key": key} | {
        "endpoint": endpoint
    }


@pytest.fixture
def mine() -> dict[Any, Any]:
    return world("alpha", 600001)


@pytest.fixture
def theirs() -> dict[Any, Any]:
    return world("omega", 600002)


def log_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def staff(mine) -> Client:
    """Somebody with every permission, who looks after one merchant."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    Membership.objects.create(user=user, merchant=mine["merchant"])
    return log_in(user)


@pytest.fixture
def owner() -> Client:
    return log_in(User.objects.create_superuser("owner"))


def url(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:milango_{model._meta.model_name}_{page}", args=args)


def rows_of(model: Any, merchant: Merchant) -> list[Any]:
    if model is Merchant:
        return [merchant]
    path = "payment__merchant" if model.__name__ == "Receipt" else "merchant"
    return list(model.objects.filter(**{path: merchant}))


def text(answer: Any) -> str:
    return answer.content.decode().lower()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_lists_and_pages_show_ones_own_merchant_only(model, staff, owner, mine, theirs) -> None:
    answer = staff.get(url(model, "changelist"))
    assert answer.status_code == 200
    assert "omega" not in text(answer)
    assert "600002" not in text(answer)
    assert owner.get(url(model, "changelist")).status_code == 200
    for row in rows_of(model, theirs["merchant"]):
        for page in ("change", "history", "delete"):
            for ask in (staff.get, staff.post):
                foreign = ask(url(model, page, row.pk))
                assert foreign.status_code in {302, 403, 404}, (page, ask)
                assert "omega" not in text(foreign)
    for row in rows_of(model, mine["merchant"]):
        own = staff.get(url(model, "change", row.pk))
        assert own.status_code in {200, 403}
        assert "omega" not in text(own)
        assert owner.get(url(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_add_pages_offer_ones_own_merchants_only(model, staff, mine, theirs) -> None:
    answer = staff.get(url(model, "add"))
    assert answer.status_code in {200, 403}
    assert "omega" not in text(answer)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_filters_and_searches_reach_no_other_merchant(model, staff, mine, theirs) -> None:
    foreign = theirs["merchant"]
    for asked in ({"of": foreign.id.hex}, {"merchant__id__exact": str(foreign.pk)}, {"q": "omega"}):
        answer = staff.get(url(model, "changelist"), asked)
        assert answer.status_code in {200, 302, 400}
        shown = text(answer).replace('value="omega"', "")  # the search box repeats what was typed
        assert "omega.example" not in shown
        assert "600002" not in shown


@pytest.mark.parametrize("model", [Doubt, Payment])
def test_every_choice_that_a_list_offers_works(model, owner, mine, theirs) -> None:
    page = owner.get(url(model, "changelist")).content.decode()
    choices = set(re.findall(r'href="(\?[a-z][a-z_]*=[^"]*)"', page))
    answers = {choice: owner.get(url(model, "changelist") + choice) for choice in choices}
    assert {choice: answer.status_code for choice, answer in answers.items()} == dict.fromkeys(
        choices, 200
    )


def test_the_merchants_filter_shows_that_merchants_rows(owner, mine, theirs) -> None:
    page = owner.get(url(Payment, "changelist"), {"of": mine["merchant"].id.hex})
    assert "rcptalpha" in text(page)
    assert "rcptomega" not in text(page)


@pytest.mark.parametrize("by", ["id", "0700600001", "+254 700 600001"])
def test_a_payment_is_found_by_its_id_and_by_any_spelling_of_the_number(
    owner, mine, theirs, by
) -> None:
    asked = mine["payment"].public_id if by == "id" else by
    page = text(owner.get(url(Payment, "changelist"), {"q": asked}))
    assert "rcptalpha" in page
    assert "rcptomega" not in page


def test_what_waits_is_saidfrom_what_is_resolved(owner, mine) -> None:
    shown = [
        "refund_due</" in text(owner.get(url(Doubt, "changelist"), {"state": state}))
        for state in ("open", "resolved")
    ]
    assert shown == [True, False]


@pytest.mark.parametrize(
    "asked",
    [
        {"merchant__name__startswith": "om"},
        {"hash__startswith": "a"},
        {"standing__contains": "x"},
        {"callback_token_hash__startswith": "0"},
        {"credential__consumer_key__startswith": "c"},
    ],
)
def test_columns_cannot_be_probed_through_the_address(staff, mine, asked) -> None:
    for model in (Payment, ApiKey, MpesaCredential):
        assert staff.get(url(model, "changelist"), asked).status_code in {302, 400}


def test_another_merchant_cannot_be_given_a_row(staff, theirs) -> None:
    answer = staff.post(
        url(ApiKey, "add"),
        {"merchant": str(theirs["merchant"].pk), "kind": "secret", "scopes": ["read"]},
    )
    assert answer.status_code == 200, "the form is shown again"
    assert ApiKey.objects.filter(merchant=theirs["merchant"]).count() == 1


def test_another_merchants_key_cannot_be_revoked(staff, mine, theirs) -> None:
    staff.post(
        url(ApiKey, "changelist"),
        {"action": "revoke", "_selected_action": [str(theirs["key"].pk), str(mine["key"].pk)]},
    )
    assert ApiKey.objects.get(pk=theirs["key"].pk).revoked_at is None
    assert ApiKey.objects.get(pk=mine["key"].pk).revoked_at is not None


@pytest.mark.parametrize("model", [Payment, InboundCallback, Customer, AuditEntry, WebhookDelivery])
def test_money_and_evidence_are_read_only_even_for_the_owner(model, owner, mine) -> None:
    assert owner.get(url(model, "add")).status_code == 403
    for row in model.objects.all():
        assert owner.post(url(model, "change", row.pk), {"status": "Failed"}).status_code == 403
        assert owner.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert Payment.objects.get().status == "Success"


@pytest.mark.slow
def test_no_page_shows_a_secret(owner, staff, mine) -> None:
    for model in OURS:
        pages = [url(model, "changelist")]
        pages += [
            url(model, page, row.pk)
            for row in model.objects.all()
            for page in ("change", "history")
        ]
        for client in (owner, staff):
            for page in pages:
                shown = text(client.get(page))
                assert not any(secret in shown for secret in SECRETS), page


def test_somebody_who_may_only_look_sees_no_secret(mine) -> None:
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    Membership.objects.create(user=user, merchant=mine["merchant"])
    shown = log_in(user).get(url(MpesaCredential, "change", mine["credential"].pk))
    assert shown.status_code == 200
    assert not any(secret in text(shown) for secret in SECRETS)


FORM = {"kind": "till", "short_code": "600777", "environment": "sandbox", "active": "on"}
TYPED = {"consumer_key": "ck", "consumer_secret": "cs", "passkey": "pk"}


def test_a_credential_typed_in_is_stored_sealed_and_audited(staff, mine) -> None:
    merchant = {"merchant": str(mine["merchant"].pk)}
    wrong = staff.post(url(MpesaCredential, "add"), FORM | TYPED | merchant)
    assert "store" in text(wrong), "a till without its store number is refused in words"
    done = staff.post(
        url(MpesaCredential, "add"), FORM | TYPED | merchant | {"store_number": "600778"}
    )
    assert done.status_code == 302
    row = MpesaCredential.objects.get(short_code="600777")
    assert (row.consumer_key, row.passkey, row.version) == ("ck", "pk", 1)
    entry = AuditEntry.objects.get(action="credential.added")
    assert (entry.actor, entry.merchant) == ("admin:clerk", mine["merchant"])


def test_a_blank_secret_stays_as_it_was_and_a_change_is_a_version(staff, mine) -> None:
    credential = mine["credential"]
    form = FORM | {"kind": "paybill", "short_code": credential.short_code, "passkey": "new one"}
    page = url(MpesaCredential, "change", credential.pk)
    form |= {"environment": "simulator", "store_number": ""} | seen(staff, page)
    assert staff.post(page, form).status_code == 302
    row = MpesaCredential.objects.get(pk=credential.pk)
    assert (row.passkey, row.consumer_key) == ("new one", "consumer-key-alpha")
    assert row.version == 2
    entry = AuditEntry.objects.get(action="credential.changed")
    assert entry.detail["fields"] == ["passkey"]
    assert WebhookDelivery.objects.filter(event_type="credential.changed").count() == 1


def test_a_page_that_is_older_than_somebody_elses_change_is_not_saved(staff, mine) -> None:
    credential = mine["credential"]
    page = url(MpesaCredential, "change", credential.pk)
    form = {"kind": "paybill", "short_code": credential.short_code, "environment": "simulator"}
    form |= {"active": "on", "confirm_above": "500"} | seen(staff, page)
    MpesaCredential.objects.filter(pk=credential.pk).update(active=False, version=2)
    refused = staff.post(page, form)
    assert "since you opened the page" in text(refused)
    credential.refresh_from_db()
    assert (credential.active, credential.confirm_above) == (False, None)
    assert staff.post(page, form | seen(staff, page)).status_code == 302


def test_a_new_key_is_shown_once(staff, mine) -> None:
    form = {"merchant": str(mine["merchant"].pk), "kind": "publishable", "name": "page"}
    answer = staff.post(url(ApiKey, "add"), form)
    assert "no-store" in answer["Cache-Control"]
    (plain,) = re.findall(r"pk_[\w-]{43}", answer.content.decode())
    key = ApiKey.objects.get(name="page")
    assert plain.startswith(key.hint)
    for page in (url(ApiKey, "change", key.pk), url(ApiKey, "changelist")):
        assert plain not in staff.get(page).content.decode()


def test_a_doubt_is_resolved_with_a_note(staff, mine) -> None:
    doubt = Doubt.objects.get()
    staff.post(url(Doubt, "change", doubt.pk), {"resolution": ""})
    doubt.refresh_from_db()
    assert doubt.resolved_at is None
    staff.post(url(Doubt, "change", doubt.pk), {"resolution": "sent back by hand"})
    doubt.refresh_from_db()
    assert doubt.resolved_at is not None
    again = staff.post(url(Doubt, "change", doubt.pk), {"resolution": "something else"})
    assert again.status_code == 403, "nobody writes over what was found"
    doubt.refresh_from_db()
    assert doubt.resolution == "sent back by hand"
    (entry,) = AuditEntry.objects.filter(action="doubt.resolved")
    assert entry.detail == {"kind": doubt.kind, "resolution": "sent back by hand"}
    assert audit.first_broken() is None


def test_a_doubt_says_what_it_means_and_is_resolved_once(staff, mine) -> None:
    page = url(Doubt, "change", Doubt.objects.get().pk)
    assert "give the money back" in staff.get(page).content.decode()
    staff.post(page, {"resolution": "sent back by hand"})
    assert staff.post(page, {"resolution": "something else"}).status_code == 403
    assert Doubt.objects.get().resolution == "sent back by hand"


def test_a_statement_that_does_not_add_up_is_resolved_once_and_audited_once(owner, mine) -> None:
    credential = mine["credential"]
    broken, sound = (
        StatementImport.objects.create(
            merchant=credential.merchant,
            credential=credential,
            sha256=sha,
            imported_at=timezone.now(),
            **problem,
        )
        for sha, problem in (("a" * 64, {"problem": "totals", "owner": "merchant"}), ("b" * 64, {}))
    )
    page = url(StatementImport, "change", broken.pk)
    assert owner.post(page, {"resolution": "downloaded again"}).status_code == 302
    assert owner.post(page, {"resolution": "something else"}).status_code == 403
    assert [entry.action for entry in AuditEntry.objects.filter(action__startswith="stat")] == [
        "statement.resolved"
    ]
    assert (
        'name="resolution"'
        not in owner.get(url(StatementImport, "change", sound.pk)).content.decode()
    )


@pytest.mark.parametrize("model", [Doubt, MpesaCredential, WebhookEndpoint, Merchant])
def test_nobody_has_to_type_into_an_input_that_cannot_be_seen(model, owner, mine) -> None:
    page = owner.get(url(model, "change", model.objects.first().pk)).content.decode()
    typed = re.findall(r'<input type="(?:text|url|password)"[^>]*>', page)
    shown = [tag for tag in typed if re.search(r' id="id_', tag)]
    assert shown
    assert [tag for tag in shown if not re.search(r'class="[^"]*\bborder\b', tag)] == []


def test_the_servers_times_have_seconds_and_a_zone(owner, mine, settings) -> None:
    settings.FORMAT_MODULE_PATH = common.FORMAT_MODULE_PATH
    formats.reset_format_cache()
    page = owner.get(url(Payment, "changelist")).content.decode()
    formats.reset_format_cache()
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)


def test_what_is_done_in_the_admin_stands_in_the_trail(owner, mine) -> None:
    merchant = mine["merchant"]
    page = owner.get(url(Merchant, "change", merchant.pk)).content.decode()
    forms = dict.fromkeys(re.findall(r'name="([a-z_]+-(?:TOTAL|INITIAL)_FORMS)"', page), "0")
    form = {"name": "Renamed", "tariff": "", **forms}
    form |= seen(owner, url(Merchant, "change", merchant.pk))
    assert owner.post(url(Merchant, "change", merchant.pk), form).status_code == 302
    entry = AuditEntry.objects.get(action="merchant.changed")
    assert (entry.actor, entry.merchant) == ("admin:owner", merchant)
    assert "Name" in entry.detail["fields"]
    person = {"username": "cashier", "password1": "long enough 1", "password2": "long enough 1"}
    add = reverse("admin:auth_user_add")
    assert owner.post(add, person | {"usable_password": "true"}).status_code == 302
    assert AuditEntry.objects.get(action="user.added").actor == "admin:owner"
    assert audit.first_broken() is None


def test_people_who_are_deleted_together_stand_in_the_trail_one_by_one(owner) -> None:
    leavers = [User.objects.create_user(name) for name in ("leaver", "another")]
    chosen = {"_selected_action": [str(user.pk) for user in leavers]}
    asked = {"action": "delete_selected", "post": "yes"} | chosen
    assert owner.post(reverse("admin:auth_user_changelist"), asked).status_code == 302
    assert not User.objects.filter(username__in=("leaver", "another")).exists()
    entries = AuditEntry.objects.filter(action="user.deleted", actor="admin:owner")
    assert {entry.subject for entry in entries} == {f"user {user.pk}" for user in leavers}
    assert audit.first_broken() is None


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_nothing_of_ours_can_be_deleted_from_a_list(model, owner, mine) -> None:
    rows = [str(pk) for pk in model.objects.values_list("pk", flat=True)]
    asked = {"action": "delete_selected", "post": "yes", "_selected_action": rows}
    owner.post(url(model, "changelist"), asked)
    assert model.objects.filter(pk__in=rows).count() == len(rows)


@pytest.mark.django_db(transaction=True)
def test_unmatched_money_is_put_to_a_payment_and_approved_by_another_person(
    staff, owner, mine, theirs
) -> None:
    def receipt(whose: Any, amount: int) -> Receipt:
        credential = whose["credential"]
        return Receipt.objects.create(
            environment=credential.environment,
            short_code=credential.party_b,
            code=f"UCE{amount:07}",
            credential=credential,
            amount=amount,
            source="c2b",
        )

    def match(row: Receipt, payment: Payment, reason: str = "the till slip") -> str:
        data = {"action": "match", "payment": payment.public_id, "reason": reason}
        answer = staff.post(
            url(Receipt, "changelist"), data | {"_selected_action": row.pk}, follow=True
        )
        payment.refresh_from_db()
        return text(answer)

    small = make_payment(mine["credential"], amount=50, phone="254700000001")
    row = receipt(mine, 50)
    assert "a reason is needed" in match(row, small, reason=" ")
    assert "nothing was done" in match(row, make_payment(theirs["credential"])), "not mine to see"
    match(receipt(theirs, 70), small)
    assert small.status == "Pending", "another merchant's money is absent"
    match(row, small)
    assert (small.status, small.receipt_number) == ("Success", row.code)

    large = make_payment(mine["credential"], amount=9_000, phone="254700000002")
    assert "second person" in match(receipt(mine, 9_000), large)
    approve = {"action": "approve", "_selected_action": OperatorWord.objects.latest("pk").pk}
    assert "another person has to approve" in text(
        staff.post(url(OperatorWord, "changelist"), approve, follow=True)
    )
    owner.post(url(OperatorWord, "changelist"), approve)
    large.refresh_from_db()
    assert large.status == "Success"


@pytest.mark.django_db(transaction=True)
def test_a_confirmation_and_its_payment_lead_to_each_other(staff, owner, mine, theirs) -> None:
    def pages(client: Client, row: InboundCallback, payment: Payment) -> list[str]:
        found = client.get(url(InboundCallback, "changelist"), {"q": row.receipt or ""})
        return [
            text(found),
            text(client.get(url(InboundCallback, "change", row.pk), follow=True)),
            text(client.get(url(Payment, "change", payment.pk), follow=True)),
        ]

    for whose, clients in ((mine, (staff, owner)), (theirs, (owner,))):
        credential = whose["credential"]
        row = told(credential, TransID=f"UCE{credential.short_code}0", TransAmount="70.00")
        payment = Payment.objects.get(receipt_number=row.receipt)
        to_payment = url(Payment, "change", payment.pk)
        to_callback = url(InboundCallback, "change", row.pk)
        for client in clients:
            *callbacks, its_payment = pages(client, row, payment)
            assert all(f'href="{to_payment}"' in page for page in callbacks)
            assert f'href="{to_callback}"' in its_payment
    for page in pages(staff, row, payment):
        assert row.public_id not in page, "another merchant's"
        assert payment.public_id not in page


@pytest.mark.django_db(transaction=True)
def test_a_word_is_withdrawn_by_who_said_it_and_by_who_may_approve_it(staff, owner, mine) -> None:
    def word(by: str) -> OperatorWord:
        payment = make_payment(mine["credential"], amount=9_000)
        return words.speak(payment, "paid", reason="the till slip", actor=by)[0]

    def withdraw(client: Client, row: OperatorWord) -> str:
        asked = {"action": "withdraw", "_selected_action": row.pk}
        answer = client.post(url(OperatorWord, "changelist"), asked, follow=True)
        row.refresh_from_db()
        return text(answer)

    clerk = User.objects.get(username="clerk")
    clerk.user_permissions.remove(Permission.objects.get(codename="change_operatorword"))
    own, others = word("admin:clerk"), word("cli:asha")
    assert "you have said yourself" in withdraw(staff, others)
    assert others.withdrawn_at is None
    withdraw(staff, own)
    withdraw(owner, others)
    assert (own.withdrawn_by, others.withdrawn_by) == ("admin:clerk", "admin:owner")
    assert "was withdrawn by admin:clerk" in withdraw(owner, own)
    waits = word("cli:asha")
    page = text(owner.get(url(OperatorWord, "changelist")))
    for said in ("waits for a second person", "withdrawn by admin:owner", "the till slip"):
        assert said in page
    assert f'href="{url(Payment, "change", waits.payment_id)}"' in page
    its_payment = text(owner.get(url(Payment, "change", own.payment_id)))
    assert "withdrawn by admin:clerk" in its_payment
    shown = {
        state: owner.get(url(OperatorWord, "changelist"), {"state": state}).context["cl"].queryset
        for state in ("waits", "counts", "withdrawn")
    }
    assert {state: set(rows) for state, rows in shown.items()} == {
        "waits": {waits},
        "counts": set(),
        "withdrawn": {own, others},
    }


@pytest.mark.django_db(transaction=True)
def test_somebody_with_the_longest_name_may_speak_too(owner, mine) -> None:
    User.objects.filter(username="owner").update(username="o" * 150)
    payment = make_payment(mine["credential"], amount=9_000)
    word, _ = words.speak(payment, "paid", reason="the till slip", actor="cli:asha")
    asked = {"action": "approve", "_selected_action": word.pk}
    owner.post(url(OperatorWord, "changelist"), asked, follow=True)
    word.refresh_from_db()
    assert word.approved_by == "admin:" + "o" * 74
    payment.refresh_from_db()
    assert payment.status == "Success"
