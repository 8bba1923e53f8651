"""What is read of the denylist for one thing does not grow with the list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key

from tokensvc.issuer.admin import accounts
from tokensvc.store.denylist import (
    find_ended,
    list_named,
    list_of,
    revoke_token_by_id,
    revoke_tokens,
)
from tokensvc.store.pool import open_database

GROW = """
with head as (update feed_head set seq = seq + 2000 where topic = 'denylist' returning seq)
insert into denylist (seq, tag, kind, value, created_at, expires_at, ending, healed)
select head.seq - 2000 + number, 'tag', 'jti', 'j' || number, now(), now() + interval '1 h',
    'token_revoked', false
from head, generate_series(1, 2000) as number
"""
MOST_READ = 20
READ = "select sum(idx_tup_read)::int from pg_stat_user_indexes where relname = 'denylist'"
SOON = timedelta(minutes=10)


@pytest.fixture
async def database(database_url):
    """Has one connection, which keeps its plans and tells what it has read."""
    opened = await open_database(database_url, max_size=1)
    yield opened
    await opened.close()


async def count_read(database):
    async with database.connection() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        return await connection.fetchval(READ)


async def test_plans_that_were_made_for_an_empty_list_do_not_read_a_long_one(
    database, connection, subtests
):
    await connection.execute("analyze")  # as after an hour in which nothing was revoked
    account = (await accounts.create_account(database, "Orders", actor=ACTOR)).id
    keys = [(await make_key(database, account=account)).listed.record.id for _ in range(10)]
    expires = datetime.now(UTC) + SOON

    async def look(act):
        async with database.connection() as opened:
            return await act(opened)

    def find(number):
        things: Any = [("jti", f"j{number}"), ("key", keys[0]), ("account", account)]
        ended: Any = {"key_id": keys[0], "account_id": account, "issued_at": expires - SOON}
        return look(lambda opened: find_ended(opened, things, **ended))

    def revoke(number):
        tokens: Any = [(f"new-{number}", expires, {})]
        return look(lambda opened: revoke_tokens(opened, tokens, actor=ACTOR))

    def revoke_by_id(number):
        wish: Any = {"actor": ACTOR, "reason": ""}
        return look(lambda opened: revoke_token_by_id(opened, f"id-{number}", SOON, **wish))

    readers = {
        "a key": lambda number: endings.revoke_key(database, keys[number], actor=ACTOR),
        "an account": lambda _: endings.revoke_tokens_of_account(database, account, actor=ACTOR),
        "a token": revoke,
        "the id of a token": revoke_by_id,
        "introspection": find,
        "what a list shows": lambda number: look(lambda opened: list_of(opened, [f"j{number}"])),
        "some named things": lambda number: look(
            lambda opened: list_named(opened, [("jti", f"j{number}")])
        ),
    }
    for reader in readers.values():
        for number in range(8):  # a statement keeps its plan after some times
            await reader(number)
    await connection.execute(GROW)
    for name, reader in readers.items():
        before = await count_read(database)
        await reader(9)
        with subtests.test(msg=name):
            assert await count_read(database) - before <= MOST_READ
