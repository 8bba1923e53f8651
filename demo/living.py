"""What goes on while the demo runs: followers that ask, and now and then a token is revoked."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from demo.cast import FOLLOWERS
from demo.counting import count_until
from tokensvc.core.actor import Actor
from tokensvc.core.errors import TokensvcError
from tokensvc.core.identifier import new_jti
from tokensvc.issuer.revoking.credentials import revoke_jti

if TYPE_CHECKING:
    from tokensvc.store.pool import Database

_TICK: Final = 1.0
_REVOKED_EVERY: Final = 60  # ticks
_COUNTED_EVERY: Final = 120
_LONGEST_LAG: Final = 180

_HEAD: Final = "select seq, tag from feed_head where topic = 'denylist'"
_PUT: Final = """
insert into follower (key_id, name, seq, tag, seen_at)
values ((select id from api_key where name = 'denylist-followers'), $1, $2, $3, clock_timestamp())
on conflict (key_id, name) do update
set seq = excluded.seq, tag = excluded.tag, seen_at = excluded.seen_at
"""


async def live(database: Database, seed: int) -> None:
    """Go on until cancelled."""
    heads: deque[tuple[int, str]] = deque(maxlen=_LONGEST_LAG)  # one a tick, the newest first
    turn = 0
    while True:
        try:
            await _live_once(database, heads, turn, seed)
        except TokensvcError:  # Postgres goes before us at the end
            pass
        turn += 1
        await asyncio.sleep(_TICK)


async def _live_once(
    database: Database, heads: deque[tuple[int, str]], turn: int, seed: int
) -> None:
    async with database.connection() as connection:
        (row,) = await connection.fetch(_HEAD)
        heads.appendleft((row["seq"], row["tag"]))
        for name, lag in FOLLOWERS.items():
            seq, tag = heads[min(int(lag), len(heads) - 1)]
            await connection.execute(_PUT, name, seq, tag)
        if turn % _COUNTED_EVERY == 0:
            await count_until(connection, await connection.fetchval("select now()"), seed)
    if turn % _REVOKED_EVERY == 0:
        actor = Actor(name="holder", address="10.24.7.31")
        life = timedelta(minutes=10)
        await revoke_jti(database, new_jti(), life, actor=actor, reason="signed out")
