"""An old primary that comes back is passed over like a standby.

`python -m bench.failover` does it with real failovers.
"""

from __future__ import annotations

import pytest
from tests.integration.things import make_key, open_exchange

from tokensvc.core.errors import UnavailableError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.store.pool import open_database
from tokensvc.store.primary import Timelines, connect

STANDING = """
select (select system_identifier from pg_control_system()),
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
"""


@pytest.fixture
def timelines():
    """What the process has seen, to be told of a newer primary."""
    return Timelines()


@pytest.fixture
async def database(database_url, timelines):
    opened = await open_database(database_url, max_size=10, timelines=timelines)
    yield opened
    await opened.close()


async def test_a_host_with_an_older_timeline_is_refused_by_pool_and_connections_apart(
    database, timelines, connection, logs
):
    cluster, timeline = await connection.fetchrow(STANDING)
    async with database.connection() as lent:
        assert await lent.fetchval("select 1") == 1
    timelines.admit(cluster, timeline + 1)  # a newer primary was seen
    with pytest.raises(UnavailableError):
        async with database.connection():
            pass
    with pytest.raises(UnavailableError):
        await database.connect_apart()
    assert {line["timeline"] for line in logs.find("old_primary_refused")} == {timeline}


async def test_the_ledger_leaves_a_connection_that_leads_to_an_old_primary(
    database, timelines, settings, started, connection
):
    key = await make_key(database)
    exchange = await open_exchange(database, settings, started)
    await exchange.issue(ExchangeRequest(credential=key.key), "test")
    cluster, timeline = await connection.fetchrow(STANDING)
    timelines.admit(cluster, timeline + 1)
    with pytest.raises(UnavailableError):
        await exchange.issue(ExchangeRequest(credential=key.key), "test")
    await exchange.ledger.close()


async def test_a_process_that_has_seen_nothing_newer_takes_any_primary(database_url):
    await (await connect(database_url, timelines=Timelines())).close()
    await (await connect(database_url)).close()


def test_timelines_count_within_one_cluster(timelines):
    admitted = [timelines.admit(1, timeline) for timeline in (3, 3, 4, 3, 4)]
    assert admitted == [True, True, True, False, True]
    assert timelines.admit(2, 1), "a dump in a cluster of its own"
    assert timelines.changes == 1


async def test_a_role_without_any_rights_may_ask_for_the_timeline(connection):
    await connection.execute("create role powerless")
    await connection.execute("set role powerless")
    cluster, timeline = await connection.fetchrow(STANDING)
    assert cluster
    assert timeline == 1
    await connection.execute("reset role")
    await connection.execute("drop role powerless")
