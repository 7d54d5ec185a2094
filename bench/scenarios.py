"""What is measured: each function runs one thing once and gives figures."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from . import seed, told
from .postgres import Server
from .processes import (
    ROOT,
    cpu_us,
    family,
    free_port,
    last_line,
    load,
    memory_mb,
    program,
    python,
)

FOLDER: Final = ROOT / ".milango" / "bench"
MERCHANTS: Final = 1_000

Figures = dict[str, float]


@dataclass
class Bench:
    """The machine under test, and how long each run lasts."""

    server: Server
    seconds: float
    rows: int
    say: Callable[[str], None]
    expected: dict[str, float] = field(default_factory=dict)
    """Requests a second that a scenario reached last, so that the next run has enough of them."""

    def env(self, database: str = "", sqlite: str = "", daraja: int = 0) -> dict[str, str]:
        """The environment of `bench.settings`."""
        found = {"DJANGO_SETTINGS_MODULE": "bench.settings"}
        if sqlite:
            return found | {"BENCH_SQLITE": sqlite}
        found |= {"BENCH_POSTGRES": str(self.server.folder), "BENCH_DATABASE": database}
        return found | ({"BENCH_DARAJA": f"http://127.0.0.1:{daraja}"} if daraja else {})

    def how_many(self, scenario: str, guess: float) -> int:
        """Requests for one run of the wanted length."""
        return int(self.expected.get(scenario, guess) * self.seconds)


# --- databases ------------------------------------------------------------------------------


def prepare_databases(bench: Bench, *, grown: bool = True) -> None:
    """One with merchants alone, others with a history (`grown`); kept for the next run."""
    sizes = {"bench_empty": 0}
    if grown:
        sizes |= {"bench_10000": 10_000, f"bench_{bench.rows}": bench.rows}
    for name, rows in sizes.items():
        stamp = f"made_{rows}_{_fingerprint()}"
        if bench.server.has(name) and bench.server.psql(
            f"SELECT 1 FROM pg_tables WHERE tablename = '{stamp}'", name
        ):
            continue
        bench.say(f"making {name}")
        if rows:
            bench.server.new_database(name, template="bench_empty")
            _write_history(bench, name, rows)
        else:
            bench.server.new_database(name)
            python(["bench.seed", "merchants", str(MERCHANTS)], bench.env(name))
        bench.server.psql("VACUUM ANALYZE", name)
        bench.server.psql(f"CREATE TABLE {stamp} ()", name)
        bench.server.psql("CHECKPOINT", name)
    os.sync()  # what was made is not to be written while something is measured


def _fingerprint() -> str:
    """Databases of an older schema are made anew."""
    import hashlib

    files = sorted((ROOT / "src/milango/migrations").glob("0*.py"))
    text = b"".join(each.read_bytes() for each in files)
    text += "".join([seed.PAST, *seed.HISTORY.values()]).encode()
    return hashlib.sha256(text).hexdigest()[:12]


def _write_history(bench: Bench, name: str, rows: int) -> None:
    """Two sessions at a time; indexes and constraints are made when the rows are there."""
    server = bench.server
    server.psql(seed.PAST.format(rows=rows), name)
    listed = ", ".join(f"'{table}'::regclass" for table in seed.HISTORY)
    drops, makes = _split(server.psql(INDEXES.format(tables=listed), name))
    server.psql("; ".join(drops), name)
    quickly = "SET session_replication_role = replica; SET synchronous_commit = off; "
    _at_once(server, [quickly + each for each in seed.HISTORY.values()], name)
    _at_once(server, [f"SET maintenance_work_mem = '512MB'; {each}" for each in makes], name)
    server.psql("DROP TABLE bench_past", name)


INDEXES: Final = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
        pg_get_constraintdef(oid))
FROM pg_constraint WHERE contype IN ('p', 'u') AND conrelid IN ({tables})
UNION ALL
SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE indrelid IN ({tables})
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""
"""How each index is dropped, and how it is made."""


def _split(lines: str) -> tuple[list[str], list[str]]:
    pairs = [line.split("|", 1) for line in lines.splitlines()]
    return [first for first, _ in pairs], [second for _, second in pairs]


def _at_once(server: Server, statements: list[str], database: str) -> None:
    """Run the statements, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda statement: server.psql(statement, database), statements))


@contextmanager
def fresh(bench: Bench, template: str, *, commit_ms: int = 0) -> Iterator[str]:
    """A copy to work on; a big database is worked on itself.

    `commit_ms`: how long each commit waits before it is written, as on a slow disk. Who commits
    meanwhile is written with it, as on every disk.
    """
    if template != "bench_empty":
        yield template
        return
    bench.server.new_database("bench_work", template=template)
    if commit_ms:
        for name, value in {"commit_delay": commit_ms * 1_000, "commit_siblings": 0}.items():
            bench.server.psql(f"ALTER DATABASE bench_work SET {name} = {value}")
    yield "bench_work"


# --- callbacks ------------------------------------------------------------------------------


SLOW_DISK_MS: Final = 5
"""What a commit takes longer on a disk that is far away."""


def callbacks(
    bench: Bench,
    *,
    connections: int,
    template: str = "bench_empty",
    sqlite: bool = False,
    commit_ms: int = 0,
) -> Figures:
    """Milango takes callbacks in: `milango serve`, as in production."""
    with _somewhere(bench, template, sqlite=sqlite, commit_ms=commit_ms) as env:
        workers = 1 if sqlite else 2
        command = ["milango.server", "serve", "--no-background", "--workers", str(workers)]
        return _take_in(bench, "callbacks", 4_000, env, command, connections)


def callbacks_by_drf(bench: Bench, *, connections: int = 64) -> Figures:
    """The same work by a plain REST framework view."""
    with _somewhere(bench, "bench_empty", sqlite=False) as env:
        command = ["gunicorn", "bench.baselines:application", "--workers=2", "--threads=8"]
        return _take_in(bench, "drf", 300, env, command, connections)


@contextmanager
def _somewhere(
    bench: Bench, template: str, *, sqlite: bool, commit_ms: int = 0
) -> Iterator[dict[str, str]]:
    if not sqlite:
        with fresh(bench, template, commit_ms=commit_ms) as database:
            yield bench.env(database)
        return
    file = FOLDER / "bench.sqlite3"
    for each in FOLDER.glob("bench.sqlite3*"):
        each.unlink()
    env = bench.env(sqlite=str(file))
    python(["bench.seed", "merchants", "50"], env)
    yield env


def _take_in(
    bench: Bench,
    scenario: str,
    guess: float,
    env: dict[str, str],
    command: list[str],
    connections: int,
) -> Figures:
    requests = FOLDER / "requests.pickle"
    number = bench.how_many(scenario, guess)
    python(["bench.seed", "waiting", str(number), str(requests)], env)
    port = free_port()
    bind = ["--bind", f"127.0.0.1:{port}"] if command[0] == "gunicorn" else ["--port", str(port)]
    with program([*command, *bind], env, port) as process:
        before = _settled(bench, env)
        if "BENCH_POSTGRES" in env:
            bench.server.psql("CHECKPOINT")
        servers, database = family(process.pid), bench.server.processes()
        used = cpu_us(servers), cpu_us(bench.server.processes())
        found = load(["send", str(port), str(connections), str(requests)], env)
        database = bench.server.processes()
        spent = cpu_us(family(process.pid)) - used[0], cpu_us(database) - used[1]
        _check(found, number, _settled(bench, env) - before)
    bench.expected[scenario] = found["per_s"]
    return {
        "per_s": found["per_s"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "generator_us": found["generator_us"],
        "server_us": spent[0] / number,
        "database_us": spent[1] / number if "BENCH_POSTGRES" in env else 0.0,
    }


SETTLED: Final = """
SELECT count(*) FROM milango_payment p WHERE status = 'Success'
    AND EXISTS (SELECT 1 FROM milango_inboundcallback WHERE payment_id = p.id)
    AND EXISTS (SELECT 1 FROM milango_paymentevent
        WHERE payment_id = p.id AND type = 'payment.succeeded')
    AND (service_type != 'captive_portal'
        OR EXISTS (SELECT 1 FROM milango_accessgrant WHERE payment_id = p.id))
"""


def _settled(bench: Bench, env: dict[str, str]) -> int:
    """Payments that are settled with everything that follows."""
    if file := env.get("BENCH_SQLITE"):
        with closing(sqlite3.connect(file)) as database:
            return int(database.execute(SETTLED).fetchone()[0])
    return int(bench.server.psql(SETTLED, env["BENCH_DATABASE"]))


def _check(found: dict[str, Any], number: int, settled: int) -> None:
    """Every callback that was answered 200 is in the database, settled and followed up."""
    answered = found["answers"].get("200", 0)
    if answered != number or settled != answered:
        raise RuntimeError(f"sent {number}, answered {found['answers']}, settled {settled}")


PGBENCH: Final = r"""
\set n random(1, :most)
WITH who AS (SELECT id FROM bench_ids WHERE n = :n),
paid AS (
    UPDATE milango_payment p SET status = 'Success', receipt_number = 'R' || :n,
        amount_paid = amount, settled_at = now(), updated_at = now(), result_code = '0'
    FROM who WHERE p.id = who.id RETURNING p.id, p.merchant_id)
INSERT INTO milango_inboundcallback (id, kind, payment_id, merchant_id, body, body_sha256,
    headers, peer, verdict, repeats, received_at)
SELECT gen_random_uuid(), 'stk', id, merchant_id, convert_to(repeat('x', 560), 'UTF8'),
    md5(random()::text) || md5(random()::text), '{}', '127.0.0.1', 'settled', 0, now() FROM paid;
"""
"""One statement that stores and settles one callback: no event, no grant, no delivery."""


def callbacks_by_pgbench(bench: Bench, *, commit_ms: int = 0) -> Figures:
    """What PostgreSQL itself reaches with one prepared statement a callback, 32 clients."""
    assert bench.server.pgbench
    number = 20_000
    with fresh(bench, "bench_empty", commit_ms=commit_ms) as database:
        env = bench.env(database)
        python(["bench.seed", "waiting", str(number), str(FOLDER / "unused.pickle")], env)
        _make_ids(bench, database)
        script = FOLDER / "callback.sql"
        script.write_text(PGBENCH)
        words = f"-M prepared -c 32 -j 2 -n -T {max(3, int(bench.seconds))} -D most={number}"
        done = subprocess.run(
            [
                str(bench.server.pgbench),
                *words.split(),
                *("-f", str(script), "-h", str(bench.server.folder), "-U", "postgres", database),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found
    return {"per_s": float(found[1])}


def _make_ids(bench: Bench, database: str) -> None:
    bench.server.psql(
        "CREATE TABLE bench_ids AS SELECT row_number() OVER () AS n, id FROM milango_payment",
        database,
    )
    bench.server.psql("ALTER TABLE bench_ids ADD PRIMARY KEY (n)", database)
    bench.server.psql("VACUUM ANALYZE", database)


# --- pushes ---------------------------------------------------------------------------------

DARAJA_SECONDS: Final = 0.5
BURST: Final = 50
"""Payers who ask in the same instant."""
BUSY: Final = 100
"""Merchants whose payers are prompted at the same time."""


def pushes(bench: Bench, *, connections: int, template: str = "bench_empty") -> Figures:
    """Prompts, so many at a time, while Daraja takes half a second for each."""
    command = ["milango.server", "serve", "--no-background", "--workers", "2"]
    guess = connections / DARAJA_SECONDS * 0.8
    return _push(bench, f"pushes-{connections}", guess, command, connections, template)


def pushes_the_sync_way(bench: Bench, *, connections: int = 500) -> Figures:
    """gunicorn's threads, `requests`, a token for each prompt."""
    command = ["gunicorn", "bench.baselines:application", "--workers=2", "--threads=25"]
    return _push(bench, "sync", 100, command, connections, "bench_empty", at_once=50)


def _push(
    bench: Bench,
    scenario: str,
    guess: float,
    command: list[str],
    connections: int,
    template: str,
    at_once: int = 0,
) -> Figures:
    """`at_once`: how many the server has under way, where that is less than the connections."""
    # Six waves: the first and the last of them are not what is measured.
    number = max((at_once or connections) * 6, bench.how_many(scenario, guess))
    requests = FOLDER / "pushes.pickle"
    requests.write_bytes(pickle.dumps([_wish(n) for n in range(number)]))
    daraja, port = free_port(), free_port()
    bind = ["--bind", f"127.0.0.1:{port}"] if command[0] == "gunicorn" else ["--port", str(port)]
    with fresh(bench, template) as database:
        env = bench.env(database, daraja=daraja)
        twin = ["bench.twin", str(daraja), str(DARAJA_SECONDS)]
        with program(twin, env, daraja), program([*command, *bind], env, port) as process:
            _warm_up(env, port, times=1 if at_once else 5)
            used = cpu_us(family(process.pid)), cpu_us(bench.server.processes())
            # Payers do not press at the same time: over one answer of Daraja's they begin.
            words = ["send", str(port), str(connections), str(requests), str(DARAJA_SECONDS)]
            found = load(words, env)
            spent = (
                cpu_us(family(process.pid)) - used[0],
                cpu_us(bench.server.processes()) - used[1],
            )
            burst_ms = _burst_ms(env, port) if connections == BURST else 0.0
    if found["answers"].get("202", 0) != number:
        raise RuntimeError(f"asked for {number} prompts, answered {found['answers']}")
    bench.expected[scenario] = found["per_s"]
    return {
        "per_s": found["per_s"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "added_p99_ms": found["p99_ms"] - DARAJA_SECONDS * 1_000,
        "burst_ms": burst_ms,
        "generator_us": found["generator_us"],
        "server_us": spent[0] / number,
        "database_us": spent[1] / number,
    }


def _wish(n: int) -> bytes:
    """A request for a prompt; keys, short codes and phones go round."""
    merchant = n % BUSY
    body = json.dumps(
        {
            "phone_number": f"2547{random.randrange(10**8):08}",  # noqa: S311 - made-up payers
            "amount": 50,
            "shortcode": str(100_000 + merchant),
            "service_type": "captive_portal",
        }
    ).encode()
    return (
        f"POST /api/v1/stk-push HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {seed.KEY.format(number=merchant)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _warm_up(env: dict[str, str], port: int, *, times: int) -> None:
    """Every merchant, in every process: tokens are fetched, clients are made."""
    requests = FOLDER / "warm.pickle"
    requests.write_bytes(pickle.dumps([_wish(n) for n in range(BUSY)] * times))
    load(["send", str(port), "200", str(requests)], env)


def _burst_ms(env: dict[str, str], port: int) -> float:
    """Milliseconds that are added to Daraja's until a whole burst is answered."""
    requests = FOLDER / "burst.pickle"
    requests.write_bytes(pickle.dumps([_wish(n) for n in range(BURST)]))
    found = load(["send", str(port), str(BURST), str(requests)], env)
    return float(found["most_ms"]) - DARAJA_SECONDS * 1_000


STREAMS: Final = 10_000


def streams(bench: Bench) -> Figures:
    """Payers who wait at one process: what they cost, and how soon they hear."""
    file, port = FOLDER / "streams.pickle", free_port()
    with fresh(bench, "bench_empty") as database:
        env = bench.env(database)
        python(["bench.seed", "waiting", str(STREAMS), str(file)], env)
        command = ["milango.server", "serve", "--no-background", "--port", str(port)]
        with program(command, env, port) as process:
            found = load(["streams", str(port), str(process.pid), str(file)], env)
    if found["open"] != STREAMS or found["woken"] != found["told"]:
        raise RuntimeError(f"streams: {found}")
    return {"mb": found["mb"], "wake_p99_ms": found["wake_p99_ms"]}


# --- webhooks -------------------------------------------------------------------------------

DELIVERED: Final = """
SELECT count(*) FROM milango_webhookdelivery d
WHERE state = 'delivered' AND event_type = '{type}'
    AND EXISTS (SELECT 1 FROM milango_webhookattempt WHERE delivery_id = d.id AND status = 200)
"""


def webhooks(bench: Bench) -> Figures:
    """One worker tells 50 merchants, whose servers are fast: how soon, and how many a second."""
    file, port = FOLDER / "webhooks.pickle", free_port()
    number = bench.how_many("webhooks", 2_000)
    with fresh(bench, "bench_empty") as database:
        env = bench.env(database)
        # A payment for each webhook: what was read for one is of no use to the next.
        words = [str(told.FIRSTS + 1 + number), str(file), str(told.ENDPOINTS)]
        python(["bench.seed", "waiting", *words], env)
        # The worker would ask Daraja what became of the prompts, and this one is to be idle.
        bench.server.psql("DELETE FROM milango_openprompt", database)
        with program(["milango.server", "worker"], env) as worker:
            time.sleep(3)
            asked = [str(port), str(number), str(file), str(worker.pid)]
            found = last_line(python(["bench.told", *asked], env))
        delivered = int(bench.server.psql(DELIVERED.format(type=told.TYPE), database))
    if delivered != number:
        raise RuntimeError(f"told {number} times, of which {delivered} are delivered and logged")
    bench.expected["webhooks"] = found["per_s"]
    return found


# --- status, waiting, rest ------------------------------------------------------------------


STATUS_CONNECTIONS: Final = "64"


def statuses(bench: Bench, *, template: str) -> Figures:
    """Reads of one payment's status by its checkout_id."""
    names = bench.server.psql(
        "SELECT checkout_id, c.short_code FROM milango_payment p "
        "JOIN milango_mpesacredential c ON c.id = p.credential_id "
        f"LIMIT {bench.how_many('statuses', 3_000)}",
        template,
    )
    requests = [_question(*line.split("|")) for line in names.splitlines()]
    file, port = FOLDER / "statuses.pickle", free_port()
    file.write_bytes(pickle.dumps(requests))
    env = bench.env(template)
    command = ["milango.server", "serve", "--no-background", "--port", str(port)]
    with program(command, env, port):
        load(["send", str(port), STATUS_CONNECTIONS, str(file)], env)
        found = load(["send", str(port), STATUS_CONNECTIONS, str(file)], env)
    if found["answers"] != {"200": len(requests)}:
        raise RuntimeError(f"statuses were answered {found['answers']}")
    return {"per_s": found["per_s"], "p50_ms": found["p50_ms"]}


def _question(checkout_id: str, short_code: str) -> bytes:
    key = seed.KEY.format(number=int(short_code) - 100_000)
    return (
        f"GET /api/v1/payments/status/{checkout_id} HTTP/1.1\r\nHost: bench\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    ).encode()


def rest(bench: Bench) -> Figures:
    """The demo's memory at rest, and how long `milango --help` takes."""
    began = time.perf_counter()
    python(["milango.server", "--help"], {})
    help_s = time.perf_counter() - began
    port, simulator = free_port(), free_port()
    words = ["milango.server", "demo", "--json", "--port", str(port)]
    words += ["--simulator-port", str(simulator), "--data", str(FOLDER / "demo")]
    with program(words, {}, port) as process:
        time.sleep(3)
        used = memory_mb(family(process.pid))
    return {"mb": used, "help_s": help_s}


def clean(folder: Path = FOLDER) -> None:
    """Requests of the last run are of no use to the next."""
    for each in folder.glob("*.pickle"):
        each.unlink()
