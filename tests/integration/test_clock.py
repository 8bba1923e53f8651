"""Postgres's clock jumps, as a process sees it whose own clocks are moved the other way."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from tests import endings
from tests.factories import parse_page
from tests.integration.clocks import Clocks
from tests.integration.exchanges import ask, read_counts
from tests.integration.things import ACTOR, make_key, open_exchange, read_page

from tokensvc.core.claims import build_payload
from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.iat_limit import AHEAD
from tokensvc.core.identifier import Kid
from tokensvc.core.ledger import Question
from tokensvc.core.token import sign_jws
from tokensvc.issuer.cleaning import clean_denylist_once
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.revoking.credentials import revoke_own_token
from tokensvc.issuer.revoking.feed import Feed
from tokensvc.store.feed_head import list_heads


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
async def exchange(database, settings, started, clocks):
    opened = await open_exchange(database, settings, started, clocks.make())
    yield opened
    await opened.ledger.close()


async def test_f26_after_a_jump_no_token_is_issued_or_counted_until_the_clocks_agree(
    exchange, database, connection, clocks, logs
):
    key = await make_key(database)
    clocks.postgres = 60
    for _ in range(2):  # the statement finds the jump out, and then it is known
        _, (refusal,) = await ask(exchange, key)
        assert (refusal.reason, refusal.retry_after) == ("clock", 5)
    assert await read_counts(connection, key) == (0, 0)
    assert logs.find("clock_jumped")[0]["ahead_seconds"] == pytest.approx(60, abs=1)
    assert exchange.ledger.is_answering, "it is the clock that is wrong"

    callers = Question(key.key.digest, None, None, counts=False)
    assert (await exchange.ledger.join_batch(callers, lambda decision: decision)) is not None

    clocks.postgres = 0
    await exchange.mirror.refresh_once()
    assert len((await ask(exchange, key))[0]) == 1
    assert await read_counts(connection, key) == (1, 1)


async def test_f26_a_jump_of_both_clocks_costs_nobody_a_token(
    exchange, database, connection, clocks
):
    key = await make_key(database)
    clocks.postgres = clocks.wall = 60
    assert len((await ask(exchange, key, 3))[0]) == 3
    assert await read_counts(connection, key) == (3, 3)


async def test_f26_a_process_whose_own_clock_is_wrong_goes_on_and_says_so_once(
    exchange, database, clocks, logs
):
    key = await make_key(database)
    clocks.wall = -3600
    for _ in range(2):
        await exchange.mirror.refresh_once()
    assert len((await ask(exchange, key))[0]) == 1
    assert [line["ahead_seconds"] for line in logs.find("clocks_differ")] == [3600.0]


async def test_f26_a_process_that_starts_with_a_wrong_clock_waits_until_others_vouch_for_postgres(
    exchange, database, settings, started, connection, logs
):
    key = await make_key(database)
    late = await open_exchange(database, settings, started, Clocks(wall=-3600).make())
    _, (refusal,) = await ask(late, key)
    assert refusal.reason == "clock"
    assert [line["ahead_seconds"] for line in logs.find("clock_doubted")] == [3600.0]
    assert await read_counts(connection, key) == (0, 0)

    assert len((await ask(exchange, key))[0]) == 1  # by a process that started with a right clock
    await late.mirror.refresh_once()
    assert len((await ask(late, key))[0]) == 1
    await late.ledger.close()


async def test_f26_nobody_vouches_for_a_clock_that_has_jumped_since(
    exchange, database, settings, started, connection
):
    """Also not while the clock, which was set back, shows the moment of the last token again."""
    key = await make_key(database)
    assert len((await ask(exchange, key))[0]) == 1
    for step in ("0", "-1 minute", "2 minutes"):
        await connection.execute(
            "update account_window set latest_iat = clock_timestamp() + $1::text::interval", step
        )
        if step == "0":
            late = await open_exchange(database, settings, started, Clocks(wall=-3600).make())
        await late.mirror.refresh_once()
        assert late.mirror.postgres_clock.is_blocked
    await late.ledger.close()


async def test_f41_a_revocation_that_was_deleted_before_a_step_back_is_no_loss(
    database, settings, started, connection, logs
):
    clocks = Clocks()
    mirror = Mirror(database, settings, started.master_key, postgres_clock=clocks.make())
    for number in range(2):
        key = await make_key(database)
        await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
        if number == 0:
            await mirror.refresh_once()
    clocks.postgres = 7200
    async with database.connection() as asked:
        _, now = await list_heads(asked)
    mirror.postgres_clock.read_clock(now, mirror.postgres_clock.ask())
    await connection.execute("delete from denylist where seq = 1")  # by another process, by then
    clocks.postgres = 0
    await mirror.refresh_once()
    assert not logs.find("denylist_went_back")


@pytest.mark.parametrize("ahead", [-3600, 3600])
async def test_f41_a_command_revokes_a_token_that_is_live_by_its_own_clock(
    ahead, exchange, database, settings
):
    key = await make_key(database)
    ((claims,), _) = await ask(exchange, key)
    moved = claims._replace(iat=claims.iat + ahead, exp=claims.exp + ahead)
    signer = exchange.mirror.signers.find("ES256", exchange.mirror.postgres_clock.now)
    text = sign_jws(build_payload(moved), typ="at+jwt", key=signer)
    assert await revoke_own_token(database, settings, text, actor=ACTOR) is None
    found = await revoke_own_token(
        database, settings, text, actor=ACTOR, wall=lambda: time.time() + ahead
    )
    assert found is not None
    assert found.revocation.value == claims.jti


async def test_f42_nothing_is_forgotten_or_deleted_while_the_clock_is_ahead(
    database, settings, started, connection, clocks
):
    mirror = Mirror(database, settings, started.master_key, postgres_clock=clocks.make())
    key = await make_key(database)
    await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    await mirror.refresh_once()
    # The entry expires in twelve minutes: to Postgres it has, if its clock is an hour ahead.
    await connection.execute("update denylist set expires_at = expires_at - interval '1 hour'")
    clocks.postgres = 3600
    await mirror.refresh_once()
    assert mirror.postgres_clock.collectable_at is None
    assert len(list(mirror.denylist.log)) == 1
    late = Mirror(database, settings, started.master_key, postgres_clock=Clocks(wall=-3600).make())
    await late.refresh_once()
    assert len(list(late.denylist.log)) == 1, "read by the earliest of the clocks"


async def test_f41_the_latest_iat_is_kept_when_the_clock_steps_back(exchange, database, connection):
    key = await make_key(database)
    ((claims,), _) = await ask(exchange, key)
    for table, column, value in (
        ("api_key_window", "key_id", key.listed.record.id),
        ("account_window", "account_id", key.listed.record.account_id),
    ):
        latest = f"select latest_iat from {table} where {column} = $1"
        assert int((await connection.fetchval(latest, value)).timestamp()) == claims.iat
        await connection.execute(
            f"update {table} set latest_iat = latest_iat + interval '1 minute' where {column} = $1",
            value,
        )
        ahead = await connection.fetchval(latest, value)
        ((claims,), _) = await ask(exchange, key)
        assert await connection.fetchval(latest, value) == ahead


async def test_retry_after_counts_to_the_end_of_the_window_that_is_counted(
    exchange, database, connection
):
    """The clock was set back over the end of a minute, so the count goes on in the next one."""
    key = await make_key(database)
    present = await connection.fetchval(
        "update api_key_window set minute = date_trunc('minute', clock_timestamp(), 'UTC')"
        " + interval '1 minute', minute_count = 60 where key_id = $1 returning clock_timestamp()",
        key.listed.record.id,
    )
    _, (refusal,) = await ask(exchange, key)
    left = present.replace(second=0, microsecond=0) + timedelta(minutes=2) - present
    assert refusal.policy == "key-minute"
    assert refusal.retry_after == pytest.approx(left.total_seconds(), abs=2)


async def test_a_token_that_was_counted_is_signed_though_the_clock_stepped_back(exchange):
    audience = exchange.mirror.audiences["api"]
    first = min(r.active_at for r in exchange.mirror.signers.records if r.active_at is not None)
    before = exchange._find_signer(audience, first - timedelta(seconds=3))
    assert before is exchange.mirror.signers.find("ES256", exchange.mirror.postgres_clock.now)


async def test_f41_pages_are_dated_steadily_while_a_jump_is_not_believed(
    database, settings, started, clocks
):
    mirror = Mirror(database, settings, started.master_key, postgres_clock=clocks.make())
    await mirror.refresh_once()
    before = mirror.postgres_clock.steady_at
    clocks.postgres = -20  # as if Postgres's clock had stepped back
    await mirror.refresh_once()
    assert mirror.postgres_clock.is_blocked
    drift = (mirror.postgres_clock.steady_at - before).total_seconds()
    assert drift == pytest.approx(20, abs=3), "this process's clock went on by so much"


@pytest.mark.parametrize(
    ("right", "wall"),
    [(-600, -600), (-600, -300), (90, 90), (90, 30), (0, 3600), (0, -90)],
    ids=["ahead", "both ahead", "behind", "both behind", "own ahead", "own behind"],
)
async def test_f41_a_process_that_doubts_the_clock_delays_no_revocation(
    right, wall, database, settings, started, connection
):
    """`right`, `wall`: seconds by which the right clock and the process's are before Postgres's."""
    key = await make_key(database)
    await connection.execute(  # by a process that believed the clock, two seconds ago
        "update issuance set iat_limit = clock_timestamp() + $1::text::interval",
        f"{right - 2 + AHEAD.total_seconds()} s",
    )
    now = time.time() + right
    follower = FollowedDenylist(settings.issuer_url)
    at, leeway = Clocks(wall=wall).make(), 5.0
    mirror = Mirror(database, settings, started.master_key, postgres_clock=at)
    await mirror.refresh_once()
    assert mirror.postgres_clock.is_blocked
    feed = Feed(mirror, settings)
    await _follow(follower, feed, now=now, leeway=leeway)
    assert follower.has_all
    assert follower.page_issued_at <= now
    if right <= max(0, wall):
        assert follower.page_issued_at >= now - leeway, "it proves that it is fresh"
    await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    await mirror.refresh_once()
    await _follow(follower, feed, now=now, leeway=leeway)
    assert len(follower.denylist) == 1
    postgres_clock = mirror.postgres_clock
    earliest = postgres_clock.now - postgres_clock.doubt
    assert earliest.timestamp() <= now + 5, "what is live is never taken for expired, and revoked"
    await feed.close()


async def _follow(follower, feed, *, now, leeway):
    page = parse_page(read_page(await feed.next_page(follower.position, wait=0)))
    assert not follower.apply(page, Kid("any"), now=now, leeway=leeway)


@pytest.mark.parametrize("wall", [2349, 3323], ids=["apart", "wrong in the same way"])
async def test_f42_a_process_that_starts_while_both_clocks_are_ahead_skips_nothing(
    wall, database, settings, started, connection, clocks
):
    """`wall`: seconds by which its own clock is ahead; Postgres's is by nearly an hour."""
    clocks.postgres, clocks.wall = 3323, wall
    await connection.execute(  # by a process that believed the clock while it was right
        "update issuance set iat_limit = clock_timestamp() + $1::text::interval",
        f"{AHEAD.total_seconds() - 3323} s",
    )
    mirror = Mirror(database, settings, started.master_key, postgres_clock=clocks.make())
    for number in range(1, 4):
        key = await make_key(database)
        await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
        # It expires in ten minutes: to both clocks it has.
        await connection.execute(
            "update denylist set expires_at = clock_timestamp() - interval '2723 seconds'"
        )
        await mirror.refresh_once()
        assert len(list(mirror.denylist.log)) == number
        await mirror.refresh_once()
        collectable_at = mirror.postgres_clock.collectable_at
        if collectable_at is not None:
            await clean_denylist_once(database, collectable_at)
    assert mirror.postgres_clock.is_blocked == (wall != 3323)
    assert await connection.fetchval("select count(*) from denylist") == 3
    assert len(list(mirror.denylist.log)) == 3
