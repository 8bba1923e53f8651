"""An old primary that comes back is passed over like a standby.

`test_two_primaries` does it with two real servers, `python -m bench.failover` with failovers.
"""

from __future__ import annotations

import asyncpg
import pytest
from tests.integration.things import make_key, open_exchange

from tokensvc.core.errors import UnavailableError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.primary import UNKNOWN_CLUSTER, SeenTimelines
from tokensvc.store.host_state import load_host_state
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect
from tokensvc.store.timelines import Timelines


@pytest.fixture
def timelines():
    """What the process has seen, to be told of a newer primary."""
    return Timelines()


@pytest.fixture
async def database(database_url, timelines):
    opened = await open_database(database_url, max_size=10, timelines=timelines)
    yield opened
    await opened.close()


@pytest.fixture
async def see_a_newer_primary(timelines, connection, database_url):
    """Lets the process know of a primary that is newer than the one of these tests."""
    state = await load_host_state(connection, database_url)

    def see():
        newest = {state.cluster: (state.timeline or 0) + 1}
        timelines.seen = SeenTimelines(cluster=state.cluster, newest=newest)
        timelines.changes += 1

    return see


async def test_f7_a_host_with_an_older_timeline_is_refused_by_pool_and_connections_apart(
    database, see_a_newer_primary, logs
):
    async with database.connection() as lent:
        assert await lent.fetchval("select 1") == 1
    apart = await database.connect_apart()
    see_a_newer_primary()
    with pytest.raises(UnavailableError) as caught:
        async with database.connection():
            pass
    assert caught.value.reason == "database_old_primary"
    assert apart.is_closed()
    with pytest.raises(UnavailableError):
        await database.connect_apart()
    (said,) = logs.find("old_primary")
    assert said["level"] == "error"
    assert said["detail"].endswith(
        "(timeline 1) is an old primary, because timeline 2 was seen before"
    )


async def test_f7_the_ledger_leaves_a_connection_that_leads_to_an_old_primary(
    database, settings, started, see_a_newer_primary
):
    key = await make_key(database)
    exchange = await open_exchange(database, settings, started)
    await exchange.issue(ExchangeRequest(credential=key.key), "test")
    see_a_newer_primary()
    with pytest.raises(UnavailableError):
        await exchange.issue(ExchangeRequest(credential=key.key), "test")
    await exchange.ledger.close()


async def test_a_role_without_any_rights_may_ask_where_a_server_stands(connection, database_url):
    await connection.execute("create role powerless")
    await connection.execute("set role powerless")
    state = await load_host_state(connection, database_url)
    assert state.cluster != UNKNOWN_CLUSTER
    assert (state.timeline, state.is_standby) == (1, False)
    await connection.execute("reset role")
    await connection.execute("drop role powerless")


@pytest.mark.parametrize(
    ("denied", "expected"),
    [
        (["pg_control_system()"], (UNKNOWN_CLUSTER, 1)),
        (["pg_control_system()", "pg_walfile_name(pg_lsn)"], (UNKNOWN_CLUSTER, None)),
    ],
)
async def test_where_a_role_may_not_ask_everything_the_rest_counts(
    connection, database_url, denied, expected
):
    await connection.execute("create role confined")
    for function in denied:
        await connection.execute(f"revoke execute on function {function} from public")
    try:
        await connection.execute("set role confined")
        state = await load_host_state(connection, database_url)
        assert (state.cluster, state.timeline) == expected
    finally:
        await connection.execute("reset role")
        for function in denied:
            await connection.execute(f"grant execute on function {function} to public")
        await connection.execute("drop role confined")


async def test_if_no_host_answers_what_the_last_one_raised_is_told(unused_tcp_port_factory):
    one, two = unused_tcp_port_factory(), unused_tcp_port_factory()
    with pytest.raises(OSError, match=r"onnect") as caught:
        await connect(f"postgresql://u:p@127.0.0.1:{one},127.0.0.1:{two}/d")
    assert not isinstance(caught.value, asyncpg.PostgresError)
