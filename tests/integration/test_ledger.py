"""The ledger: exact limits, what counts and what does not, and batches in which something fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from testbed.waiting import until
from tests.integration.things import ACTOR, make_key, open_exchange

from tokensvc.core.errors import (
    InvalidClientError,
    InvalidScopeError,
    InvalidSubjectTokenError,
    InvalidTargetError,
    RateLimitedError,
    UnavailableError,
)
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.ledger import Question
from tokensvc.core.limit import LimitChanges
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.admin import accounts, api_keys, tiers
from tokensvc.issuer.exchange.issuing import IssuedToken
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.revoking import watermarks
from tokensvc.issuer.revoking.credentials import revoke_token
from tokensvc.issuer.revoking.introspection import find_revocation
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.store.ledger import LedgerConnection
from tokensvc.store.primary import connect
from tokensvc.store.signing_key import list_signing_keys

COUNTS = "select minute_count, day_count from api_key_window where key_id = $1"
LEDGERS = "query like '%judge_exchanges%' and pid <> pg_backend_pid()"
ACCOUNT_COUNTS = "select minute_count, day_count from account_window where account_id = $1"


@pytest.fixture
async def exchange(database, settings, started):
    opened = await open_exchange(database, settings, started)
    yield opened
    await opened.ledger.close()


@pytest.fixture
async def calm(connection):
    """Do not begin so late in a minute that the test would end in the next one."""
    second = await connection.fetchval("select extract(second from clock_timestamp())::float8")
    if second > 52:
        await asyncio.sleep(60.1 - second)


async def ask(exchange, key, number=1, **wanted):
    """Ask so many times at once, with a key or a token; return (claims, refusals)."""
    if isinstance(key, IssuedToken):
        request = narrow(key, **wanted)
    else:
        request = ExchangeRequest(credential=key.key, **wanted)
    results = await asyncio.gather(
        *(exchange.issue(request, "test") for _ in range(number)), return_exceptions=True
    )
    tokens = [result.claims for result in results if not isinstance(result, BaseException)]
    return tokens, [result for result in results if isinstance(result, BaseException)]


def narrow(issued, **wanted):
    token = parse_unverified(issued.text)
    return ExchangeRequest(credential=token, shown_as="subject_token", **wanted)


async def issue(exchange, key):
    return await exchange.issue(ExchangeRequest(credential=key.key), "test")


async def test_what_a_revoked_signing_key_had_signed_cannot_be_narrowed(
    exchange, database, settings, started, connection
):
    key = await make_key(database)
    original = await issue(exchange, key)
    request = narrow(original)
    kid = request.credential.kid
    narrowed = (await exchange.issue(request, "test")).claims
    assert (narrowed.origin_jti, narrowed.origin_kid) == (original.claims.jti, kid)
    await revoke_signing_key_now(database, settings, started.master_key, kid, actor=ACTOR)
    with pytest.raises(InvalidSubjectTokenError) as caught:
        await exchange.issue(request, "test")
    assert caught.value.reason == "revoked"
    successor = (await list_signing_keys(connection))[-1].kid
    revoking = await find_revocation(connection, narrowed, successor)
    assert revoking is not None
    assert (revoking.revocation.kind, revoking.revocation.value) == ("kid", kid)


async def counts(connection, key):
    return tuple(await connection.fetchrow(COUNTS, key.listed.record.id))


@pytest.mark.usefixtures("calm")
async def test_a_key_gets_sixty_tokens_a_minute_and_not_one_more(exchange, database, connection):
    key = await make_key(database)
    tokens, refused = await ask(exchange, key, 75)
    assert (len(tokens), len(refused)) == (60, 15)
    assert {(error.policy, error.limit) for error in refused} == {("key-minute", 60)}
    assert all(1 <= error.retry_after <= 60 for error in refused)
    assert await counts(connection, key) == (60, 60)
    assert (await ask(exchange, key))[0] == []
    assert await counts(connection, key) == (60, 60), "refused requests do not count"


@pytest.mark.usefixtures("calm")
async def test_the_headers_of_a_batch_count_down_in_order_of_arrival(exchange, database):
    key = await make_key(database)
    request = ExchangeRequest(credential=key.key)
    issued = await asyncio.gather(*(exchange.issue(request, "test") for _ in range(10)))
    left = [i.decision.verdict.quota.key_minute_left + i.decision.unspent for i in issued]
    assert left == list(range(59, 49, -1))


@pytest.mark.usefixtures("calm")
async def test_the_account_caps_all_its_keys_together(exchange, database, connection):
    first = await make_key(database)
    account = first.listed.record.account_id
    await accounts.update_account(
        database, account, limits=LimitChanges(per_minute=50), actor=ACTOR
    )
    keys = [first, *[await make_key(database, account=account) for _ in range(3)]]
    results = await asyncio.gather(*(ask(exchange, key, 30) for key in keys))
    assert sum(len(tokens) for tokens, _ in results) == 50
    assert {error.policy for _, refused in results for error in refused} == {"account-minute"}
    assert tuple(await connection.fetchrow(ACCOUNT_COUNTS, account)) == (50, 50)
    assert sum([(await counts(connection, key))[0] for key in keys]) == 50


@pytest.mark.usefixtures("calm")
async def test_a_day_has_its_own_limit(exchange, database, connection):
    key = await make_key(database)
    await api_keys.update_key(
        database,
        key.listed.record.id,
        api_keys.KeyChanges(limits=LimitChanges(per_day=5)),
        actor=ACTOR,
    )
    before = await connection.fetchval("select clock_timestamp()")
    tokens, refused = await ask(exchange, key, 7)
    after = await connection.fetchval("select clock_timestamp()")
    assert (len(tokens), {error.policy for error in refused}) == (5, {"key-day"})
    midnight = (before + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    most, least = ((midnight - at).total_seconds() for at in (before, after))
    assert least - 1 <= refused[0].retry_after <= most + 1


async def test_a_new_minute_starts_anew_and_the_day_goes_on(exchange, database, connection):
    key = await make_key(database)
    await ask(exchange, key, 3)
    await connection.execute(
        "update api_key_window set minute = minute - interval '1 minute' where key_id = $1",
        key.listed.record.id,
    )
    await ask(exchange, key, 2)
    assert await counts(connection, key) == (2, 5)
    await connection.execute(
        "update api_key_window set day = day - interval '1 day' where key_id = $1",
        key.listed.record.id,
    )
    await ask(exchange, key, 1)
    assert (await counts(connection, key))[1] == 1


@pytest.mark.parametrize(
    ("ahead", "minute_count"), [("1 minute", 4), ("3 minutes", 1)], ids=["just ahead", "far ahead"]
)
async def test_a_clock_that_was_set_back_a_little_does_not_forget_what_was_counted(
    ahead, minute_count, exchange, database, connection
):
    key = await make_key(database)
    await ask(exchange, key, 3)
    await connection.execute(
        "update api_key_window"
        f" set minute = date_trunc('minute', clock_timestamp()) + interval '{ahead}'"
        " where key_id = $1",
        key.listed.record.id,
    )
    await ask(exchange, key, 1)
    assert (await counts(connection, key))[0] == minute_count


async def test_limits_come_from_the_tier_and_overrides_beat_it(exchange, database):
    await tiers.add_tier(
        database, "tiny", key_per_minute=3, key_per_day=100, account_per_minute=4, actor=ACTOR
    )
    key = await make_key(database)
    record = key.listed.record
    await accounts.update_account(
        database, record.account_id, limits=LimitChanges(tier="tiny"), actor=ACTOR
    )
    quota = (await ask_quota(exchange, key))[:4]
    assert quota == (3, 100, 4, 1000)
    await api_keys.update_key(
        database, record.id, api_keys.KeyChanges(limits=LimitChanges(tier="default")), actor=ACTOR
    )
    assert (await ask_quota(exchange, key))[:4] == (60, 5000, 4, 1000)
    await api_keys.update_key(
        database,
        record.id,
        api_keys.KeyChanges(limits=LimitChanges(per_minute=7, per_day=70)),
        actor=ACTOR,
    )
    await accounts.update_account(
        database, record.account_id, limits=LimitChanges(per_minute=9, per_day=90), actor=ACTOR
    )
    assert (await ask_quota(exchange, key))[:4] == (7, 70, 9, 90)
    await tiers.update_tier(database, "tiny", key_per_minute=5, actor=ACTOR)
    await api_keys.update_key(
        database,
        record.id,
        api_keys.KeyChanges(limits=LimitChanges(tier="", per_minute=0)),
        actor=ACTOR,
    )
    assert (await ask_quota(exchange, key))[:4] == (5, 70, 9, 90)


async def ask_quota(exchange, key):
    issued = await exchange.issue(ExchangeRequest(credential=key.key), "test")
    return tuple(issued.decision.verdict.quota)


@pytest.mark.usefixtures("calm")
async def test_only_what_gets_a_token_is_counted(exchange, database, connection):
    key = await make_key(database)
    token = await issue(exchange, key)
    for wanted, error in (
        ({"scope": frozenset({"more"})}, InvalidScopeError),
        ({"audience": "nowhere"}, InvalidTargetError),
        ({"client_id": "key_other"}, InvalidClientError),
    ):
        tokens, refused = await ask(exchange, key, 3, **wanted)
        assert (tokens, [type(e) for e in refused]) == ([], [error] * 3)
    tokens, refused = await ask(exchange, token, 2, scope=frozenset({"more"}))
    assert (tokens, [type(e) for e in refused]) == ([], [InvalidScopeError] * 2)
    assert await counts(connection, key) == (1, 1)
    await ask(exchange, token, 2, scope=frozenset({"orders:read"}))
    assert await counts(connection, key) == (3, 3), "a narrowed token counts for the key behind it"
    await exchange.usage.flush_once()
    rows = await connection.fetch(
        "select outcome, count from api_key_usage where key_id = $1", key.listed.record.id
    )
    refused = {"invalid_scope": 5, "invalid_target": 3, "wrong_client_id": 3}
    assert dict(rows) == {"issued": 3, **refused}


@pytest.mark.usefixtures("calm")
async def test_bad_requests_among_good_ones_take_nothing_from_them(exchange, database, connection):
    key = await make_key(database)
    good = ExchangeRequest(credential=key.key)
    bad = ExchangeRequest(credential=key.key, scope=frozenset({"more"}))
    results = await asyncio.gather(
        *(exchange.issue(r, "t") for _ in range(60) for r in (bad, good)), return_exceptions=True
    )
    assert sum(not isinstance(result, Exception) for result in results) == 60
    assert await counts(connection, key) == (60, 60)


def judge_as(claims, **changes):
    facts = {
        "account_id": claims.sub,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "held": " ".join(claims.scope),
    }
    return Question(None, claims.client_id, json.dumps(facts | {"scope": None} | changes), True)


async def test_what_a_shown_token_says_is_held_against_postgres(exchange, database):
    key = await make_key(database)
    ((claims,), _) = await ask(exchange, key)
    ledger = LedgerConnection(database)

    async def refusal(**changes):
        question = judge_as(claims, **changes)
        verdicts, admitted = await ledger.judge({question: 1})
        assert admitted[claims.client_id] == (verdicts[question].refusal is None)
        return verdicts[question].refusal

    assert await refusal() is None
    assert await refusal(scope="orders:read") is None
    assert await refusal(scope="orders:read more") == "invalid_scope"
    assert await refusal(held="gone") == "invalid_scope"
    assert await refusal(account_id="acct_other") == "revoked"
    assert await refusal(exp=claims.iat) == "expired"
    assert await refusal(jti="other") is None
    await revoke_token(database, claims, actor=ACTOR)
    assert await refusal() == "revoked"
    assert await refusal(jti="other") is None
    await api_keys.update_key(
        database, claims.client_id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
    )
    await asyncio.sleep(1)
    assert await refusal(jti="other") == "revoked"
    assert await refusal(jti="other", iat=int(datetime.now(UTC).timestamp()) + 1) is None
    ledger.close()


async def test_tokens_and_keys_of_all_kinds_are_judged_in_one_batch(exchange, database):
    one, two = await make_key(database), await make_key(database)
    ((claims,), _) = await ask(exchange, one)
    unknown = Question(b"?" * 32, None, None, True)
    ghost = Question(None, "key_ghost", judge_as(claims).demand, True)
    questions = {
        Question(two.key.digest, two.listed.record.id, None, True): 2,
        unknown: 3,
        judge_as(claims): 1,
        ghost: 1,
        Question(one.key.digest, None, '{"scope": "orders:read"}', True): 4,
        Question(one.key.digest, two.listed.record.id, None, True): 5,
    }
    ledger = LedgerConnection(database)
    verdicts, admitted = await ledger.judge(questions)
    assert set(questions) - set(verdicts) == {unknown, ghost}
    assert admitted == {one.listed.record.id: 5, two.listed.record.id: 2}
    refusals = [verdicts[question].refusal for question in questions if question in verdicts]
    assert refusals == [None, None, None, "wrong_client_id"]
    ledger.close()


async def test_a_client_that_has_gone_leaves_no_trace_and_breaks_nothing(
    exchange, database, database_url, connection
):
    key = await make_key(database)
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        request = ExchangeRequest(credential=key.key)
        in_flight = [asyncio.create_task(exchange.issue(request, "test")) for _ in range(2)]
        await until(
            lambda: connection.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            )
        )
        queued = [asyncio.create_task(exchange.issue(request, "test")) for _ in range(3)]
        await asyncio.sleep(0)
        in_flight[0].cancel()
        queued[1].cancel()
    results = await asyncio.gather(*in_flight, *queued, return_exceptions=True)
    gone = [isinstance(result, asyncio.CancelledError) for result in results]
    assert gone == [True, False, False, True, False]
    assert await counts(connection, key) == (4, 4), (
        "the one in flight was counted, the one that still waited was not"
    )
    assert exchange.ledger.waiting == 0
    await other.close()


async def test_a_batch_that_fails_fails_its_own_requests_and_the_next_one_works(
    exchange, database, database_url, connection, logs
):
    key, innocent = await make_key(database), await make_key(database)
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        stuck = asyncio.create_task(ask(exchange, key, 5))
        await until(
            lambda: connection.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            )
        )
        tokens, refused = await ask(exchange, innocent, 3)
        assert (len(tokens), refused) == (3, [])
        tokens, refused = await stuck
    assert tokens == []
    assert [error.reason for error in refused] == ["database_LockNotAvailableError"] * 5
    assert len({id(error) for error in refused}) == 5
    assert len((await ask(exchange, key))[0]) == 1
    assert [line["requests"] for line in logs.find("batch_failed")] == [5]
    await other.close()


async def test_a_lost_connection_costs_one_batch(exchange, database, connection):
    key = await make_key(database)
    await ask(exchange, key)
    await connection.execute(
        f"select pg_terminate_backend(pid) from pg_stat_activity where {LEDGERS}"
    )
    tokens, refused = await ask(exchange, key)
    if not tokens:
        assert [error.code for error in refused] == ["temporarily_unavailable"]
        tokens, _ = await ask(exchange, key)
    assert len(tokens) == 1


async def test_a_fault_of_ours_in_a_batch_is_seen_and_does_not_end_the_ledger(
    exchange, database, connection, logs
):
    key = await make_key(database)
    await connection.execute("alter function judge_exchanges rename to gone")
    _, (error,) = await ask(exchange, key)
    assert (type(error), str(error)) == (RuntimeError, "the batch failed")
    await connection.execute("alter function gone rename to judge_exchanges")
    assert len((await ask(exchange, key))[0]) == 1
    assert "judge_exchanges" in logs.find("batch_failed")[0]["exception"]


@contextlib.asynccontextmanager
async def held_up(ledger, question, key, database_url, connection):
    """Lock the row of a key, and lend a request that waits for it."""
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        first = asyncio.create_task(ledger.judge(question, lambda decision: decision))
        await until(
            lambda: connection.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            )
        )
        yield first
    await other.close()


async def test_too_many_that_wait_are_turned_away_at_once(database, database_url, connection):
    key = await make_key(database)
    question = Question(key.key.digest, None, None, True)
    ledger = Ledger(database, most_waiting=4)
    async with held_up(ledger, question, key, database_url, connection) as first:
        waiting = [
            asyncio.create_task(ledger.judge(question, lambda decision: decision)) for _ in range(4)
        ]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError) as caught:
            await ledger.judge(question, lambda decision: decision)
        assert (caught.value.reason, caught.value.retry_after) == ("ledger_full", 1)
    decisions = await asyncio.gather(first, *waiting)
    assert all(decision is not None and decision.admitted for decision in decisions)
    await ledger.close()


async def test_requests_that_wait_when_the_ledger_closes_are_refused(
    database, database_url, connection
):
    key = await make_key(database)
    question = Question(key.key.digest, None, None, True)
    ledger = Ledger(database, most_waiting=4)
    async with held_up(ledger, question, key, database_url, connection) as first:
        second = asyncio.create_task(ledger.judge(question, lambda decision: decision))
        await asyncio.sleep(0)
        await ledger.close()
    for result in await asyncio.gather(first, second, return_exceptions=True):
        assert isinstance(result, UnavailableError)
        assert result.reason == "stopping"


async def test_ledgers_that_hammer_the_same_keys_agree_and_never_deadlock(
    database, settings, started, connection
):
    """Four ledgers, twenty keys in four accounts, everybody at many times the limit."""
    owners = [(await accounts.create_account(database, f"a{n}", actor=ACTOR)).id for n in range(4)]
    for owner in owners:
        await accounts.update_account(
            database, owner, limits=LimitChanges(per_minute=200), actor=ACTOR
        )
    keys = [await make_key(database, account=owners[n % 4]) for n in range(20)]
    second = await connection.fetchval("select extract(second from clock_timestamp())::float8")
    if second > 45:
        await asyncio.sleep(60.1 - second)
    exchanges = [await open_exchange(database, settings, started) for _ in range(4)]
    issued = dict.fromkeys((key.listed.record.id for key in keys), 0)

    async def hammer(exchange, key):
        for _ in range(30):
            with contextlib.suppress(RateLimitedError):
                await exchange.issue(ExchangeRequest(credential=key.key), "test")
                issued[key.listed.record.id] += 1

    await asyncio.gather(*(hammer(exchange, key) for exchange in exchanges for key in keys))
    for n, owner in enumerate(owners):
        of_owner = [issued[key.listed.record.id] for key in keys[n::4]]
        assert (sum(of_owner), max(of_owner) <= 60) == (200, True)
        assert tuple(await connection.fetchrow(ACCOUNT_COUNTS, owner)) == (200, 200)
    counted = await connection.fetch("select key_id, minute_count from api_key_window")
    assert {key: dict(counted)[key] for key in issued} == issued
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    assert await connection.fetchval(deadlocks) == 0
    for exchange in exchanges:
        await exchange.ledger.close()


async def test_a_narrowed_token_of_a_revoked_key_is_refused_in_every_form(exchange, database):
    key = await make_key(database)
    token = await issue(exchange, key)
    await watermarks.revoke_key(database, key.listed.record.id, actor=ACTOR)
    _, (of_key,) = await ask(exchange, key)
    _, (of_token,) = await ask(exchange, token)
    assert (type(of_key), type(of_token)) == (InvalidClientError, InvalidSubjectTokenError)
    assert of_key.reason == of_token.reason == "revoked"
