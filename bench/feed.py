"""How long does a revoked token live at the last of many followers? And what do idle followers cost?

    python -m bench.feed propagation [--followers 200] [--revocations 1000]
    python -m bench.feed idle [--polls 5000]
    python -m bench.feed pages
    python -m bench.feed day                            ten revocations a second for a day of made-up time: how long does the list get?

`propagation`: followers in processes of their own, half at each of two services on one database; revocations at random times through
either. Times are those of the monotonic clock, which all processes of a machine share. Each follower verifies the token again as soon as
it has applied a page that denies it, so what counts is the refusal, not the page.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys
from testbed.processes import ServiceProcess

from bench.installation import database_of, memory_bytes, running_service
from bench.load import Connection, Load
from bench.throughput import ROOT, at_rate, write_requests
from tokensvc.core.denylist.page import Page, build_page_payload
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.identifier import Kid, new_jti, new_key_id
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.private_key import new_private_key
from tokensvc.core.token import DENYLIST_PAGE, SigningKey, read_unverified, sign_jws
from tokensvc.store.denylist import delete_expired
from tokensvc.store.primary import connect
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_AUDIENCE: Final = "api"
_FOLLOWERS_PER_PROCESS: Final = 50
_RATE: Final = 10.0  # revocations a second, on average
_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


# --- propagation -------------------------------------------------------------------------------------------------------------------


async def follow(issuer: str, feed: str, followers: int, listed: str) -> None:
    """Follow so many times over; print when each token was refused by each follower, at the end of stdin."""
    tokens = {read_unverified(token)[1]["jti"]: token for token in listed.split()}
    refused: list[tuple[str, float]] = []
    wrong: list[str] = []
    async with AsyncExitStack() as stack:
        verifiers = [
            Verifier(
                issuer=issuer,
                audience=_AUDIENCE,
                denylist_url=feed,
                follower=f"{feed}/{number}"[-90:],
                remember=2000,
            )
            for number in range(followers)
        ]
        for verifier in verifiers:
            _watch(
                verifier, tokens, refused, wrong
            )  # before the first poll, which would be under way with the method as it was
        await asyncio.gather(*(stack.enter_async_context(verifier) for verifier in verifiers))
        for verifier in verifiers:
            for token in tokens.values():
                verifier.verify(token)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"refused": refused, "wrong": wrong}), flush=True)


def _watch(
    verifier: Verifier, tokens: dict[str, str], refused: list[tuple[str, float]], wrong: list[str]
) -> None:
    """Verify every token that a page denies, as soon as it has been applied."""
    feed = verifier._followers.feed  # noqa: SLF001 - a measurement may look inside
    take: Callable[[str], None] = feed.take

    def take_and_verify(text: str) -> None:
        take(text)
        for entry in json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))["entries"]:
            if entry.get("jti") in tokens:
                try:
                    verifier.verify(tokens[entry["jti"]])
                    wrong.append(entry["jti"])
                except InvalidTokenError:
                    refused.append((entry["jti"], time.monotonic()))

    feed.take = take_and_verify  # type: ignore[method-assign]


async def _revoke_all(
    services: Sequence[ServiceProcess], tokens: Sequence[str]
) -> dict[str, float]:
    """Revoke every token at a random moment through a random service; return when each was acknowledged."""
    acknowledged: dict[str, float] = {}
    async with aiohttp.ClientSession() as session:

        async def revoke(token: str) -> None:
            async with session.post(
                f"{random.choice(services).url}/v1/revoke", data={"token": token}
            ) as answer:
                if answer.status == 200:
                    acknowledged[read_unverified(token)[1]["jti"]] = time.monotonic()

        async with asyncio.TaskGroup() as group:
            for token in tokens:
                group.create_task(revoke(token))
                await asyncio.sleep(random.expovariate(_RATE))
    await asyncio.sleep(2)
    return acknowledged


async def _exchange(url: str, keys: Sequence[str]) -> list[str]:
    async with aiohttp.ClientSession() as session:

        async def one(key: str) -> str:
            async with session.post(
                f"{url}/v1/token", headers={"Authorization": f"Bearer {key}"}
            ) as answer:
                return str((await answer.json())["access_token"])

        return [await one(key) for key in keys]


def propagation(followers: int, revocations: int) -> bool:
    """Measure from acknowledgement to the last refusal."""
    life = {"TOKENSVC_TOKEN_TTL": "3600", "TOKENSVC_LOG_LEVEL": "warning"}
    with running_service(1, life) as first, database_of(first) as (url, _), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-")))
        shared = {
            "TOKENSVC_DATABASE_URL": url,
            "TOKENSVC_KEYS_DIR": str(first.folder / "keys"),
            "TOKENSVC_ISSUER": first.url,
        }
        second = ServiceProcess(folder, (), {**life, **shared})
        stack.callback(second.stop)
        second.wait_until_ready()
        services = [first, second]
        tokens = asyncio.run(_exchange(first.url, add_keys(url, revocations)))
        (folder / "tokens").write_text("\n".join(tokens))
        children = []
        for number in range(max(1, followers // _FOLLOWERS_PER_PROCESS)):
            options = [
                first.url,
                services[number % 2].url,
                str(min(followers, _FOLLOWERS_PER_PROCESS)),
                str(folder / "tokens"),
            ]
            command = [sys.executable, "-m", "bench.feed", "follow", *options]
            children.append(
                subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
        for child in children:
            if child.stdout is None or child.stdout.readline().strip() != "ready":
                raise RuntimeError("a follower did not start")
        acknowledged = asyncio.run(_revoke_all(services, tokens))
        seen = [json.loads(child.communicate("")[0]) for child in children]
    return _judge(acknowledged, seen, followers, revocations)


def _judge(
    acknowledged: dict[str, float],
    seen: Sequence[dict[str, list[tuple[str, float]]]],
    followers: int,
    revocations: int,
) -> bool:
    last: dict[str, float] = {}
    heard: dict[str, int] = {}
    for child in seen:
        for jti, moment in child["refused"]:
            last[jti] = max(moment, last.get(jti, moment))
            heard[jti] = heard.get(jti, 0) + 1
    times = sorted(
        max(0.0, last[jti] - moment) for jti, moment in acknowledged.items() if jti in last
    )
    everywhere = sum(heard.get(jti, 0) >= followers for jti in acknowledged)
    missing = {jti: heard.get(jti, 0) for jti in acknowledged if heard.get(jti, 0) < followers}
    if missing:
        order = sorted(acknowledged, key=acknowledged.__getitem__)
        print(f"refusals that are missing: {[(order.index(jti), missing[jti]) for jti in missing]}")
    wrong = sum(len(child["wrong"]) for child in seen)
    figures = ", ".join(
        f"{name} {1e3 * times[min(len(times) - 1, int(share * len(times)))]:.1f} ms"
        for name, share in _SHARES
    )
    print(
        f"{followers} followers, 2 services, {len(acknowledged)} of {revocations} revocations acknowledged; refused everywhere {everywhere}"
    )
    print(
        f"acknowledged -> refused by the last follower: {figures}; accepted after its page {wrong}"
    )
    return everywhere == revocations and wrong == 0 and times[int(0.99 * len(times))] <= 1


# --- idle followers ----------------------------------------------------------------------------------------------------------------


async def _hold(
    port: int, polls: int, cursor: str, until: asyncio.Event, ready: asyncio.Event
) -> Load:
    """Keep so many long polls open."""
    head = f"GET /v1/denylist?after={cursor}&wait=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    load, loop = Load([head]), asyncio.get_running_loop()
    load.endless = True
    for _ in range(polls):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    load.due.extend([time.perf_counter()] * polls)
    load.send()
    ready.set()
    await until.wait()
    return load


async def _idle(service: ServiceProcess, requests: Path, polls: int) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.url}/v1/denylist") as answer,
    ):
        cursor = read_unverified(await answer.text())[1]["cursor"]
    before = await asyncio.to_thread(at_rate, service.port, requests, rate=500)
    empty = memory_bytes(service.pid)
    until, ready = asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(_hold(service.port, polls, cursor, until, ready))
    await ready.wait()
    await asyncio.sleep(3)
    full = memory_bytes(service.pid)
    during = await asyncio.to_thread(at_rate, service.port, requests, rate=500)
    until.set()
    load = await holding
    print(
        f"{polls} idle long polls: memory {empty / 1e6:.0f} -> {full / 1e6:.0f} MB ({(full - empty) / polls / 1e3:.1f} kB each)"
    )
    print(
        f"exchange at 500/s: p50 {before.p50} -> {during.p50} ms, p99 {before.p99} -> {during.p99} ms; failed {during.failed}"
    )
    print(f"answers to polls {dict(load.statuses)}")
    return during.p99 <= 2 * before.p99 and during.failed == 0


def idle(polls: int) -> bool:
    """Measure what idle followers cost the exchange."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], 2 * polls + 1000), limit[1]))
    with (
        running_service() as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 1000))
        at_rate(service.port, requests, rate=500, seconds=3)
        return asyncio.run(_idle(service, requests, polls))


# --- pages -------------------------------------------------------------------------------------------------------------------------


def pages() -> bool:
    """Measure the size of pages."""
    key = SigningKey(Kid("k" * 43), "ES256", new_private_key("ES256"))
    sizes = {}
    for what, count in (("jti", 1), ("jti", 1000), ("key", 1000)):
        upto = 1_795_473_738 if what == "key" else None
        entries = tuple(
            Revocation(
                kind=what,  # type: ignore[arg-type]
                value=new_key_id() if what == "key" else new_jti(),
                exp=1_795_474_458,
                upto=upto,
            )
            for _ in range(count)
        )
        page = Page(
            issuer="https://auth.example.com",
            issued_at=1_795_473_738,
            expires_at=1_795_473_798,
            cursor=Position(123_456, "9f86d081884c7d65"),
            after=Position(122_456, "9f86d081884c7d65"),
            full=False,
            entries=entries,
        )
        sizes[f"{count} x {what}"] = len(
            sign_jws(build_page_payload(page), typ=DENYLIST_PAGE[0], key=key)
        )
    print(f"bytes of a page: {sizes}")
    return sizes["1000 x jti"] <= 65_536 and sizes["1 x jti"] <= 1024


# --- a day -------------------------------------------------------------------------------------------------------------------------


async def _live_a_day(url: str, rate: int, life: int) -> tuple[int, int, int]:
    """Revoke so many tokens a second for a day of made-up time; return the most rows with and without a cleaner, and those at the end."""
    connection = await connect(url)
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    began = datetime(2026, 11, 25, tzinfo=UTC)
    most = without = 0
    for minute in range(24 * 60):
        now = began + timedelta(minutes=minute)
        await connection.execute(
            "with head as (update feed_head set seq = seq + $1::int, tag = 'day' where topic = 'denylist' returning seq) "
            "insert into denylist (seq, tag, kind, value, upto, created_at, expires_at, reason) "
            "select head.seq - $1::int + n, 'day', 'jti', gen_random_uuid()::text, null, $2::timestamptz, "
            "$2::timestamptz + $3::interval, 'token revoked' "
            "from head, generate_series(1, $1::int) n",
            60 * rate,
            now,
            timedelta(seconds=life),
        )
        rows = await connection.fetchval("select count(*) from denylist")
        if 600 <= minute < 660:
            without = max(without, rows)
            continue
        while await delete_expired(connection, now, 1000):
            pass
        most = max(most, await connection.fetchval("select count(*) from denylist"))
    left = await connection.fetchval("select count(*) from denylist")
    await connection.close()
    return most, without, left


def day(rate: int = 10, life: int = 600) -> bool:
    """Live through a day of revocations, the clock an argument."""
    kept = life + int(LEEWAY.total_seconds())
    with running_service() as service, database_of(service) as (url, _):
        most, without, left = asyncio.run(_live_a_day(url, rate, kept))
    bound = int(1.1 * rate * kept)
    print(
        f"{rate} revocations a second for a day, kept {kept} s each: at most {most} rows ({bound} allowed), {left} at the end;"
    )
    print(
        f"{without} after the cleaner had stood still for an hour, and {most} at most again at its next turn"
    )
    return most <= bound


def main() -> int:
    """Measure what is asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.feed")
    parser.add_argument(
        "what", nargs="?", choices=["propagation", "idle", "pages", "day", "follow"]
    )
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--revocations", type=int, default=1000)
    parser.add_argument("--polls", type=int, default=5000)
    options = parser.parse_args()
    if options.what == "follow":
        issuer, service, followers, tokens = options.rest
        asyncio.run(
            follow(issuer, f"{service}/v1/denylist", int(followers), Path(tokens).read_text())
        )
        return 0
    proofs: dict[str, Callable[[], bool]] = {
        "pages": pages,
        "day": day,
        "idle": lambda: idle(options.polls),
        "propagation": lambda: propagation(options.followers, options.revocations),
    }
    kept = {name: proof() for name, proof in proofs.items() if options.what in {None, name}}
    print(json.dumps(kept))
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
