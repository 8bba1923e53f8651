"""Acts that end keys, accounts and tokens: one statement each, and a repeat writes nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests import endings
from tests.integration.losses import list_endings
from tests.integration.things import ACTOR, list_acts, make_key, revoke_keys

from tokensvc.core.errors import InvalidTokenError, UnavailableError
from tokensvc.core.identifier import new_jti
from tokensvc.issuer.connection_share import ConnectionShare
from tokensvc.issuer.revoking.credentials import HolderRevocations, revoke_jti, revoke_token
from tokensvc.issuer.revoking.introspection import Introspection, describe_token

REPEATABLE = {
    "keys.disable": endings.disable_key,
    "keys.revoke": endings.revoke_key,
    "accounts.suspend": endings.suspend_account,
}


async def count_rows(connection):
    return await connection.fetchval(
        "select (select count(*) from audit_event) + (select count(*) from denylist)"
    )


@pytest.mark.parametrize("action", REPEATABLE)
async def test_a_repeat_writes_nothing_and_wakes_nobody(action, database, connection):
    act: Any = REPEATABLE[action]
    key = (await make_key(database)).listed.record
    subject = key.id if action.startswith("key") else key.account_id
    await act(database, subject, actor=ACTOR)
    rows, head = await count_rows(connection), await connection.fetch("select * from feed_head")
    for _ in range(3):
        await act(database, subject, actor=ACTOR)
    assert await count_rows(connection) == rows
    assert await connection.fetch("select * from feed_head") == head
    assert (await list_acts(database, subject))[1:] == [action]


async def test_a_token_is_revoked_once_whoever_repeats_it(database, connection, issue):
    claims = (await issue(await make_key(database))).claims
    holders = HolderRevocations(database, ConnectionShare(10))
    first = await revoke_token(database, claims, actor=ACTOR)
    rows = await count_rows(connection)
    assert await holders.revoke_token(claims) == first
    by_id = await revoke_jti(database, claims.jti, timedelta(seconds=60), actor=ACTOR, reason="")
    assert [by_id] == first
    assert await count_rows(connection) == rows


@pytest.mark.usefixtures("started")
async def test_a_token_of_which_only_the_id_is_known_is_revoked_once(database, connection):
    jti = new_jti()
    first = await revoke_jti(database, jti, None, actor=ACTOR, reason="")
    rows = await count_rows(connection)
    for life in (None, timedelta(minutes=1)):
        assert await revoke_jti(database, jti, life, actor=ACTOR, reason="") == first
    assert await count_rows(connection) == rows


async def test_a_token_whose_revocation_would_expire_too_early_is_revoked_for_longer(
    database, issue
):
    claims = (await issue(await make_key(database))).claims
    await revoke_jti(database, claims.jti, timedelta(seconds=1), actor=ACTOR, reason="")
    records = await revoke_token(database, claims, actor=ACTOR)
    assert [record.revocation.exp >= claims.exp + 120 for record in records] == [False, True]


async def test_f47_an_act_waits_for_no_round_trip_while_it_holds_a_lock(database, connection):
    """What is held until the commit is held by a statement that commits itself."""
    keys = [(await make_key(database)).listed.record for _ in range(20)]
    # So few at once that on a busy machine no act waits in vain, and none is repeated.
    few = asyncio.Semaphore(3)

    async def end(act, subject):
        async with few:
            await act(database, subject, actor=ACTOR)

    before = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    await asyncio.gather(
        *(end(endings.revoke_key, key.id) for key in keys),
        *(end(endings.suspend_account, key.account_id) for key in keys),
    )
    after = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    assert after - before - 1 == 40, "a transaction for each act, and no other"
    states = await connection.fetch(
        "select query from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and state = 'idle' and query ilike '%end_%'"
    )
    assert states, "the last statement of a connection is the act itself, not a commit or a reset"


async def test_what_holders_revoke_at_once_shares_statements(database, connection):
    keys = [await make_key(database) for _ in range(30)]
    holders = HolderRevocations(database, ConnectionShare(10))
    before = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    ended = await asyncio.gather(
        *(holders.revoke_key(key.key.digest) for key in [*keys, *keys]),
        holders.revoke_key(bytes(32)),
    )
    after = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    assert after - before < 8
    assert [key.key_id for key in ended] == [key.listed.record.id for key in [*keys, *keys]] + [
        None
    ]
    assert ended[-1].outcome == "unknown"
    assert {len(key.records) for key in ended[:-1]} == {1}
    assert len(await list_endings(database)) == 30


async def test_a_row_that_somebody_holds_delays_no_other_act(database, connection):
    keys = [await make_key(database) for _ in range(5)]
    holders = HolderRevocations(database, ConnectionShare(10))
    async with connection.transaction():
        await connection.execute(
            "select from api_key_window where key_id = $1 for update", keys[2].listed.record.id
        )
        ended = await asyncio.gather(
            *(holders.revoke_key(key.key.digest) for key in keys), return_exceptions=True
        )
    kinds = [getattr(end, "outcome", type(end)) for end in ended]
    assert kinds == ["ended", "ended", UnavailableError, "ended", "ended"]


async def test_when_the_feed_is_locked_all_are_refused_soon(database, connection):
    keys = [await make_key(database) for _ in range(20)]
    holders = HolderRevocations(database, ConnectionShare(10))
    async with connection.transaction():
        await connection.execute("select from feed_head where topic = 'denylist' for update")
        began_on = asyncio.get_running_loop().time()
        ended = await asyncio.gather(
            *(holders.revoke_key(key.key.digest) for key in keys), return_exceptions=True
        )
        assert asyncio.get_running_loop().time() - began_on < 10
    assert {type(end) for end in ended} == {UnavailableError}
    assert (await holders.revoke_key(keys[0].key.digest)).outcome == "ended"


async def test_many_keys_are_revoked_in_one_act(database, connection):
    keys = [(await make_key(database)).listed.record.id for _ in range(20)]
    await endings.revoke_key(database, keys[3], actor=ACTOR)
    asked = [*keys, "key_0000000000000000", keys[0]]
    before = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    ended = await revoke_keys(database, asked)
    after = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    assert after - before == 2
    outcomes = ["ended"] * 20 + ["unknown", "ended"]
    outcomes[3] = "repeated"
    assert [key.outcome for key in ended] == outcomes
    assert [seq for (seq,) in await connection.fetch("select seq from denylist order by seq")] == [
        *range(1, 21)
    ]


def make_introspection(database, mirror, settings):
    return Introspection(
        database=database, mirror=mirror, share=ConnectionShare(10), issuer=settings.issuer_url
    )


@pytest.mark.parametrize("change", ["disable", "revoke", "delete", "suspend", "watermark"])
async def test_f41_introspection_looks_at_the_row_of_the_key_too(
    change, database, connection, new_mirror, issue, settings
):
    """The cleaner has deleted the revocation, by a clock that was ahead."""
    key = await make_key(database)
    token = await issue(key)
    mirror = await new_mirror()
    introspection = make_introspection(database, mirror, settings)
    assert await introspection.check(token.text) == token.claims
    acts: dict[str, Any] = {
        "disable": endings.disable_key,
        "revoke": endings.revoke_key,
        "delete": endings.delete_key,
        "suspend": endings.suspend_account,
        "watermark": endings.revoke_tokens_of_key,
    }
    record = key.listed.record
    subject = record.account_id if change == "suspend" else record.id
    await acts[change](database, subject, actor=ACTOR)
    await connection.execute("delete from denylist")
    with pytest.raises(InvalidTokenError):
        await introspection.check(token.text)
    assert (await describe_token(database, settings, token.text)).state == "revoked"


async def test_a_token_outlives_the_expiry_of_its_key(
    database, connection, new_mirror, issue, settings
):
    key = await make_key(database, life=timedelta(hours=1))
    token = await issue(key)
    introspection = make_introspection(database, await new_mirror(), settings)
    await connection.execute("update api_key set expires_at = clock_timestamp()")
    assert await introspection.check(token.text) == token.claims


async def test_nothing_is_unknown_while_a_backup_is_being_restored(
    database, connection, new_mirror, issue, settings
):
    key = await make_key(database)
    token = await issue(key)
    mirror = await new_mirror()
    introspection = make_introspection(database, mirror, settings)
    await connection.execute("truncate api_key cascade")
    await connection.execute("delete from feed_head")
    with pytest.raises(UnavailableError):
        await introspection.check(token.text)
    with pytest.raises(UnavailableError):
        await HolderRevocations(database, ConnectionShare(10)).revoke_key(key.key.digest)
    with pytest.raises(UnavailableError):
        await endings.suspend_account(database, key.listed.record.account_id, actor=ACTOR)
