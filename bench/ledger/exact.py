"""Limits are exact: hammer the same keys through two services, and count what was admitted."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys
from testbed.processes import ServiceProcess

from bench.installation import database_of, running_service
from bench.ledger.query import query
from tokensvc.core.token import read_unverified

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEYS: Final = 100
_ACCOUNTS: Final = 10
_PER_MINUTE: Final = 60
_PER_ACCOUNT: Final = 400  # less than ten keys may do together: the account's cap shows as well
_CLIENTS: Final = 64
_OK, _LIMITED = 200, 429
# Refusals that come late would keep the clients from asking often enough.
_AT_ONCE: Final = {"TOKENSVC_REFUSALS_PER_MINUTE": "1000000000"}


@dataclass(slots=True)
class _Tally:
    """What was admitted, by key and minute of the `iat`, and how often each status was seen."""

    admitted: Counter[tuple[str, int]] = field(default_factory=Counter)
    statuses: Counter[object] = field(default_factory=Counter)


def exact(minutes: int = 3) -> bool:
    """Ask for ten times the limit, restart one service in the middle; return whether it held."""
    with (
        running_service(2, _AT_ONCE) as first,
        database_of(first) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        limits = {"per_minute": _PER_MINUTE, "account_per_minute": _PER_ACCOUNT}
        capped = add_keys(url, _KEYS, accounts=_ACCOUNTS, **limits)
        plain = add_keys(url, _KEYS, accounts=_KEYS, per_minute=_PER_MINUTE)
        environment = _AT_ONCE | {
            "TOKENSVC_DATABASE_URL": url,
            "TOKENSVC_KEYS_DIR": str(first.folder / "keys"),
        }
        second = ServiceProcess(Path(name), ("--workers", "2"), environment)
        try:
            second.wait_until_ready()
            tally = asyncio.run(_hammer([first, second], [*capped, *plain], minutes))
        finally:
            second.stop()
        deadlocks = query(url, "select sum(deadlocks) from pg_stat_database")
    return _judge(tally, capped, plain, deadlocks)


async def _hammer(services: Sequence[ServiceProcess], keys: Sequence[str], minutes: int) -> _Tally:
    """Ask with random keys until so many whole minutes are over."""
    tally = _Tally()
    ends = time.time() + 60 - time.time() % 60 + 60 * minutes + 1

    async def restart() -> None:
        await asyncio.sleep(ends - time.time() - 60 * minutes / 2)
        await asyncio.to_thread(services[1].stop)
        await asyncio.to_thread(services[1].start)

    async def hammer(session: aiohttp.ClientSession, number: int) -> None:
        while time.time() < ends:
            key = random.choice(keys)
            try:
                await _ask(session, services[number % 2].url, key, tally)
            except (aiohttp.ClientError, OSError):
                tally.statuses["restarting" if number % 2 else "lost"] += 1
                await asyncio.sleep(0.05)

    connector = aiohttp.TCPConnector(limit=_CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(restart(), *(hammer(session, n) for n in range(_CLIENTS)))
    return tally


async def _ask(session: aiohttp.ClientSession, url: str, key: str, tally: _Tally) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post(f"{url}/v1/token", headers=headers) as answer:
        body = await answer.json()
    tally.statuses[answer.status] += 1
    if answer.status == _OK:
        issued_at = int(read_unverified(body["access_token"])[1]["iat"])
        tally.admitted[key, issued_at // 60] += 1


def _judge(tally: _Tally, capped: Sequence[str], plain: Sequence[str], deadlocks: int) -> bool:
    admitted, expected = tally.admitted, {_OK, _LIMITED, "restarting"}
    minutes = sorted({minute for _, minute in admitted})[1:-1]  # whole ones
    of_plain = Counter(admitted[key, minute] for minute in minutes for key in plain)
    of_accounts = Counter(
        sum(admitted[key, minute] for key in capped[n::_ACCOUNTS])
        for minute in minutes
        for n in range(_ACCOUNTS)
    )
    most = max(admitted[key, minute] for minute in minutes for key in capped)
    errors = {what: count for what, count in tally.statuses.items() if what not in expected}
    print(f"statuses {dict(tally.statuses)}, whole minutes {len(minutes)},", end=" ")
    print(f"deadlocks {deadlocks}, errors {errors}")
    print(f"tokens per key and minute, {_PER_MINUTE} allowed: {dict(of_plain)}")
    print(f"tokens per account and minute, {_PER_ACCOUNT} allowed: {dict(of_accounts)};", end=" ")
    print(f"most of one of their keys {most}")
    return (
        of_plain == {_PER_MINUTE: len(minutes) * len(plain)}
        and set(of_accounts) == {_PER_ACCOUNT}
        and not errors
        and deadlocks == 0
    )
