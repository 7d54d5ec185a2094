"""Three workers and two web processes on one PostgreSQL, each in a network of its own."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.demos import Refused, call, free_ports

from .conftest import Installed, until
from .networks import Place, apart, why_not

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.slow,
]

PAYMENTS = 48
WITH_CALLBACK = 4
"""One in so many payments gets its callback; the others have to be asked about."""

PERIOD = 2

PEOPLE = """
from tests.people import make_credential, make_key, make_merchant
credential = make_credential(make_merchant("Duka"))
print(json.dumps({
    "key": make_key(credential.merchant)[1],
    "short_code": credential.short_code,
    "app": {
        "consumer_key": credential.consumer_key,
        "consumer_secret": credential.consumer_secret,
        "name": "Duka",
        "shortcodes": [{"shortcode": credential.business_short_code, "kind": "paybill",
            "party_b": credential.party_b, "passkey": credential.passkey, "name": "Duka"}],
    },
}))
"""


class Cluster:
    """The processes, and a look into their database."""

    def __init__(self, installed: Installed, home: str, places: list[Place], ports: list[int]):
        self.installed = installed
        self.daraja = f"http://{home}:{ports[0]}"
        self.webs = [
            f"http://{place.address}:{port}"
            for place, port in zip(places[:2], ports[1:], strict=True)
        ]
        installed.environment |= {
            "TEST_PUBLIC_URL": self.webs[0],
            "TEST_DARAJA_URL": self.daraja,
        }
        installed.start("simulate", "--host", home, "--port", str(ports[0]))
        until(lambda: self.answers(f"{self.daraja}/control/settings"), 30, "no simulator")
        for place, port in zip(places[:2], ports[1:], strict=True):
            words = ("serve", "--host", place.address, "--port", str(port))
            installed.start(*words, within=place.within)
        self.workers = [installed.start("worker", within=place.within) for place in places[2:]]
        for web in self.webs:
            until(lambda web=web: self.answers(f"{web}/healthz"), 60, installed.said())

    def answers(self, url: str) -> bool:
        try:
            call("GET", url)
        except OSError:
            return False
        except (Refused, ValueError):
            return True
        return True

    def control(self, method: str, path: str, body: Any = None) -> Any:
        return call(method, f"{self.daraja}/control/{path}", body)

    def ask(self, statement: Any, *values: Any) -> list[Any]:
        """Rows of the database."""
        import psycopg

        url = urlsplit(self.installed.environment["DATABASE_URL"])
        host = parse_qs(url.query)["host"][0]
        with psycopg.connect(host=host, dbname=url.path[1:], user="postgres") as own:
            cursor = own.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def succeeded(self) -> int:
        return self.ask("SELECT count(*) FROM milango_payment WHERE status = 'Success'")[0][0]

    def end_prompts(self, number: int) -> None:
        """As if so many prompts' lives were over: nobody needs to wait for that here."""
        self.ask(
            "UPDATE milango_openprompt SET until = now() WHERE payment_id IN"
            " (SELECT payment_id FROM milango_openprompt ORDER BY payment_id LIMIT %s)",
            number,
        )

    def in_hands(self) -> int:
        """How many payments were taken by a worker, and are not settled."""
        rows = "SELECT count(*) FROM milango_payment WHERE status = 'Pending' AND checks > 0"
        return self.ask(rows)[0][0]


@pytest.fixture
def cluster(installed: Installed, capsys) -> Iterator[Cluster]:
    ports = free_ports(3)
    with ExitStack() as stack:
        if reason := why_not():
            with capsys.disabled():
                print(f"\nNOT IN NETWORKS OF THEIR OWN, this machine has none to give: {reason}")
            home, places = "127.0.0.1", [Place("127.0.0.1")] * 5
        else:
            home, places = stack.enter_context(apart(5))
        yield Cluster(installed, home, places, ports)
        installed.end()


def test_three_workers_and_two_webs_resolve_each_payment_once_though_one_is_killed(
    cluster: Cluster,
) -> None:
    people = cluster.installed.run(PEOPLE)
    cluster.control("PATCH", "settings", {"plain_http": "any", "query_delay_ms": 300})
    cluster.control("POST", "apps", people["app"])
    phones = [f"2547100000{number:02}" for number in range(PAYMENTS)]
    for number, phone in enumerate(phones):
        story = "paid" if number % WITH_CALLBACK == 0 else "callback_lost"
        cluster.control("POST", "stories", {"phone": phone, "story": story})

    def push(number: int) -> None:
        body = {
            "phone_number": phones[number],
            "amount": 50,
            "shortcode": people["short_code"],
            "service_type": "captive_portal",
        }
        web = cluster.webs[number % 2]
        call("POST", f"{web}/api/v1/stk-push", body, {"Authorization": f"Bearer {people['key']}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(push, range(PAYMENTS)))
    cluster.control("POST", "idle")
    by_callback = PAYMENTS // WITH_CALLBACK
    until(lambda: cluster.succeeded() >= by_callback, 30, cluster.installed.said())

    # All three at once, half of those whose callbacks are lost.
    lost = PAYMENTS - by_callback
    cluster.end_prompts(lost // 2)
    until(lambda: cluster.succeeded() >= by_callback + lost // 2, 60, cluster.installed.said())

    # The other half is in one worker's hands when that is killed.
    killed, *others = cluster.workers
    cluster.control("PATCH", "settings", {"query_delay_ms": 5_000})
    for worker in others:
        worker.send_signal(signal.SIGSTOP)
    cluster.end_prompts(lost - lost // 2)
    until(lambda: cluster.in_hands() > 0, 30, cluster.installed.said())
    killed.kill()
    for worker in others:
        worker.send_signal(signal.SIGCONT)
    cluster.control("PATCH", "settings", {"query_delay_ms": 300})
    assert cluster.succeeded() == by_callback + lost // 2, "it was killed in the middle"
    until(lambda: cluster.succeeded() == PAYMENTS, 150, cluster.installed.said())

    paid = [row for row in cluster.control("GET", "ledger") if row["receipt"]]
    assert len(paid) == PAYMENTS
    succeeded = cluster.ask(
        "SELECT count(*) FROM milango_paymentevent WHERE type = 'payment.succeeded'"
        " GROUP BY payment_id"
    )
    assert succeeded == [(1,)] * PAYMENTS
    grants = cluster.ask("SELECT count(*) FROM milango_accessgrant GROUP BY payment_id")
    assert grants == [(1,)] * PAYMENTS
    assert_each_period_had_one_sweep(cluster)
    for worker in others:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(10) for worker in others] == [0, 0], cluster.installed.said()


def assert_each_period_had_one_sweep(cluster: Cluster) -> None:
    slots = Counter(
        int(at.timestamp()) // PERIOD
        for (at,) in cluster.ask(
            "SELECT event.at FROM procrastinate_events event"
            " JOIN procrastinate_jobs job ON job.id = event.job_id"
            " WHERE event.type = 'deferred' AND job.args->>'task' = 'milango.tasks.jobs.sweep'"
        )
    )
    # The very first one is due from its birth on, in whatever period that is.
    assert sum(slots.values()) - len(slots) <= 1, slots
    periods = max(slots) - min(slots) + 1
    assert periods >= 4
    assert len(slots) >= periods * 0.8, "a busy machine may skip one, and no more"
    ran = cluster.ask(
        "SELECT count(*) FROM procrastinate_events event"
        " JOIN procrastinate_jobs job ON job.id = event.job_id WHERE event.type = 'succeeded'"
        " AND job.args->>'task' = 'milango.tasks.jobs.sweep' GROUP BY job.id"
    )
    assert set(ran) == {(1,)}
