"""Money that goes back, and every source agreeing with the book."""

from __future__ import annotations

from typing import Any

from .conftest import Merchant
from .test_pull import rows
from .test_statement import cents, lines, sheet
from .test_status import parameters


async def reversed_payment(merchant: Merchant) -> tuple[dict[str, Any], dict[str, Any]]:
    paid = await merchant.pay()
    return paid, await merchant.control("POST", "reversals", {"receipt": paid["receipt"]})


async def test_it_works(merchant: Merchant) -> None:
    paid, back = await reversed_payment(merchant)
    written = await merchant.control("GET", "transactions")
    assert [row["receipt"] for row in written] == [paid["receipt"], back["receipt"]]
    assert (written[0]["reversed_by"], written[1]["reverses"]) == (back["receipt"], paid["receipt"])
    assert (written[0]["state"], written[1]["kind"]) == ("completed", "reversal")


async def test_what_went_back_goes_back_once(merchant: Merchant) -> None:
    paid, back = await reversed_payment(merchant)
    for receipt, expected in ((paid["receipt"], 409), (back["receipt"], 409), ("UCE3P9W8ZA", 404)):
        status, body = await merchant.try_control("POST", "reversals", {"receipt": receipt})
        assert (status, bool(body["error"])) == (expected, True)
    assert len(await merchant.control("GET", "transactions")) == 2


async def test_what_was_declined_cannot_go_back(merchant: Merchant) -> None:
    await merchant.register()
    await merchant.control("PATCH", "settings", {"c2b_validation": True})
    merchant.listener.reply = {"ResultCode": "C2B00012", "ResultDesc": "Rejected"}
    receipt = (await merchant.pay())["receipt"]
    assert (await merchant.try_control("POST", "reversals", {"receipt": receipt}))[0] == 409


async def test_transaction_status_says_reversed(merchant: Merchant) -> None:
    paid, back = await reversed_payment(merchant)
    told = parameters(await merchant.status(paid["receipt"]))
    assert (told["TransactionStatus"], told["Amount"]) == ("Reversed", 500.0)
    told = parameters(await merchant.status(back["receipt"]))
    assert (told["TransactionStatus"], told["ReasonType"]) == ("Completed", "Pay Utility Reversal")
    assert told["CreditPartyName"].startswith("254708374149 - ")


async def test_pull_has_a_row_that_nobody_can_take_for_a_payment(merchant: Merchant) -> None:
    await merchant.register_pull()
    paid, back = await reversed_payment(merchant)
    newest, oldest = await rows(merchant)
    assert (oldest["transactionId"], oldest["amount"]) == (paid["receipt"], "500.0")
    assert (newest["transactionId"], newest["amount"]) == (back["receipt"], "-500.0")
    assert newest["transactiontype"] == "c2b-reversal"
    await merchant.control("PATCH", "settings", {"pull_reversals": False})
    assert await rows(merchant) == [oldest]


async def test_the_statement_links_it_to_its_payment(merchant: Merchant) -> None:
    paid, back = await reversed_payment(merchant)
    newest, _ = await lines(merchant)
    assert (newest["Receipt No."], newest["Withdrawn"]) == (back["receipt"], "-500.00")
    assert (newest["Linked Transaction ID"], newest["Balance"]) == (paid["receipt"], "0.00")
    assert newest["Paid In"] == ""


async def test_no_message_tells_of_it(merchant: Merchant) -> None:
    await merchant.register()
    await reversed_payment(merchant)
    await merchant.settle()
    assert len(merchant.listener.said("confirm")) == 1


async def test_a_pushed_payment_stays_paid_in_the_ledger(merchant: Merchant) -> None:
    row = await merchant.play("paid")
    await merchant.control("POST", "reversals", {"receipt": row["receipt"]})
    row = await merchant.truth(row["checkout_request_id"])
    assert (row["state"], row["result_code"]) == ("paid", "0")
    told = await merchant.status("", OriginalConversationID=row["merchant_request_id"])
    assert parameters(told)["TransactionStatus"] == "Reversed"


CHANCE = {"drop": 0.3, "twice": 0.3, "late": 0.3, "late_s": [1, 10]}
WEIGHTS = {"paid": 4, "vanished": 2, "cancelled": 2, "other_amount": 1, "callback_twice": 1}


async def test_all_sources_agree_with_the_book_whatever_chance_does(merchant: Merchant) -> None:
    changes = {
        "confirmation_faults": CHANCE,
        "result_faults": CHANCE,
        "confirmation_first": 0.5,
        "charge_share": 0.0055,
        "c2b_names": "mixed",
        "result_shape": "mixed",
    }
    await merchant.control("PATCH", "settings", changes)
    await merchant.control("POST", "random", {"seed": 11, "weights": WEIGHTS})
    await merchant.register()
    await merchant.register_pull()
    for n in range(40):
        await merchant.push(f"2547110003{n:02d}", Amount=100 + n)
    for n in range(10):
        await merchant.pay(amount=1000 + n)
    await merchant.settle()
    book = await merchant.control("GET", "transactions")
    for row in book[::7]:
        await merchant.control("POST", "reversals", {"receipt": row["receipt"]})
    truth = {row["receipt"]: row["amount"] for row in book}

    pushed = await merchant.control("GET", "ledger?state=paid")
    counter = await merchant.control("GET", "transactions?kind=counter")
    assert {row["receipt"] for row in (*pushed, *counter)} == truth.keys()

    confirmed = merchant.listener.said("confirm")
    assert {(each["TransID"], float(each["TransAmount"])) for each in confirmed} <= truth.items()
    ids = {each["TransID"] for each in confirmed}
    assert len(ids) < min(len(truth), len(confirmed))  # some were lost and some came twice

    pulled = {row["transactionId"]: float(row["amount"]) for row in await rows(merchant)}
    assert {receipt: amount for receipt, amount in pulled.items() if amount > 0} == truth

    told = await lines(merchant)
    paid_in = {line["Receipt No."]: cents(line["Paid In"]) for line in told if line["Paid In"]}
    assert paid_in == {receipt: amount * 100 for receipt, amount in truth.items()}
    total = sum(cents(line["Paid In"]) + cents(line["Withdrawn"]) for line in told)
    assert cents((await sheet(merchant))[5][3]) == total == cents(told[0]["Balance"])

    for receipt in list(truth)[:15]:
        await merchant.ask_status(receipt)
    await merchant.settle()
    for result in merchant.listener.said("result"):
        facts = parameters(result["Result"])
        assert truth[facts["ReceiptNo"]] == float(facts["Amount"])
    inquiries = await merchant.control("GET", "inquiries")
    assert {each["result_code"] for each in inquiries} == {"0"}
    assert {each["transaction_status"] for each in inquiries} == {"Completed", "Reversed"}
    assert 0 in {len(each["deliveries"]) for each in inquiries}
