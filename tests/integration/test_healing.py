"""Postgres loses acknowledged revocations, and a process that remembers them writes them again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests import endings
from tests.integration.losses import list_endings, list_healed_acts, lost, read_count
from tests.integration.things import ACTOR, make_key
from tests.rows import list_denylist, load_key

from tokensvc.core.denylist.lookup import Denylist
from tokensvc.core.errors import InvalidClientError, UnavailableError
from tokensvc.core.identifier import Kid
from tokensvc.issuer.admin import accounts, api_keys
from tokensvc.issuer.revoking.credentials import revoke_own_token
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase

KID = Kid("any")


ENDINGS: dict[str, tuple[str, Any]] = {
    "key_revoked": ("keys.revoke", endings.revoke_key),
    "key_deleted": ("keys.delete", endings.delete_key),
    "key_disabled": ("keys.disable", endings.disable_key),
    "account_suspended": ("accounts.suspend", endings.suspend_account),
    "account_deleted": ("accounts.delete", endings.delete_account),
}
KEPT = {
    "key_tokens_revoked": ("keys.revoke-tokens", endings.revoke_tokens_of_key),
    "account_tokens_revoked": ("accounts.revoke-tokens", endings.revoke_tokens_of_account),
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
    resets = read_count("tokensvc_denylist_resets_total")
    healed = read_count("tokensvc_denylist_healed_total")
    meanwhile = (await issue(key)).claims
    assert await list_endings(database) == []
    await mirror.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)
    assert await list_endings(database) == [(subject, ending, True)]
    assert await list_healed_acts(database, subject) == [action]
    denylist = Denylist()
    denylist.add(record.revocation for record in mirror.denylist.log)
    found = denylist.find_revocation(meanwhile, KID)
    assert found is not None, "a token that was issued meanwhile must be revoked as well"
    assert read_count("tokensvc_denylist_resets_total") == resets + 1
    assert read_count("tokensvc_denylist_healed_total") == healed + 1
    lines = logs.find("denylist_went_back") + logs.find("revocation_healed")
    assert [line["level"] for line in lines] == ["error", "error"]
    again = await new_mirror()
    assert again.denylist.log.head == mirror.denylist.log.head
    await mirror.refresh_once()
    assert len(await list_endings(database)) == 1, "healed once, and for good"


async def test_what_was_healed_is_healed_again_if_it_is_lost_again(
    database, connection, new_mirror, issue
):
    key = await make_key(database)
    mirror = await new_mirror()
    async with lost(connection):
        async with lost_again(connection):
            await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
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
    assert await list_healed_acts(database, subject) == [action]
    after = (await issue(key)).claims
    denylist = Denylist()
    denylist.add(record.revocation for record in mirror.denylist.log)
    assert denylist.find_revocation(before, KID) is not None
    assert denylist.find_revocation(after, KID) is None
    assert (await load_key(database, key.listed.record.id)).state == "active"


async def test_a_token_that_was_revoked_is_revoked_again(
    database, settings, connection, new_mirror, issue
):
    token = await issue(await make_key(database))
    mirror = await new_mirror()
    async with lost(connection):
        record = await revoke_own_token(database, settings, token.text, actor=ACTOR)
        assert record is not None
        assert record.revocation.value == token.claims.jti
        await mirror.refresh_once()
    await mirror.refresh_once()
    assert await list_endings(database) == [(token.claims.jti, "token_revoked", True)]


@pytest.mark.parametrize("what", ["key", "account"])
async def test_what_was_enabled_again_after_the_loss_stays_so_and_its_old_tokens_are_revoked(
    what, database, connection, new_mirror, issue
):
    """A person was faster than healing: disabled it again, and then enabled it."""
    key = await make_key(database)
    subject = key.listed.record.id if what == "key" else key.listed.record.account_id
    end = endings.disable_key if what == "key" else endings.suspend_account
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
    await endings.disable_key(database, key_id, actor=ACTOR)
    await api_keys.enable_key(database, key_id, actor=ACTOR)
    mirror = await new_mirror()
    async with lost(connection):
        await endings.disable_key(database, key_id, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)


async def test_a_key_whose_disabling_survived_is_left_as_it_is(
    database, connection, new_mirror, issue
):
    key, other = await make_key(database), await make_key(database)
    mirror = await new_mirror()
    await endings.disable_key(database, key.listed.record.id, actor=ACTOR)
    await api_keys.enable_key(database, key.listed.record.id, actor=ACTOR)
    async with lost(connection):
        await endings.revoke_key(database, other.listed.record.id, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    await issue(key)
    assert await list_healed_acts(database, key.listed.record.id) == []


async def test_an_entry_that_has_expired_meanwhile_is_not_healed_and_its_collection_is_no_loss(
    database, connection, new_mirror, logs
):
    mirror = await new_mirror()
    first = await make_key(database)
    await endings.revoke_key(database, first.listed.record.id, actor=ACTOR)
    await connection.execute("update denylist set expires_at = clock_timestamp() + interval '2 s'")
    await mirror.refresh_once()
    await asyncio.sleep(2.1)
    await connection.execute("delete from denylist")
    second = await make_key(database)
    await endings.revoke_key(database, second.listed.record.id, actor=ACTOR)
    await mirror.refresh_once()
    assert logs.find("denylist_went_back") == []
    assert [value for value, *_ in await list_endings(database)] == [second.listed.record.id]
    await connection.execute("delete from denylist")
    await connection.execute("update feed_head set seq = 0, tag = 'old' where topic = 'denylist'")
    await mirror.refresh_once()
    assert await list_endings(database) == [(second.listed.record.id, "key_revoked", True)]


async def test_keys_that_were_lost_altogether_leave_their_watermark(
    database, connection, new_mirror
):
    mirror = await new_mirror()
    async with lost(connection):
        key = (await make_key(database)).listed.record
        await endings.revoke_key(database, key.id, actor=ACTOR)
        await endings.suspend_account(database, key.account_id, actor=ACTOR)
        await mirror.refresh_once()
    await mirror.refresh_once()
    assert sorted(value for value, *_ in await list_endings(database)) == sorted(
        [key.id, key.account_id]
    )


async def test_a_signing_key_that_was_revoked_is_revoked_again_with_a_successor(
    database, settings, started, connection, new_mirror
):
    mirrors = [await new_mirror(), await new_mirror()]
    signer = mirrors[0].signers.find("ES256", mirrors[0].postgres_clock.now).kid
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
    assert await list_endings(database) == [(signer, "signing_key_revoked", True)]
    assert await list_healed_acts(database, signer) == ["signing-keys.revoke"]
    for mirror in mirrors:
        await mirror.refresh_once()
        assert mirror.signers.find("ES256", mirror.postgres_clock.now).kid != signer


async def test_a_signing_key_that_is_lost_altogether_stays_on_the_denylist(
    database, settings, started, connection, new_mirror
):
    mirror = await new_mirror()
    async with lost(connection):
        signer = mirror.signers.find("ES256", mirror.postgres_clock.now).kid
        await revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR)
        await mirror.refresh_once()
    await connection.execute("delete from signing_key where kid = $1", signer)
    await mirror.refresh_once()
    assert await list_endings(database) == [(signer, "signing_key_revoked", True)]


async def test_until_a_loss_is_healed_nothing_of_the_new_history_is_believed(
    database, connection, new_mirror
):
    key = (await make_key(database)).listed.record
    mirror = await new_mirror()
    async with lost(connection):
        await endings.revoke_key(database, key.id, actor=ACTOR)
        await mirror.refresh_once()
    held, confirmed_at = mirror.denylist.log.head, mirror.postgres_clock.at
    async with connection.transaction():
        await connection.execute("select from feed_head where topic = 'denylist' for update")
        with pytest.raises(UnavailableError):
            await mirror.refresh_once()
        assert (mirror.denylist.log.head, mirror.postgres_clock.at) == (held, confirmed_at)
    await mirror.refresh_once()
    assert mirror.denylist.log.head != held
    assert (await load_key(database, key.id)).state == "revoked"
