"""Healing with others: several processes, their memory of what they acknowledged, followers."""

from __future__ import annotations

import asyncio

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.losses import follow, list_endings, list_healed_acts, lost, read_count
from tests.integration.things import ACTOR, make_key
from tests.rows import load_key

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.errors import InvalidClientError
from tokensvc.core.identifier import Kid
from tokensvc.issuer.connection_share import ConnectionShare
from tokensvc.issuer.revoking.credentials import (
    HolderRevocations,
    revoke_credential,
    revoke_own_token,
)
from tokensvc.issuer.service import open_service

KID = Kid("any")


async def test_a_revocation_lost_before_it_was_read_back_is_remembered_by_its_process(
    database, settings, connection, new_mirror, issue
):
    key = await make_key(database)
    mirror = await new_mirror()
    for reused in (False, True):
        async with lost(connection):
            revoked = await revoke_credential(
                HolderRevocations(database, ConnectionShare(10)),
                settings,
                key.key.text,
                now=mirror.postgres_clock.now,
            )
            mirror.denylist.remember(revoked.records)
        if reused:
            other = await make_key(database)
            # It gets the number of the revocation that was lost.
            await endings.revoke_key(database, other.listed.record.id, actor=ACTOR)
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
        # By another process, or the answer was lost.
        await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
        revoked = await revoke_credential(
            HolderRevocations(database, ConnectionShare(10)),
            settings,
            key.key.text,
            now=mirror.postgres_clock.now,
        )
        mirror.denylist.remember(revoked.records)
    await mirror.refresh_once()
    with pytest.raises(InvalidClientError):
        await issue(key)


async def test_what_is_acknowledged_while_nothing_is_lost_stands_there_once(
    database, settings, new_mirror
):
    mirror, other = await new_mirror(), await new_mirror()
    resets = read_count("tokensvc_denylist_resets_total")
    for _ in range(3):
        key = await make_key(database)
        revoked = await revoke_credential(
            HolderRevocations(database, ConnectionShare(10)),
            settings,
            key.key.text,
            now=mirror.postgres_clock.now,
        )
        mirror.denylist.remember(revoked.records)
        for each in (mirror, other, mirror):
            await each.refresh_once()
    assert list(mirror.denylist.log) == list(other.denylist.log)
    assert [record.position.seq for record in mirror.denylist.log] == [1, 2, 3]
    assert read_count("tokensvc_denylist_resets_total") == resets


async def test_several_processes_heal_at_once_and_nothing_is_written_twice(
    database, connection, new_mirror, issue
):
    keys = [await make_key(database) for _ in range(30)]
    mirrors = [await new_mirror() for _ in range(4)]
    async with lost(connection):
        for key in keys:
            await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
        for mirror in mirrors:
            await mirror.refresh_once()
    await asyncio.gather(*(mirror.refresh_once() for mirror in mirrors))
    assert sorted(value for value, *_ in await list_endings(database)) == sorted(
        key.listed.record.id for key in keys
    )
    for mirror in mirrors:
        await mirror.refresh_once()
    assert len({mirror.denylist.log.head for mirror in mirrors}) == 1
    for key in keys:
        assert await list_healed_acts(database, key.listed.record.id) == ["keys.revoke"]
        with pytest.raises(InvalidClientError):
            await issue(key)


async def test_processes_that_remember_different_parts_heal_all_of_it(
    database, connection, new_mirror, issue
):
    first, second = await make_key(database), await make_key(database)
    one, two = await new_mirror(), await new_mirror()
    async with lost(connection):
        await endings.revoke_key(database, first.listed.record.id, actor=ACTOR)
        await one.refresh_once()
        await two.refresh_once()
        await endings.revoke_key(database, second.listed.record.id, actor=ACTOR)
        await two.refresh_once()
    for mirror in (one, two, one):
        await mirror.refresh_once()
    for key in (first, second):
        with pytest.raises(InvalidClientError):
            await issue(key)
    assert list(one.denylist.log) == list(two.denylist.log)


async def test_f5_a_running_service_heals_by_itself(
    database, database_url, settings, started, connection, issue
):
    del started
    key = await make_key(database)
    async with open_service(settings, database_url) as service:
        async with lost(connection):
            assert (await service.holders.revoke(key.key.text, "test"))[0] == "key"
        await until(lambda: is_revoked(database, key))
        with pytest.raises(InvalidClientError):
            await issue(key)


async def is_revoked(database, key):
    return (await load_key(database, key.listed.record.id)).state == "revoked"


async def test_a_follower_keeps_what_it_had_and_is_not_confused_by_a_number_given_out_again(
    database, settings, connection, new_mirror, issue
):
    """The service process that knew of the revocation has died, so only the follower knows it."""
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
        for token in tokens:
            assert each.denylist.find_revocation(token.claims, KID) is not None
