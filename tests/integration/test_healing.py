"""Postgres loses acknowledged revocations and gives their numbers out again; processes that remember them write them again.

The loss is made inside the database: tables are put back to what they were, as a failover or a restored backup would.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.integration.things import ACTOR, make_key, open_exchange, read_page
from tests.integration.waiting import until

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.page import parse_page
from tokensvc.core.denylist.revoked import Denylist
from tokensvc.core.errors import InvalidClientError, UnavailableError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.identifier import Kid
from tokensvc.issuer.admin import accounts, api_keys
from tokensvc.issuer.audit import list_events
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.revoking import watermarks
from tokensvc.issuer.revoking.credentials import revoke_credential, revoke_own_token
from tokensvc.issuer.revoking.denylist import list_denylist
from tokensvc.issuer.revoking.feed import Feed
from tokensvc.issuer.service import open_service
from tokensvc.issuer.signing.rotation import list_signing_keys_with_phase, revoke_signing_key_now

KID = Kid("any")
TABLES = ("account", "api_key", "signing_key", "denylist", "feed_head", "audit_event")


@pytest.fixture
def new_mirror(database, settings, started):
    async def make():
        mirror = Mirror(database, settings, started.master_key)
        await mirror.refresh_once()
        return mirror

    return make


@asynccontextmanager
async def lost(connection):
    """Whatever is done inside the block is lost by Postgres at its end."""
    for table in TABLES:
        await connection.execute(f"create table kept_{table} as table {table}")
    yield
    async with connection.transaction():
        await connection.execute(
            "set local session_replication_role = replica"
        )  # rows that refer to each other come back in any order
        for table in TABLES:
            await connection.execute(f"delete from {table}")
            await connection.execute(
                f"insert into {table} overriding system value select * from kept_{table}"
            )
            await connection.execute(f"drop table kept_{table}")


@pytest.fixture
async def issue(database, settings, started):
    """Exchange a key in this process, without HTTP: the token and its claims."""
    exchange = await open_exchange(database, settings, started)

    async def act(key):
        return await exchange.issue(ExchangeRequest(credential=key.key), "test")

    yield act
    await exchange.ledger.close()


def count(name):
    return REGISTRY.get_sample_value(name) or 0.0


async def said(database):
    return [(row.revocation.value, row.ending, row.healed) for row in await list_denylist(database)]


async def healers(database, subject):
    return [
        event.action
        for event in await list_events(database, subject=subject, most=20)
        if event.actor == "healing"
    ]


ENDINGS: dict[str, tuple[str, Any]] = {
    "key_revoked": ("key.revoke", watermarks.revoke_key),
    "key_deleted": ("key.delete", watermarks.delete_key),
    "key_disabled": ("key.disable", watermarks.disable_key),
    "account_suspended": ("account.suspend", watermarks.suspend_account),
    "account_deleted": ("account.delete", watermarks.delete_account),
}
KEPT = {
    "key_tokens_revoked": ("key.revoke_tokens", watermarks.revoke_tokens_of_key),
    "account_tokens_revoked": ("account.revoke_tokens", watermarks.revoke_tokens_of_account),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_whatever_was_ended_and_lost_is_ended_again_also_for_tokens_got_meanwhile(
    ending, database, connection, new_mirror, issue, logs
):
    action, end = ENDINGS[ending]
    key = await make_key(database)
    subject = key.listed.record.account_id if ending.startswith("account") else key.listed.record.id
    mirror = await new_mirror()
    async with lost(connection):
        await end(database, subject, actor=ACTOR)
        await mirror.refresh_once()
    resets, healed = (
        count("tokensvc_denylist_resets_total"),
        count("tokensvc_denylist_healed_total"),
    )
    meanwhile = (await issue(key)).claims
    assert await said(database) == []
    await mirror.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)
    assert await said(database) == [(subject, ending, True)]
    assert await healers(database, subject) == [action]
    denylist = Denylist()
    denylist.add(record.revocation for record in mirror.denylist.log)
    assert denylist.find_revocation(meanwhile, KID) is not None, (
        "a token got meanwhile must be dead as well"
    )
    assert count("tokensvc_denylist_resets_total") == resets + 1
    assert count("tokensvc_denylist_healed_total") == healed + 1
    assert [
        line["level"] for line in logs.find("denylist_went_back") + logs.find("revocation_healed")
    ] == ["error", "error"]
    again = await new_mirror()
    assert again.denylist.log.head == mirror.denylist.log.head
    await mirror.refresh_once()
    assert len(await said(database)) == 1, "healed once, and for good"


async def test_what_was_healed_is_healed_again_if_it_is_lost_again(
    database, connection, new_mirror, issue
):
    key = await make_key(database)
    mirror = await new_mirror()
    async with lost(connection):
        async with lost_again(connection):
            await watermarks.revoke_key(database, key.listed.record.id, actor=ACTOR)
            await mirror.refresh_once()
        await mirror.refresh_once()
        other = await new_mirror()  # knows it from the healed row alone
    await other.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)


@asynccontextmanager
async def lost_again(connection):
    """As `lost`, inside of it: only what a revocation writes."""
    yield
    await connection.execute("update api_key set revoked_at = null, watermark = null")
    await connection.execute("delete from denylist")
    await connection.execute("update feed_head set seq = 0, tag = 'again' where topic = 'denylist'")


@pytest.mark.parametrize("ending", KEPT)
async def test_tokens_that_were_revoked_stay_so_and_their_key_goes_on(
    ending, database, connection, new_mirror, issue
):
    action, revoke = KEPT[ending]
    key = await make_key(database)
    subject = key.listed.record.id if ending.startswith("key") else key.listed.record.account_id
    before = (await issue(key)).claims
    mirror = await new_mirror()
    async with lost(connection):
        await revoke(database, subject, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    assert await healers(database, subject) == [action]
    after = (await issue(key)).claims
    denylist = Denylist()
    denylist.add(record.revocation for record in mirror.denylist.log)
    assert denylist.find_revocation(before, KID) is not None
    assert denylist.find_revocation(after, KID) is None
    assert (await api_keys.load_key(database, key.listed.record.id)).state == "active"


async def test_a_token_that_was_revoked_is_revoked_again(
    database, settings, connection, new_mirror, issue
):
    token = await issue(await make_key(database))
    mirror = await new_mirror()
    async with lost(connection):
        assert (
            await revoke_own_token(database, settings, token.text, actor=ACTOR) == token.claims.jti
        )
        await mirror.refresh_once()
    await mirror.refresh_once()
    assert await said(database) == [(token.claims.jti, "token_revoked", True)]


async def test_a_revocation_lost_before_it_was_read_back_is_remembered_by_whoever_acknowledged_it(
    database, settings, connection, new_mirror, issue
):
    key = await make_key(database)
    mirror = await new_mirror()
    for reused in (False, True):
        async with lost(connection):
            revoked = await revoke_credential(
                database, settings, key.key.text, actor="holder", now=mirror.confirmation.now
            )
            mirror.denylist.remember(revoked.records)
        if reused:
            other = await make_key(database)
            await watermarks.revoke_key(
                database, other.listed.record.id, actor=ACTOR
            )  # has its number now
        await mirror.refresh_once()
        with pytest.raises(InvalidClientError):
            await issue(key)
        key = await make_key(database)
    assert mirror.denylist.acknowledged == ()


async def test_a_repeated_revocation_is_remembered_as_well(
    database, settings, connection, new_mirror, issue
):
    key = await make_key(database)
    mirror = await new_mirror()
    async with lost(connection):
        await watermarks.revoke_key(
            database, key.listed.record.id, actor=ACTOR
        )  # by another process, or the answer was lost
        revoked = await revoke_credential(
            database, settings, key.key.text, actor="holder", now=mirror.confirmation.now
        )
        mirror.denylist.remember(revoked.records)
    await mirror.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)


async def test_what_is_acknowledged_while_nothing_is_lost_stands_there_once(
    database, settings, new_mirror
):
    mirror, other = await new_mirror(), await new_mirror()
    resets = count("tokensvc_denylist_resets_total")
    for _ in range(3):
        key = await make_key(database)
        revoked = await revoke_credential(
            database, settings, key.key.text, actor="holder", now=mirror.confirmation.now
        )
        mirror.denylist.remember(revoked.records)
        for each in (mirror, other, mirror):
            await each.refresh_once()
    assert list(mirror.denylist.log) == list(other.denylist.log)
    assert [record.position.seq for record in mirror.denylist.log] == [1, 2, 3]
    assert count("tokensvc_denylist_resets_total") == resets


async def test_several_processes_heal_at_once_and_nothing_is_written_twice(
    database, connection, new_mirror, issue
):
    keys = [await make_key(database) for _ in range(30)]
    mirrors = [await new_mirror() for _ in range(4)]
    async with lost(connection):
        for key in keys:
            await watermarks.revoke_key(database, key.listed.record.id, actor=ACTOR)
        for mirror in mirrors:
            await mirror.refresh_once()
    await asyncio.gather(*(mirror.refresh_once() for mirror in mirrors))
    assert sorted(value for value, *_ in await said(database)) == sorted(
        key.listed.record.id for key in keys
    )
    for mirror in mirrors:
        await mirror.refresh_once()
    assert len({mirror.denylist.log.head for mirror in mirrors}) == 1
    for key in keys:
        assert await healers(database, key.listed.record.id) == ["key.revoke"]
        with pytest.raises(InvalidClientError):
            await issue(key)


async def test_processes_that_remember_different_parts_heal_all_of_it(
    database, connection, new_mirror, issue
):
    first, second = await make_key(database), await make_key(database)
    one, two = await new_mirror(), await new_mirror()
    async with lost(connection):
        await watermarks.revoke_key(database, first.listed.record.id, actor=ACTOR)
        await one.refresh_once()
        await two.refresh_once()
        await watermarks.revoke_key(database, second.listed.record.id, actor=ACTOR)
        await two.refresh_once()
    for mirror in (one, two, one):
        await mirror.refresh_once()
    for key in (first, second):
        with pytest.raises(InvalidClientError):
            await issue(key)
    assert list(one.denylist.log) == list(two.denylist.log)


@pytest.mark.parametrize("what", ["key", "account"])
async def test_what_was_enabled_again_after_the_loss_stays_so_and_its_old_tokens_dead(
    what, database, connection, new_mirror, issue
):
    """Somebody was faster than healing: he disabled it himself, and thought better of it."""
    key = await make_key(database)
    subject = key.listed.record.id if what == "key" else key.listed.record.account_id
    end = watermarks.disable_key if what == "key" else watermarks.suspend_account
    take_back = api_keys.enable_key if what == "key" else accounts.resume_account
    mirror = await new_mirror()
    async with lost(connection):
        await end(database, subject, actor=ACTOR)
        await mirror.refresh_once()
        lost_records = list(mirror.denylist.log)
    await end(database, subject, actor=ACTOR)
    await connection.execute("delete from denylist")  # else that would cover what was lost
    await take_back(database, subject, actor=ACTOR)
    await mirror.refresh_once()
    assert (await issue(key)).claims.iat > lost_records[0].revocation.upto
    assert [row.watermark for row in await list_denylist(database)] == [lost_records[0].watermark]


async def test_what_was_enabled_before_it_was_disabled_for_good_is_disabled_again(
    database, connection, new_mirror, issue
):
    key = await make_key(database)
    key_id = key.listed.record.id
    await watermarks.disable_key(database, key_id, actor=ACTOR)
    await api_keys.enable_key(database, key_id, actor=ACTOR)
    mirror = await new_mirror()
    async with lost(connection):
        await watermarks.disable_key(database, key_id, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)


async def test_a_key_whose_disabling_survived_is_left_as_it_is(
    database, connection, new_mirror, issue
):
    key, other = await make_key(database), await make_key(database)
    mirror = await new_mirror()
    await watermarks.disable_key(database, key.listed.record.id, actor=ACTOR)
    await api_keys.enable_key(database, key.listed.record.id, actor=ACTOR)
    async with lost(connection):
        await watermarks.revoke_key(database, other.listed.record.id, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    await issue(key)
    assert await healers(database, key.listed.record.id) == []


async def test_an_entry_that_has_expired_meanwhile_is_not_healed_and_its_collection_is_no_loss(
    database, connection, new_mirror, logs
):
    mirror = await new_mirror()
    first = await make_key(database)
    await watermarks.revoke_key(database, first.listed.record.id, actor=ACTOR)
    await connection.execute("update denylist set expires_at = clock_timestamp() + interval '2 s'")
    await mirror.refresh_once()
    await asyncio.sleep(2.1)
    await connection.execute("delete from denylist")
    second = await make_key(database)
    await watermarks.revoke_key(database, second.listed.record.id, actor=ACTOR)
    await mirror.refresh_once()
    assert logs.find("denylist_went_back") == []
    assert [value for value, *_ in await said(database)] == [second.listed.record.id]
    await connection.execute("delete from denylist")
    await connection.execute("update feed_head set seq = 0, tag = 'old' where topic = 'denylist'")
    await mirror.refresh_once()
    assert await said(database) == [(second.listed.record.id, "key_revoked", True)]


async def test_keys_that_were_lost_altogether_leave_their_watermark(
    database, connection, new_mirror
):
    mirror = await new_mirror()
    async with lost(connection):
        key = (await make_key(database)).listed.record
        await watermarks.revoke_key(database, key.id, actor=ACTOR)
        await watermarks.suspend_account(database, key.account_id, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    assert sorted(value for value, *_ in await said(database)) == sorted([key.id, key.account_id])


async def test_a_signing_key_that_was_revoked_is_revoked_again_with_a_successor(
    database, settings, started, connection, new_mirror
):
    mirrors = [await new_mirror(), await new_mirror()]
    signer = mirrors[0].signers.find("ES256", mirrors[0].confirmation.now).kid
    async with lost(connection):
        await revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR)
        for mirror in mirrors:
            await mirror.refresh_once()
    await asyncio.gather(*(mirror.refresh_once() for mirror in mirrors))
    found = {
        listed.record.kid: listed.phase
        for listed in await list_signing_keys_with_phase(database, settings)
    }
    assert found[signer] == "revoked"
    assert sorted(found.values()) == ["active", "pending", "revoked"]
    assert await said(database) == [(signer, "signing_key_revoked", True)]
    assert await healers(database, signer) == ["signing_key.revoke"]
    for mirror in mirrors:
        await mirror.refresh_once()
        assert mirror.signers.find("ES256", mirror.confirmation.now).kid != signer


async def test_a_signing_key_that_is_lost_altogether_stays_denied(
    database, settings, started, connection, new_mirror
):
    mirror = await new_mirror()
    async with lost(connection):
        signer = mirror.signers.find("ES256", mirror.confirmation.now).kid
        await revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR)
        await mirror.refresh_once()
    await connection.execute("delete from signing_key where kid = $1", signer)
    await mirror.refresh_once()
    assert await said(database) == [(signer, "signing_key_revoked", True)]


async def test_until_a_loss_is_healed_nothing_of_the_new_history_is_believed(
    database, connection, new_mirror
):
    key = (await make_key(database)).listed.record
    mirror = await new_mirror()
    async with lost(connection):
        await watermarks.revoke_key(database, key.id, actor=ACTOR)
        await mirror.refresh_once()
    held, confirmed_at = mirror.denylist.log.head, mirror.confirmation.at
    async with connection.transaction():
        await connection.execute("select from feed_head where topic = 'denylist' for update")
        with pytest.raises(UnavailableError):
            await mirror.refresh_once()
        assert (mirror.denylist.log.head, mirror.confirmation.at) == (held, confirmed_at)
    await mirror.refresh_once()
    assert mirror.denylist.log.head != held
    assert (await api_keys.load_key(database, key.id)).state == "revoked"


async def test_a_running_service_heals_by_itself_within_a_second(
    database, database_url, settings, started, connection, issue
):
    del started
    key = await make_key(database)
    async with open_service(settings, database_url) as service:
        async with lost(connection):
            assert (await service.revoke(key.key.text))[0] == "key"
        assert await until(lambda: is_revoked(database, key)) < 2
        with pytest.raises(InvalidClientError):
            await issue(key)


async def is_revoked(database, key):
    return (await api_keys.load_key(database, key.listed.record.id)).state == "revoked"


async def test_a_follower_keeps_what_it_had_and_is_not_confused_by_a_number_given_out_again(
    database, settings, connection, new_mirror, issue
):
    """One service process died with its memory, so nobody heals: the follower alone remembers."""
    first, second = [await issue(await make_key(database)) for _ in range(2)]
    mirror = await new_mirror()
    follower = FollowedDenylist(settings.issuer_url)
    await follow(follower, mirror, settings)
    async with lost(connection):
        await revoke_own_token(database, settings, first.text, actor=ACTOR)
        await mirror.refresh_once()
        await follow(follower, mirror, settings)
    assert follower.position is not None
    assert follower.position.seq == 1
    await asyncio.sleep(1.1)  # a history that goes back is believed only if it is certainly newer
    await revoke_own_token(database, settings, second.text, actor=ACTOR)
    newcomer = await new_mirror()
    assert await follow(follower, newcomer, settings), "it says that the history went back"
    for token in (first, second):
        assert follower.denylist.find_revocation(token.claims, KID) is not None


async def test_a_follower_goes_on_beside_a_process_that_has_healed(
    database, settings, connection, new_mirror, issue
):
    tokens = [await issue(await make_key(database)) for _ in range(3)]
    mirror = await new_mirror()
    follower = FollowedDenylist(settings.issuer_url)
    await follow(follower, mirror, settings)
    async with lost(connection):
        for token in tokens[:2]:
            await revoke_own_token(database, settings, token.text, actor=ACTOR)
        await mirror.refresh_once()
        await follow(follower, mirror, settings)
    await revoke_own_token(database, settings, tokens[2].text, actor=ACTOR)  # gets number 1 again
    await mirror.refresh_once()
    fresh = FollowedDenylist(settings.issuer_url)
    for each in (follower, fresh):
        await follow(each, mirror, settings)
        assert [
            each.denylist.find_revocation(token.claims, KID) is not None for token in tokens
        ] == [
            True,
            True,
            True,
        ]


async def follow(follower, mirror, settings):
    page = parse_page(read_page(await Feed(mirror, settings).next_page(follower.position, wait=0)))
    return follower.apply(page, KID, now=mirror.confirmation.now.timestamp(), leeway=5)
