"""How long the denylist gets: a day of revocations, in made-up time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.installation import database_of, running_service
from tokensvc.core.keyring import LEEWAY
from tokensvc.store.denylist import delete_expired
from tokensvc.store.primary import connect

_REVOKE: Final = """
with head as (
    update feed_head set seq = seq + $1::int, tag = 'day' where topic = 'denylist' returning seq
)
insert into denylist
    (seq, tag, kind, value, watermark, created_at, expires_at, ending, healed)
select
    head.seq - $1::int + n, 'day', 'jti', gen_random_uuid()::text, null, $2::timestamptz,
    $2::timestamptz + $3::interval, 'token_revoked', false
from head, generate_series(1, $1::int) n
"""
_COUNT: Final = "select count(*) from denylist"


def day(rate: int = 10, life: int = 600) -> bool:
    """Live through a day; return whether the list stays within a tenth of what is in force.

    `rate`: revocations a second. `life`: seconds that a token lives. The cleaner stands still from
    the tenth hour to the eleventh.
    """
    kept = life + int(LEEWAY.total_seconds())
    with running_service() as service, database_of(service) as (url, _):
        most, without, left = asyncio.run(_live_a_day(url, rate, kept))
    bound = int(1.1 * rate * kept)
    print(f"{rate} revocations a second for a day, each kept for {kept} s:")
    print(f"at most {most} rows ({bound} allowed), {left} at the end;")
    print(f"{without} when the cleaner had stood still for an hour")
    return most <= bound


async def _live_a_day(url: str, rate: int, life: int) -> tuple[int, int, int]:
    """Return the most rows with a cleaner and without, and those at the end."""
    connection = await connect(url)
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    began = datetime(2026, 11, 25, tzinfo=UTC)
    most = without = 0
    for minute in range(24 * 60):
        now = began + timedelta(minutes=minute)
        await connection.execute(_REVOKE, 60 * rate, now, timedelta(seconds=life))
        if 600 <= minute < 660:
            without = max(without, await connection.fetchval(_COUNT))
            continue
        while await delete_expired(connection, now, 1000):
            pass
        most = max(most, await connection.fetchval(_COUNT))
    left = await connection.fetchval(_COUNT)
    await connection.close()
    return most, without, left
