from __future__ import annotations

import pytest

from .conftest import Merchant

APP = {
    "consumer_key": "key-one",
    "consumer_secret": "secret-one",
    "name": "One",
    "shortcodes": [{"shortcode": "600100", "passkey": "p" * 10}],
}


async def test_it_works(merchant: Merchant) -> None:
    status, body = await merchant.oauth()
    assert status == 200
    assert len(body["access_token"]) == 28
    assert body["expires_in"] == "3599"


async def test_a_new_token_kills_the_older_one(merchant: Merchant) -> None:
    older = await merchant.token()
    await merchant.token()
    status, body = await merchant.push(token=older)
    assert (status, body["errorCode"]) == (404, "404.001.03")


async def test_another_key_s_token_stays_alive(merchant: Merchant) -> None:
    mine = await merchant.token(key="mine")
    await merchant.token(key="theirs")
    assert (await merchant.push(token=mine))[0] == 200


async def test_revocation_can_be_switched_off(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"revoke_previous_token": False})
    older = await merchant.token()
    await merchant.token()
    assert (await merchant.push(token=older))[0] == 200


async def test_a_token_expires(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"token_life_s": 0})
    status, body = await merchant.query("ws_CO_1", token=await merchant.token())
    assert (status, body["errorCode"]) == (400, "400.003.01")


async def test_expiry_can_be_a_number(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"expires_in_as_number": True})
    assert (await merchant.oauth())[1]["expires_in"] == 3599


async def test_a_wrong_secret_gets_an_empty_400(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", APP)
    assert await merchant.oauth(key="key-one", secret="wrong") == (400, "")
    assert await merchant.oauth(key="stranger", secret="secret-one") == (400, "")
    assert (await merchant.oauth(key="key-one", secret="secret-one"))[0] == 200


async def test_a_wrong_grant_type_is_refused(merchant: Merchant) -> None:
    status, body = await merchant.oauth(grant="password")
    assert (status, body["errorCode"]) == (400, "400.008.02")
    assert body["errorMessage"] == "Invalid grant type passed"


@pytest.mark.parametrize("header", ["", "Bearer abc", "Basic !!!"])
async def test_other_authentication_is_refused(merchant: Merchant, header: str) -> None:
    address = f"{merchant.address}/oauth/v1/generate?grant_type=client_credentials"
    async with merchant.http.get(address, headers={"Authorization": header}) as answer:
        body = await answer.json()
    assert (answer.status, body["errorCode"]) == (400, "400.008.01")


async def test_the_wrong_verb_is_refused(merchant: Merchant) -> None:
    status, body = await merchant.post("/oauth/v1/generate", {}, "none")
    assert (status, body["errorCode"]) == (405, "405.001")
    assert body["errorMessage"] == "POST Method Not Allowed"
