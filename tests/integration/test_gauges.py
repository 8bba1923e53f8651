"""The metrics that tell how a process stands agree with what the database holds."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from tests.endings import revoke_key
from tests.integration.things import ACTOR, make_key

from tokensvc import __version__
from tokensvc.issuer.gauges import Gauges
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.store.audit_event import load_audit_head


def read(name, **labels):
    return REGISTRY.get_sample_value(f"tokensvc_{name}", labels)


@pytest.fixture
async def mirror(started, database, settings):
    mirror = Mirror(database, settings, started.master_key)
    await mirror.refresh_once()
    return mirror


async def test_f16_a_process_tells_of_its_copies_its_keys_and_its_connections(
    mirror, database, settings, connection
):
    await revoke_key(database, (await make_key(database)).listed.record.id, actor=ACTOR)
    await mirror.refresh_once()
    await mirror.audit_heads.read_once()
    gauges = Gauges(database, mirror)
    async with database.connection():
        await gauges.set_once()
    assert 0 <= read("copy_age_seconds") < 600
    assert read("denylist_entries") == 1
    assert read("audit_head") == (await load_audit_head(connection)).number
    assert read("build_info", version=__version__) == 1
    assert read("pool_connections", state="in_use") == 1
    assert read("pool_connections", state="free") == database.most_connections - 1
    assert read("signing_keys", alg="ES256", phase="active") == 1
    assert read("signing_keys", alg="ES256", phase="pending") == 1
    age = read("signing_key_age_seconds", alg="ES256")
    due_at = read("signing_key_next_rotation_timestamp_seconds", alg="ES256")
    now = mirror.postgres_clock.now.timestamp()
    assert due_at == pytest.approx(now - age + settings.rotation_period, abs=5)


async def test_f16_a_standby_that_is_missing_is_told(mirror, database, connection):
    await connection.execute("delete from signing_key where active_at is null")
    await connection.execute("update feed_head set seq = seq + 1 where topic = 'signing_key'")
    await mirror.refresh_once()
    await Gauges(database, mirror).set_once()
    assert read("signing_keys", alg="ES256", phase="pending") == 0


async def test_f23_a_session_that_keeps_notifications_from_being_taken_is_told(
    mirror, database, connection
):
    gauges = Gauges(database, mirror)
    await connection.execute("listen anything")
    await connection.execute("begin; select 1")
    async with database.connection() as other:
        await other.execute(
            "select pg_notify('anything', repeat('x', 7000) || n) from generate_series(1, 50) n"
        )
    await gauges.ask_for_queue_once()
    assert read("notification_queue_ratio") > 0
    await connection.execute("rollback")
