"""Postgres forgets in a crash what it knew of the latest `iat`, and its clock was set back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests import endings
from tests.integration.exchanges import ask
from tests.integration.losses import lost
from tests.integration.test_moments import ACTS, KEYS
from tests.integration.things import ACTOR, make_key
from tests.rows import list_denylist

from tokensvc.core.iat_limit import AHEAD, LEAST_AHEAD
from tokensvc.core.identifier import new_jti
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.postgres_clock import PostgresClock
from tokensvc.issuer.revoking import credentials
from tokensvc.issuer.signing.emergency import revoke_signing_key_now

if TYPE_CHECKING:
    from datetime import datetime

A_MINUTE = timedelta(minutes=1)


async def crash(connection: Any, *, limit: datetime | None = None) -> datetime:
    """Do to the tables what a crash does to them, after which the clock is a minute behind.

    `limit`: what is left of the limit of `iat`; by default nothing of it was lost. Returns the
    limit as the clock shows it now.
    """
    await connection.execute("truncate iat_floor")
    for table in ("account_window", "api_key_window"):
        await connection.execute(f"update {table} set latest_iat = '-infinity'")
    at: datetime = await connection.fetchval(
        "update issuance set iat_limit = coalesce($1, iat_limit + $2) returning iat_limit",
        limit,
        A_MINUTE,
    )
    return at


@pytest.mark.parametrize("act_name", ACTS)
async def test_f41_an_act_after_a_crash_covers_what_was_issued_before(
    act_name, database, connection, new_mirror
):
    await new_mirror()
    record = (await make_key(database)).listed.record
    limit = await crash(connection)
    value = record.id if act_name in KEYS else record.account_id
    await ACTS[act_name](database, value, actor=ACTOR)
    (revoked,) = await list_denylist(database)
    assert revoked.watermark == limit
    assert revoked.revocation.exp == int(limit.timestamp()) + 3600 + 120


@pytest.mark.parametrize("life", [None, A_MINUTE])
async def test_f41_a_token_that_is_revoked_by_its_id_after_a_crash_stays_revoked(
    life, database, new_mirror, connection
):
    """It may have been issued up to the limit, and the clock does not tell how long it lives."""
    await new_mirror()
    limit = await crash(connection)
    revoked = await credentials.revoke_jti(database, new_jti(), life, actor=ACTOR, reason="")
    assert revoked.revocation.exp == int(limit.timestamp()) + 3600 + 120


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("ahead", [-3600, 3600])
async def test_f41_how_long_a_token_lives_from_now_on_is_believed_only_if_the_clocks_agree(
    ahead, database, connection
):
    now = await connection.fetchval("select clock_timestamp()")
    revoked = await credentials.revoke_jti(
        database, new_jti(), A_MINUTE, actor=ACTOR, reason="", wall=lambda: time.time() + ahead
    )
    assert revoked.revocation.exp >= int(now.timestamp()) + 3600 + 120


async def test_f41_a_signing_key_that_is_revoked_after_a_crash_stays_revoked(
    database, settings, started, new_mirror, connection
):
    mirror = await new_mirror()
    kid = mirror.signers.find("ES256", mirror.postgres_clock.now).kid
    limit = await crash(connection)
    await revoke_signing_key_now(database, settings, started.master_key, kid, actor=ACTOR)
    (revoked,) = await list_denylist(database)
    assert revoked.revocation.exp == int(limit.timestamp()) + 86_400


async def test_f41_an_act_in_a_run_that_goes_on_revokes_up_to_now(database, connection, new_mirror):
    mirror = await new_mirror()
    await mirror.refresh_once()
    await new_mirror()
    record = (await make_key(database)).listed.record
    await endings.revoke_tokens_of_key(database, record.id, actor=ACTOR)
    (revoked,) = await list_denylist(database)
    assert revoked.watermark < await connection.fetchval("select clock_timestamp()")


async def test_f41_a_process_remembers_the_limit_that_a_standby_never_had(
    database, connection, new_mirror
):
    mirror, other = await new_mirror(), await new_mirror()
    held = await connection.fetchval("select iat_limit from issuance")
    await crash(connection, limit=held - A_MINUTE)
    later = await new_mirror()  # it knows only what is left, and the clock goes on by it
    assert await connection.fetchval("select iat_limit from issuance") >= held
    for process in (mirror, other, later):
        await process.refresh_once()
        assert await connection.fetchval("select at from iat_floor") == held
    record = (await make_key(database)).listed.record
    await endings.suspend_account(database, record.account_id, actor=ACTOR)
    (revoked,) = await list_denylist(database)
    assert revoked.watermark == held


async def test_f41_what_is_healed_takes_no_good_token_with_it(
    database, connection, new_mirror, exchange
):
    """Its tokens were revoked a while ago, and it has got others since."""
    key = await make_key(database)
    mirror = await new_mirror()
    async with lost(connection):
        await endings.revoke_tokens_of_key(database, key.listed.record.id, actor=ACTOR)
        await connection.execute("update denylist set watermark = watermark - interval '1 minute'")
        await mirror.refresh_once()
    await crash(connection)
    await mirror.refresh_once()
    (healed,) = await list_denylist(database)
    assert healed.healed
    watermark = "select watermark from api_key where id = $1"
    assert await connection.fetchval(watermark, key.listed.record.id) == healed.watermark
    await exchange.mirror.refresh_once()
    assert len((await ask(exchange, key))[0]) == 1


async def test_f41_only_who_believes_the_clock_raises_the_limit(
    database, settings, started, connection
):
    wrong = Mirror(
        database,
        settings,
        started.master_key,
        postgres_clock=PostgresClock(wall=lambda: 0.0),
    )
    await wrong.refresh_once()
    assert wrong.postgres_clock.is_blocked
    read = "select iat_limit, clock_timestamp() from issuance"
    assert (await connection.fetchrow(read))[0].year == 1, "it was never raised"
    right = Mirror(database, settings, started.master_key)
    await right.refresh_once()
    limit, now = await connection.fetchrow(read)
    assert LEAST_AHEAD < limit - now < AHEAD
    await right.refresh_once()
    assert (await connection.fetchrow(read))[0] == limit, "nothing is written each time"


async def test_f41_no_token_is_counted_behind_a_limit_that_cannot_be_raised(
    exchange, database, connection, logs
):
    key = await make_key(database)
    await connection.execute("alter function raise_iat_limit(timestamptz) rename to away")
    now = await connection.fetchval(
        "update issuance set iat_limit = clock_timestamp() returning iat_limit"
    )
    await exchange.mirror.refresh_once()
    _, (refusal,) = await ask(exchange, key)
    assert refusal.reason == "mirror_stale"
    assert not exchange.mirror.postgres_clock.iat_limit.allows(now)
    assert logs.find("iat_limit_not_raised")
    await connection.execute("alter function away(timestamptz) rename to raise_iat_limit")
    await exchange.mirror.refresh_once()
    assert exchange.mirror.postgres_clock.iat_limit.allows(now)
    assert len((await ask(exchange, key))[0]) == 1
