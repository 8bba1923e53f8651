"""Faults in the middle of many revocations: what was acknowledged is there and known afterwards."""

from __future__ import annotations

import asyncio
import gc
import shutil
import subprocess

import pytest
from testbed.waiting import until
from tests import endings
from tests.databases import FAST_AND_UNSAFE
from tests.integration.losses import follow
from tests.integration.test_mirror import LISTENERS
from tests.integration.things import ACTOR, list_acts, make_key, patiently
from tests.rows import list_denylist, list_keys, load_key

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.errors import InvalidPageError, OutcomeUnknownError, UnavailableError
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.service import open_service
from tokensvc.issuer.start import initialise
from tokensvc.store.api_key import lock_api_key
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.key_endings import end_api_keys
from tokensvc.store.pool import open_database

MANY = 60

# asyncpg leaves a connection that breaks while it is being made to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def own_postgres(own_folder):
    """A Postgres that a test may stop and start: gone at the end."""
    server = EmbeddedPostgres(own_folder, options=FAST_AND_UNSAFE)
    yield server, server.start()
    server.stop()
    gc.collect()


async def make_keys(database, count):
    account = (await accounts.create_account(database, "Orders", actor=ACTOR)).id
    return [await make_key(database, account=account) for _ in range(count)]


async def revoke_patiently(service, key):
    """Revoke a key, again and again until it is acknowledged, as clients are told to do."""
    return await patiently(lambda: service.holders.revoke(key.key.text, "test"))


def head_of(service):
    return 0 if service.mirror.denylist.log.head is None else service.mirror.denylist.log.head.seq


def new_follower(settings):
    return FollowedDenylist(settings.issuer_url)


def held(follower):
    return {entry.value for entry in follower.denylist}


async def test_f21_revocations_go_on_while_every_listener_is_cut_off(
    database, database_url, settings, started, connection
):
    del started
    keys = await make_keys(database, MANY)
    async with open_service(settings, database_url) as service:
        follower = new_follower(settings)
        await follow(follower, service.mirror, settings)
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS})"))
        for number, key in enumerate(keys):
            if number % 50 == 25:
                await connection.execute(
                    f"select pg_terminate_backend(pid) from ({LISTENERS}) listeners"
                )
            await service.holders.revoke(key.key.text, "test")
        await until(lambda: head_of(service) == MANY)
        assert not await follow(follower, service.mirror, settings)
    assert held(follower) == {key.listed.record.id for key in keys}


async def test_revocations_acknowledged_around_a_restart_of_postgres_are_all_there(
    own_postgres, settings
):
    server, url = own_postgres
    database = await open_database(url, max_size=4)
    await initialise(database, settings)
    keys = await make_keys(database, MANY)
    async with open_service(settings, url) as service:
        follower = new_follower(settings)
        await follow(follower, service.mirror, settings)

        async def restart():
            await until(lambda: head_of(service) >= MANY // 4)
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)

        async def revoke():
            for key in keys:
                await revoke_patiently(service, key)

        await asyncio.gather(restart(), revoke())
        await until(lambda: head_of(service) == MANY)
        assert not await follow(follower, service.mirror, settings)
        assert held(follower) == {key.listed.record.id for key in keys}
        listed = await list_keys(database, keys[0].listed.record.account_id)
        assert {key.state for key in listed} == {"revoked"}
    await database.close()


async def test_a_transaction_that_is_held_open_loses_nothing_and_hides_nothing(
    database, settings, started
):
    mirror = Mirror(database, settings, started.master_key)
    await mirror.refresh_once()
    slow, quick = await make_keys(database, 2)
    async with database.transaction() as opened:
        key = await lock_api_key(opened, slow.listed.record.id)
        # This one begins later and commits first.
        await endings.revoke_key(database, quick.listed.record.id, actor=ACTOR)
        await mirror.refresh_once()
        assert [r.revocation.value for r in mirror.denylist.log] == [quick.listed.record.id]
        await end_api_keys(opened, "key_revoked", key_ids=[key.record.id], actor=ACTOR, detail={})
    await mirror.refresh_once()
    assert [(r.position.seq, r.revocation.value) for r in mirror.denylist.log] == [
        (1, quick.listed.record.id),
        (2, slow.listed.record.id),
    ]


def copy_data(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)


async def test_f31_t27_a_restored_backup_alarms_followers_and_is_healed_by_a_process_that_remembers(
    own_postgres, own_folder, settings, logs
):
    """The data folder of yesterday is put back, and today's numbers are given out again."""
    server, url = own_postgres
    database = await open_database(url, max_size=4)
    master_key = (await initialise(database, settings)).master_key
    early, late, other = await make_keys(database, 3)
    data, backup = own_folder / "postgres" / "data", own_folder / "postgres" / "backup"
    mirror = Mirror(database, settings, master_key)
    await endings.revoke_key(database, early.listed.record.id, actor=ACTOR)
    await asyncio.to_thread(server.stop)
    copy_data(data, backup)
    await asyncio.to_thread(server.start)
    await until(lambda: answers(database))
    await endings.revoke_key(database, late.listed.record.id, actor=ACTOR)
    await mirror.refresh_once()
    follower = new_follower(settings)
    await follow(follower, mirror, settings)
    await asyncio.to_thread(server.stop)
    copy_data(backup, data)
    await asyncio.to_thread(server.start)
    await until(lambda: answers(database))

    forgetful = Mirror(database, settings, master_key)  # a process that starts afterwards
    await forgetful.refresh_once()
    follower.page_issued_at = int(forgetful.postgres_clock.now.timestamp()) + 60
    with pytest.raises(InvalidPageError, match="replayed"):
        # The page is not certainly newer than the last one.
        await follow(follower, forgetful, settings)
    follower.page_issued_at = int(forgetful.postgres_clock.now.timestamp()) - 1
    # This gets the number 2, which was given out already.
    await endings.revoke_key(database, other.listed.record.id, actor=ACTOR)
    await forgetful.refresh_once()
    went_back = await follow(follower, forgetful, settings)
    assert went_back, "the follower says that the history went back"
    kept = {key.listed.record.id for key in (early, late, other)}
    assert held(follower) == kept, "the follower keeps what it had"
    assert await state_of(database, late) == "active"

    await mirror.refresh_once()
    assert await state_of(database, late) == "revoked"
    assert [line["value"] for line in logs.find("revocation_healed")] == [late.listed.record.id]
    await forgetful.refresh_once()
    newcomer = new_follower(settings)
    await follow(newcomer, forgetful, settings)
    assert held(newcomer) == held(follower)
    assert {row.revocation.value for row in await list_denylist(database)} == held(follower)
    await database.close()


async def answers(database):
    try:
        async with database.connection() as connection:
            return await connection.fetchval("select true")
    except UnavailableError:
        return False


async def state_of(database, key):
    return (await load_key(database, key.listed.record.id)).state


async def test_f6_a_repeat_is_not_acknowledged_before_the_first_act_is_durable(
    own_postgres, settings
):
    """The standby is away: the first act is written, and its answer was given up."""
    _, url = own_postgres
    database = await open_database(url, max_size=4)
    await initialise(database, settings)
    (key,) = await make_keys(database, 1)
    subject = key.listed.record.id
    await wait_for_standby(database, "away")
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            await endings.revoke_key(database, subject, actor=ACTOR)
    await wait_for_standby(database, "")
    assert await list_acts(database, subject) == ["keys.create", "keys.revoke"]
    revoked = await endings.revoke_key(database, subject, actor=ACTOR)
    assert (revoked.listed.state, len(revoked.records)) == ("revoked", 1)
    await database.close()


async def wait_for_standby(database, name):
    """Let every commit wait for a standby of this name from now on; "" is for none."""
    async with database.connection() as connection:
        await connection.execute(f"alter system set synchronous_standby_names = '{name}'")
        await connection.execute("select pg_reload_conf()")
        await until(lambda: has_standby(connection, name))


async def has_standby(connection, name):
    return await connection.fetchval("show synchronous_standby_names") == name
