"""The whole trail is checked, old events end behind a signed checkpoint, a reset is declared."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.integration.test_audit_chain import meddle
from tests.integration.things import ACTOR, make_key, read_use
from tests.rows import list_events

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.audit_chain import BrokenChainError
from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.audit_export import check_export
from tokensvc.core.errors import InvalidInputError, NotFoundError
from tokensvc.core.private_key import new_private_key
from tokensvc.core.sealing import new_master_key, seal
from tokensvc.core.token import AUDIT_CHECKPOINT, SigningKey, sign_jws
from tokensvc.core.usage import LastUse
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.admin.audit_check import export_trail, verify_trail
from tokensvc.issuer.admin.audit_prune import declare_reset, prune_events
from tokensvc.issuer.cleaning import clean_addresses_once
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.issuer.signing.new_keys import build_record
from tokensvc.store.audit_event import load_audit_head
from tokensvc.store.signing_key import insert_signing_key

FILL = """
select append_audit_events(
    array_agg(jsonb_build_object(
        'name', 'key_' || n, 'account_id', 'acct_' || n, 'address', '192.0.2.' || n % 256,
        'request_id', md5(n::text)
    )),
    array_agg('keys.update'::text), array_agg('key_' || n),
    array_agg(jsonb_build_object('before', jsonb_build_object('name', n), 'after', md5(n::text)))
)
from generate_series(1, $1::int) as n
"""


@pytest.fixture
async def trail(database, settings, started):
    """Some events; a function makes sure that the trail is whole, and returns what it found."""
    del started
    for name in ("Orders", "Stock", "Mail"):
        await accounts.create_account(database, name, actor=ACTOR)

    async def verify():
        return await verify_trail(database, settings)

    await verify()
    return verify


async def break_of(verify):
    with pytest.raises(BrokenChainError) as caught:
        await verify()
    return caught.value.found


async def test_what_is_cut_off_or_added_at_the_end_is_found(trail, connection):
    head = await load_audit_head(connection)
    last = "(select max(number) from audit_event)"
    await meddle(connection, "create temp table kept as table audit_event")
    await meddle(connection, f"delete from audit_event where number = {last}")
    assert await break_of(trail) == (head.number, "it is missing, as the head tells")
    await meddle(connection, "insert into audit_event select * from kept where number = $1",
                 head.number)  # fmt: skip
    assert (await trail()).head == head
    await meddle(connection, "update audit_head set number = number - 1")
    assert await break_of(trail) == (head.number, "it lies beyond the head")
    await meddle(connection, "update audit_head set number = $1, hash = ''", head.number)
    assert await break_of(trail) == (head.number, "the head has another hash")


async def test_old_events_end_behind_a_signed_checkpoint(trail, database, settings, connection):
    before = await load_audit_head(connection)
    now = await connection.fetchval("select clock_timestamp()")
    account = await accounts.create_account(database, "late", actor=ACTOR)
    assert await prune_events(database, settings, now - timedelta(days=1), actor=ACTOR) is None
    made = await prune_events(database, settings, now, actor=ACTOR)
    assert made is not None
    assert (made.number, made.hash) == (before.number, before.hash)
    whole = await trail()
    assert whole.begin is not None
    assert (whole.begin.number, whole.begin.jws) == (made.number, made.jws)
    pruned, created = await list_events(database, AuditFilter(), most=99)
    assert created.subject == account.id
    assert (pruned.operation, pruned.detail["upto"]) == ("audit.prune", before.number)
    assert await prune_events(database, settings, now, actor=ACTOR) is None
    again = await prune_events(database, settings, now + timedelta(days=1), actor=ACTOR)
    assert again is not None
    assert again.number == pruned.number
    assert (await trail()).head.number == pruned.number + 1


async def test_events_that_were_changed_are_not_pruned(trail, database, settings, connection):
    now = await connection.fetchval("select clock_timestamp()")
    await meddle(connection, "update audit_event set subject = 'x' where number = 2")
    with pytest.raises(BrokenChainError, match="broken at event 2"):
        await prune_events(database, settings, now, actor=ACTOR)
    assert (await break_of(trail)).number == 2


async def test_a_checkpoint_counts_only_if_a_key_of_the_service_has_signed_it(
    trail, database, connection
):
    (last, *_) = await list_events(database, AuditFilter(), most=1)
    reason = "no signing key of this service has signed the checkpoint there"
    key = new_private_key(DEFAULT_ALGORITHM)
    now = await connection.fetchval("select clock_timestamp()")
    forged = build_record(key, DEFAULT_ALGORITHM, new_master_key(), created_at=now, active_at=None)
    jwk, _ = seal(key, DEFAULT_ALGORITHM, new_master_key())
    payload = {"iat": 0, "number": last.number, "hash": last.hash.hex()}
    jws = sign_jws(payload, typ=AUDIT_CHECKPOINT[0], key=SigningKey(forged.kid, forged.alg, key))
    assert jwk["kid"] == forged.kid
    for text in ("", "x.y.z", jws):
        await meddle(connection, "delete from audit_checkpoint")
        await meddle(
            connection, "insert into audit_checkpoint values ($1, clock_timestamp(), $2)",
            last.number, text,
        )  # fmt: skip
        assert await break_of(trail) == (last.number, reason)
    await insert_signing_key(connection, forged)
    await connection.execute("update signing_key set revoked_at = created_at where kid = $1",
                             forged.kid)  # fmt: skip
    assert await break_of(trail) == (last.number, reason)


async def test_an_event_that_is_put_in_before_the_checkpoint_is_found(
    trail, database, settings, connection
):
    now = await connection.fetchval("select clock_timestamp()")
    await meddle(connection, "create temp table kept as table audit_event")
    await prune_events(database, settings, now, actor=ACTOR)
    await meddle(connection, "insert into audit_event select * from kept where number = 2")
    assert await break_of(trail) == (2, "it is out of place")


async def test_a_reset_is_an_event_and_gives_the_head_another_epoch(
    trail, database, settings, connection
):
    before = await load_audit_head(connection)
    head = await declare_reset(database, settings, "a backup of monday", actor=ACTOR)
    assert (head.number, head.epoch != before.epoch) == (before.number + 1, True)
    assert (await trail()).head == head
    (event, *_) = await list_events(database, AuditFilter(operation="audit.reset"), most=9)
    assert event.detail == {
        "reason": "a backup of monday", "before": before.epoch, "after": head.epoch,
    }  # fmt: skip


async def test_an_export_is_checked_without_the_database(trail, database, settings, connection):
    lines: list[str] = []

    async def export(after=None):
        lines.clear()
        await export_trail(
            database, settings, lambda line: lines.append(json.dumps(line)), after=after
        )
        return list(lines)

    head = (await trail()).head
    whole = await export()
    chain = check_export(whole)
    assert (chain.number, chain.hash) == (head.number, head.hash)
    assert check_export(await export(after=3)).hash == head.hash
    with pytest.raises(NotFoundError, match="no event 99999"):
        await export(after=99999)
    changed = [*whole[:3], whole[3].replace("at", "ta", 1), *whole[4:]]
    for broken in (changed, [*whole[:3], *whole[4:]], [*whole[:3], "x", *whole[4:]]):
        with pytest.raises(BrokenChainError, match="event 3"):
            check_export(broken)
    for nothing in ([], [""], ["7"], ["{}"], whole[1:]):
        with pytest.raises(InvalidInputError, match="no exported audit trail"):
            check_export(nothing)
    now = await connection.fetchval("select clock_timestamp()")
    made = await prune_events(database, settings, now, actor=ACTOR)
    pruned = await export()
    assert made is not None
    assert json.loads(pruned[0]) == {
        "after": {"number": made.number, "hash": made.hash.hex()}, "checkpoint": made.jws,
    }  # fmt: skip
    assert check_export(pruned).number == made.number + 1


async def test_addresses_end_and_the_trail_stays_whole(trail, database, connection):
    await connection.execute(FILL, 5)
    now = await connection.fetchval("select clock_timestamp()")
    key = (await make_key(database)).listed.record
    usage = UsageRecorder(database)
    usage.add_issued(key.id, LastUse(int(now.timestamp()) - 1, "192.0.2.0/24", "api"))
    await usage.flush_once()
    assert await clean_addresses_once(database, now - timedelta(days=1), at_once=2) == 0
    assert await clean_addresses_once(database, now, at_once=2) == 6
    assert await clean_addresses_once(database, now, at_once=2) == 0
    _, last = await read_use(database, key.id)
    assert (last is not None, last and last.network) == (True, "unknown")
    await trail()


async def test_events_are_found_by_each_filter_and_page_by_page(database, connection):
    await connection.execute(FILL, 5)
    await accounts.create_account(database, "late", actor=ACTOR)
    late, *events = await list_events(database, AuditFilter(), most=99)
    wanted = events[2]
    for found in (
        AuditFilter(actor="key_3"),
        AuditFilter(subject="key_3"),
        AuditFilter(request_id=wanted.request_id),
        AuditFilter(subject="key_3", operation="keys.update"),
    ):
        assert await list_events(database, found, most=9) == [wanted]
    assert await list_events(database, AuditFilter(until=late.at), most=9) == events
    assert await list_events(database, AuditFilter(since=late.at), most=9) == [late]
    page = await list_events(database, AuditFilter(before_number=wanted.number), most=1)
    assert page == [events[3]]
