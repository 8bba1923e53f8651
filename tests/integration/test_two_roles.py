"""The owner of the tables migrates; the service has a role that cannot change the audit trail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests import endings
from tests.factories import make_settings
from tests.integration.receiving import deliver, make_dispatcher, make_endpoint
from tests.integration.things import ACTOR, make_key, open_exchange, read_use
from tests.rows import list_denylist

from tokensvc.core.actor import Actor
from tokensvc.core.audit_chain import Chain
from tokensvc.core.errors import ConflictError, StartRefusedError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.follower import FollowerId
from tokensvc.core.limit import LimitChanges
from tokensvc.core.usage import LastUse
from tokensvc.issuer.admin import accounts, api_keys, audiences, capabilities, key_rotation, tiers
from tokensvc.issuer.admin.audit_check import verify_trail
from tokensvc.issuer.admin.audit_prune import declare_reset, prune_events
from tokensvc.issuer.backup import make_backup
from tokensvc.issuer.cleaning import clean_addresses_once, clean_denylist_once, clean_usage_once
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.issuer.mirror.healing import heal
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.notices.checks import (
    check_ages_once,
    check_followers_once,
    clean_notices_once,
    tell_went_back,
)
from tokensvc.issuer.notices.deliveries import give_up_endpoint, redeliver
from tokensvc.issuer.notices.endpoints import delete_endpoint, rotate_secret, send_test
from tokensvc.issuer.notices.usage_watch import UsageWatch
from tokensvc.issuer.restore import restore_backup
from tokensvc.issuer.revoking import credentials
from tokensvc.issuer.revoking.receipts import Receipts
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.import_export import export_private_key
from tokensvc.issuer.signing.master_key import rotate_master_key
from tokensvc.issuer.signing.rotation import Urgency, rotate_once
from tokensvc.issuer.start import initialise
from tokensvc.store.audit_event import load_audit_head, read_audit_events
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect

FORBIDDEN = [
    "insert into audit_event select * from audit_event",
    "update audit_event set subject = 'x'",
    "delete from audit_event",
    "truncate audit_event",
    "alter table audit_event disable trigger all",
    "drop trigger audit_event_is_kept on audit_event",
    """create trigger mine before insert on audit_event
    for each row execute function refuse_audit_change()""",
    "drop table audit_event cascade",
    "update audit_head set number = 0",
    "insert into audit_checkpoint values (1, clock_timestamp(), '')",
    "update audit_address set address = ''",
    "insert into audit_address values (1, clock_timestamp(), '', '')",
    "create table mine (id int)",
    "create function mine() returns int language sql as 'select 1'",
    """create or replace function refuse_audit_change() returns trigger language plpgsql
    as 'begin return old; end'""",
    "truncate account cascade",
    "update schema_migrations set checksum = ''",
    "set session_replication_role = replica",
    "select declare_audit_reset('{}', '')",
]


@pytest.fixture
async def urls(new_database_url):
    """The URLs of one database for its owner and for the service, and that of the superuser."""
    url = await asyncio.to_thread(new_database_url, "empty")
    parts = urlsplit(url)
    name = parts.path.strip("/")
    made = []
    superuser = await connect(url)
    for kind in ("owner", "service"):
        role = f"{kind}_of_{name}"
        await superuser.execute(f"create role {role} login password 'x'")
        made.append(parts._replace(netloc=f"{role}:x@{parts.netloc.rpartition('@')[2]}").geturl())
    await superuser.execute(f"alter database {name} owner to owner_of_{name}")
    await superuser.close()  # nobody could rename the database while it is there
    yield [*made, parts._replace(path="/template1").geturl()]
    superuser = await connect(url)
    for kind in ("service", "owner"):
        role = f"{kind}_of_{name}"
        await superuser.execute(f"reassign owned by {role} to current_user")
        await superuser.execute(f"drop owned by {role}")
        await superuser.execute(f"alter database {name} owner to current_user")
        await superuser.execute(f"drop role {role}")
    await superuser.close()


@pytest.fixture
def settings(urls, tmp_path):
    return make_settings(
        migration_database_url=urls[0],
        database_url=urls[1],
        keys_dir=tmp_path / "keys",
        data_dir=tmp_path / "data",
        database_wait=5,
    )


@pytest.fixture
async def database(urls):
    """The database as the service sees it after the first start."""
    opened = await open_database(urls[1], max_size=5)
    yield opened
    await opened.close()


async def test_every_act_works_with_the_role_of_the_service(database, settings):
    started = await initialise(database, settings)
    master_key = started.master_key
    await change_accounts_and_keys(database)
    await change_names(database, settings)
    await exchange_and_clean(database, settings, started)
    await tell_and_clean(database, settings, started)
    plan = await rotate_once(
        database, settings, master_key, actor=ACTOR, urgency=Urgency(asked=True)
    )
    assert plan is not None
    await export_private_key(database, master_key, str(plan.kid), actor=ACTOR)
    await revoke_signing_key_now(database, settings, master_key, str(plan.kid), actor=ACTOR)
    await rotate_master_key(database, settings, to=None, actor=ACTOR)
    await initialise(database, settings)
    async with database.connection() as connection:
        head = await load_audit_head(connection)
        chain = Chain()
        async for events in read_audit_events(connection):
            assert chain.find_break(events) is None
        assert (chain.number, chain.hash) == (head.number, head.hash)


async def test_the_role_of_the_service_cannot_change_what_is_written(
    database, settings, urls, subtests
):
    await initialise(database, settings)
    connection = await connect(urls[1])
    for statement in FORBIDDEN:
        with subtests.test(msg=statement), pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_only_the_owner_prunes_the_trail_and_declares_a_reset(database, settings):
    await initialise(database, settings)
    alone = settings.model_copy(update={"migration_database_url": None})
    async with database.connection() as connection:
        now = await connection.fetchval("select clock_timestamp()")
    with pytest.raises(ConflictError, match="TOKENSVC_MIGRATION_DATABASE_URL"):
        await prune_events(database, alone, now, actor=ACTOR)
    with pytest.raises(ConflictError, match="TOKENSVC_MIGRATION_DATABASE_URL"):
        await declare_reset(database, alone, "a backup", actor=ACTOR)
    pruned = await prune_events(database, settings, now, actor=ACTOR)
    reset = await declare_reset(database, settings, "a backup", actor=ACTOR)
    assert pruned is not None
    whole = await verify_trail(database, alone)
    assert whole.begin is not None
    assert (whole.begin.number, whole.head) == (pruned.number, reset)


async def test_a_service_that_may_not_make_tables_starts_on_those_that_are_there(
    database, settings, urls
):
    alone = settings.model_copy(update={"migration_database_url": None})
    with pytest.raises(StartRefusedError, match="TOKENSVC_MIGRATION_DATABASE_URL"):
        await initialise(database, alone)
    await initialise(database, settings)
    await initialise(database, alone)
    owner = await open_database(urls[0], max_size=2)
    await initialise(owner, alone)
    await owner.close()


async def test_the_owner_restores_a_backup_and_the_service_has_its_rights_again(
    database, settings, urls, tmp_path
):
    await initialise(database, settings)
    kept, revoked = await make_key(database), await make_key(database)
    await make_backup(database, settings, tmp_path / "backup")
    await endings.revoke_key(database, revoked.listed.record.id, actor=ACTOR)
    owner = urlsplit(urls[0]).username
    superuser = await connect(urls[2])
    await superuser.execute(f"alter role {owner} createdb")
    name, role = urlsplit(urls[1]).path.strip("/"), urlsplit(urls[1]).username
    await superuser.execute(f"alter role {role} in database {name} set work_mem = '5MB'")
    restored = await restore_backup(database, settings, tmp_path / "backup", actor=ACTOR)
    assert restored.left == [f"alter role {role} in database {name} set work_mem to '5MB'"]
    await initialise(database, settings)
    async with database.connection() as connection:
        rows = await connection.fetch("select id, revoked_at is null as lives from api_key")
    lives = {row["id"]: row["lives"] for row in rows}
    assert lives[kept.listed.record.id]
    assert not lives[revoked.listed.record.id]
    service = await connect(urls[1])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("delete from audit_event")
    await service.close()
    await superuser.execute(f'drop database "{restored.former}" with (force)')
    await superuser.close()


async def change_accounts_and_keys(database):
    actor = Actor(name="key_1", address="192.0.2.7", request_id="r1")
    for end in (endings.disable_key, endings.revoke_tokens_of_key, endings.revoke_key,
                endings.delete_key):  # fmt: skip
        key = (await make_key(database, per_minute=5)).listed.record
        await end(database, key.id, actor=actor)
    key = (await make_key(database)).listed.record
    await key_rotation.rotate_key(
        database, key.id, grace=timedelta(hours=1), prefix="tsk-", actor=actor
    )
    await endings.disable_key(database, key.id, actor=actor)
    await api_keys.enable_key(database, key.id, actor=actor)
    changes = api_keys.KeyChanges(
        name="x", life=timedelta(days=1), limits=LimitChanges(per_minute=3)
    )
    await api_keys.update_key(database, key.id, changes, actor=actor, revoke_tokens=True)
    await accounts.update_account(database, key.account_id, name="x", actor=actor)
    await endings.revoke_tokens_of_account(database, key.account_id, actor=actor)
    await endings.suspend_account(database, key.account_id, actor=actor)
    await accounts.resume_account(database, key.account_id, actor=actor)
    await endings.delete_account(database, key.account_id, actor=actor)
    await credentials.revoke_jti(database, "x" * 20, None, actor=actor, reason="")


async def change_names(database, settings):
    await capabilities.create_capability(database, "stock:read", "", actor=ACTOR)
    await capabilities.delete_capability(database, "stock:read", actor=ACTOR)
    await tiers.create_tier(database, "huge", key_per_minute=9, key_per_day=9, actor=ACTOR)
    await tiers.update_tier(database, "huge", key_per_day=99, actor=ACTOR)
    await tiers.delete_tier(database, "huge", actor=ACTOR)
    await audiences.create_audience(database, settings, "orders", actor=ACTOR)
    await audiences.update_audience(
        database, settings, "orders", description="x", token_life=None, actor=ACTOR
    )
    await audiences.delete_audience(database, settings, "orders", actor=ACTOR)


async def exchange_and_clean(database, settings, started):
    key = await make_key(database)
    exchange = await open_exchange(database, settings, started)
    request = ExchangeRequest(credential=key.key)
    issued = await exchange.issue(request, "192.0.2.0/24")
    await exchange.ledger.close()
    await credentials.revoke_token(database, issued.claims, actor=ACTOR)
    async with database.connection() as connection:
        now = await connection.fetchval("select clock_timestamp()")
    usage = UsageRecorder(database)
    usage.add_issued(key.listed.record.id, LastUse(int(now.timestamp()), "192.0.2.0/24", "api"))
    await usage.flush_once()
    await read_use(database, key.listed.record.id)
    mirror = Mirror(database, settings, started.master_key)
    await mirror.refresh_once()
    receipts = Receipts(database, mirror, unproved_pause=0)
    head = mirror.denylist.log.head
    assert head is not None
    receipts.note(FollowerId("", "orders"), head)
    await receipts.flush_once()
    await receipts.clean_once()
    records = await list_denylist(database)
    later = now + timedelta(days=400)
    assert await clean_denylist_once(database, later) == len(records) > 5
    await heal(database, settings, started.master_key, records, now)
    assert len(await list_denylist(database)) > 5
    assert await clean_addresses_once(database, later) > 1
    assert await clean_usage_once(database, later - timedelta(days=1)) == 1


async def tell_and_clean(database, settings, started):
    made = await make_endpoint(database, settings, started.master_key, "http://127.0.0.1:1/")
    endpoint = made.endpoint.id
    await rotate_secret(
        database, started.master_key, endpoint, grace=timedelta(days=1), actor=ACTOR
    )
    await redeliver(database, (await send_test(database, endpoint, actor=ACTOR)).id, actor=ACTOR)
    dispatcher = make_dispatcher(database, settings, started.master_key)
    await deliver(dispatcher)
    await dispatcher.measure_once()
    await dispatcher.close()
    watch = UsageWatch(database)
    key = (await make_key(database)).listed.record.id
    watch.note([(key, "192.0.2.0/24"), (key, "198.51.100.0/24")])
    await watch.check_once()
    await check_ages_once(database, settings, datetime.now(UTC), pause=timedelta())
    await check_followers_once(database)
    await tell_went_back(database)
    await give_up_endpoint(database, endpoint, "failing")
    await delete_endpoint(database, endpoint, actor=ACTOR)
    async with database.connection() as connection:
        now = await connection.fetchval("select clock_timestamp()")
    later = now + timedelta(days=400)
    assert await clean_notices_once(database, later) > 5
    assert await clean_addresses_once(database, later) > 1
