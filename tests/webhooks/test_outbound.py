"""POST to strangers' addresses: never into our own network, never for long, never much."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from milango.core.errors import InvalidRequest
from milango.core.webhooks import MOST_OF_AN_ANSWER
from milango.outbound import Answer, Outbound, check_url, is_refused
from tests.servers import serve
from tests.webhooks.conftest import receiving

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.8.8.8
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1
192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1
::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::808:808 64:ff9b:1::1 64:ff9b:1:ffff::1 100::1
2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 2002:c0a8:101::1 3fff::1 5f00::1
fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 febf::1 fec0::1 feff::1 ff02::1
""".split()
PUBLIC = (
    "1.1.1.1 8.8.8.8 196.201.214.200 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450::1".split()
)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_reserved_and_disguised_addresses_are_refused(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str) -> None:
    assert not is_refused(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "ftp://shop.example/hook",
        "https://user:secret@shop.example/hook",
        "https://@shop.example/hook",
        "https://shop.example:8443/hook",
        "https://shop.example:99999/hook",
        "https://pay.example.co.ke/hook",
        "https://PAY.example.co.ke./hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://[64:ff9b::a00:1]/hook",
        "https:///hook",
        "https://shop.example/ho ok",
        "https://shop.example\\@127.0.0.1/",
        "https://[::1/",
        "shop.example",
        "",
    ],
)
def test_an_address_is_refused_by_its_words_alone(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, own_host="pay.example.co.ke")
    assert refused.value.field == "url"


def test_a_plain_https_address_is_taken() -> None:
    for url in ("https://shop.example/hook?a=1", "https://shop.example:443/", "https://1.1.1.1/"):
        assert check_url(url, own_host="pay.example.co.ke") == url


def test_in_development_other_ports_and_http_are_taken_but_no_user_names() -> None:
    assert check_url("http://localhost:8000/hook", anywhere=True)
    with pytest.raises(InvalidRequest):
        check_url("http://me:secret@localhost:8000/hook", anywhere=True)


def post(url: str, **options: Any) -> Answer:
    async def run() -> Answer:
        outbound = Outbound(**options)
        try:
            return await outbound.post(url, b"{}", {"Content-Type": "application/json"})
        finally:
            await outbound.close()

    return asyncio.run(run())


class Changing(AbstractResolver):
    """A name server that answers with another address each time."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def listener():
    """Somebody on the loopback who must not be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def untouched(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_name_that_leads_inside_is_refused_before_a_connection_is_made(
    listener, address, monkeypatch
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setattr("milango.outbound.HTTPS", port)
    url = f"https://shop.example:{port}/hook"
    answer = post(url, resolver=Changing(address))
    assert (answer.status, "not on the open internet" in answer.error) == (None, True)
    assert untouched(listener)


def test_a_name_that_changes_after_the_first_look_up_is_judged_anew(listener, monkeypatch) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setattr("milango.outbound.HTTPS", port)
    resolver = Changing("192.0.2.1", "127.0.0.1")
    public = is_refused

    async def run() -> list[Answer]:
        # The first answer stands for a public address: nothing answers there, and it is tried.
        monkeypatch.setattr("milango.outbound.is_refused", lambda a: a != "192.0.2.1" and public(a))
        outbound = Outbound(resolver=resolver, seconds=0.5)
        outbound._session.connector._cached_hosts._ttl = 0  # type: ignore[union-attr]
        url = f"https://shop.example:{port}/hook"
        answers = [await outbound.post(url, b"{}", {}) for _ in range(2)]
        await outbound.close()
        return answers

    first, second = asyncio.run(run())
    assert "open internet" not in first.error
    assert "127.0.0.1 is not on the open internet" in second.error
    assert not resolver.answers
    assert untouched(listener)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1"])
def test_other_spellings_of_the_loopback_are_refused(host: str) -> None:
    answer = post(f"https://{host}/hook")
    assert answer.status is None
    assert answer.error


def test_a_redirect_is_not_followed() -> None:
    with receiving() as inside, receiving() as shop:
        shop.status = 307
        shop.headers = [(b"location", inside.url.encode())]
        answer = post(shop.url, anywhere=True)
        assert answer.status == 307
        assert not inside.got


def test_a_dripping_answer_is_cut_at_the_deadline_as_a_whole() -> None:
    with receiving() as shop:
        shop.drip, shop.body = 0.05, b"x" * 1_000
        began = time.monotonic()
        answer = post(shop.url, anywhere=True, seconds=0.5)
        assert time.monotonic() - began < 2
        assert answer == (None, "", "No whole answer within 0.5 seconds.", answer.ms)
        shop.drip = 0


def test_of_a_huge_answer_only_the_beginning_is_read() -> None:
    with receiving() as shop:
        shop.body = b"x" * 50_000_000
        answer = post(shop.url, anywhere=True)
        assert (answer.status, len(answer.text)) == (200, MOST_OF_AN_ANSWER)


def test_a_packed_answer_is_not_unpacked() -> None:
    import gzip

    with receiving() as shop:
        shop.body = gzip.compress(b"x" * 10_000_000)
        shop.headers = [(b"content-encoding", b"gzip")]
        assert "xxx" not in post(shop.url, anywhere=True).text


def test_the_environments_proxies_are_not_asked(monkeypatch) -> None:
    with receiving() as proxy, receiving() as shop:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert post(shop.url, anywhere=True).status == 200
        assert not proxy.got


def test_no_answer_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    assert post(url, anywhere=True)[:3] == (None, "", "Nobody answers there.")

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        writer.close()

    async def run() -> Answer:
        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        outbound = Outbound(anywhere=True)
        port = server.sockets[0].getsockname()[1]
        answer = await outbound.post(f"http://127.0.0.1:{port}/", b"{}", {})
        await outbound.close()
        server.close()
        return answer

    assert asyncio.run(run()).error == "Its answer is not HTTP."


def test_cookies_of_one_merchant_are_not_sent_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]).get(b"cookie"))
            headers = [(b"set-cookie", b"a=b; Path=/")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    async def twice(url: str) -> None:
        outbound = Outbound(anywhere=True)
        for _ in range(2):
            await outbound.post(url, b"{}", {})
        await outbound.close()

    seen: list[bytes | None] = []
    with serve(app, lifespan="off") as url:
        asyncio.run(twice(url))
    assert seen == [None, None]
