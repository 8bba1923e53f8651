"""What Postgres servers say of themselves: whether they take writes, their cluster and timeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tokensvc.core.primary import UNKNOWN_CLUSTER, HostState, decide_primary

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from tokensvc.core.primary import SeenTimelines

_TIMEOUT: Final = 2.0
# A host that did not answer the last time is waited for no longer than this, once a primary is
# found.
_SHORT_TIMEOUT: Final = 0.2

# The timeline stands in the name of the WAL file that is written now: after a promotion the control
# file still has the old one, until the next checkpoint.
_TIMELINE: Final = """case
    when not pg_is_in_recovery()
    then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
end"""
_CLUSTER: Final = "(select system_identifier from pg_control_system())"
_STATEMENT: Final = """
select pg_is_in_recovery() as is_standby, pg_postmaster_start_time() as started_at,
    {cluster} as cluster, {timeline} as timeline
"""
# A managed service may keep a role from calling these functions. Then as much is asked as it lets.
_STATEMENTS: Final = (
    _STATEMENT.format(cluster=_CLUSTER, timeline=_TIMELINE),
    _STATEMENT.format(cluster="null::bigint", timeline=_TIMELINE),
    _STATEMENT.format(cluster="null::bigint", timeline="null::int"),
)
_NOT_TOLD: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,
    asyncpg.FeatureNotSupportedError,
)


async def load_host_state(connection: asyncpg.Connection, host_url: str) -> HostState:
    """Return the state of the server behind a connection. Raises what the driver raises."""
    *complete, least = _STATEMENTS
    for statement in complete:
        try:
            return await _ask(connection, statement, host_url)
        except _NOT_TOLD:
            continue
    return await _ask(connection, least, host_url)


async def ask_hosts(
    urls: Sequence[str], silent: Collection[str], seen: SeenTimelines
) -> Mapping[str, HostState | BaseException]:
    """Ask all hosts at once; return what each answers, or why it did not. It takes two seconds.

    `urls`: one per host. Those in `silent` did not answer the last time. They are not waited for if
    the others have the primary among them, as far as `seen` tells.
    """
    tasks = {url: asyncio.create_task(_ask_host(url)) for url in urls}
    try:
        prompt = [task for url, task in tasks.items() if url not in silent]
        if prompt:
            await asyncio.wait(prompt)
        late = [task for task in tasks.values() if not task.done()]
        if late:
            found = [task.result() for task in prompt if task.exception() is None]
            choice = decide_primary(found, seen)
            await asyncio.wait(late, timeout=_SHORT_TIMEOUT if choice.primary else None)
    finally:
        for task in tasks.values():
            # A cancelled task answers with CancelledError, which `Hosts` takes for silence.
            task.cancel()
        answers = await asyncio.gather(*tasks.values(), return_exceptions=True)
    return dict(zip(tasks, answers, strict=True))


async def _ask(connection: asyncpg.Connection, statement: str, host_url: str) -> HostState:
    (row,) = await connection.fetch(statement)
    started_at: datetime = row["started_at"]
    return HostState(
        host=name_host(host_url),
        # The moment of its start identifies a server, because one may have several addresses.
        server=started_at.isoformat(),
        is_standby=row["is_standby"],
        cluster=row["cluster"] or UNKNOWN_CLUSTER,
        timeline=row["timeline"],
    )


def name_host(host_url: str) -> str:
    """Return the host and port of a URL with one host, without user and password."""
    parts = urlsplit(host_url)
    host = parts.netloc.rpartition("@")[2]
    return host or ":".join(
        v for name in ("host", "port") for v in parse_qs(parts.query).get(name, [])
    )


async def _ask_host(url: str) -> HostState:
    """Ask one host. Raises what the driver raises, TimeoutError after two seconds."""
    async with asyncio.timeout(_TIMEOUT):
        while True:
            try:
                connection: asyncpg.Connection = await asyncpg.connect(
                    url,
                    timeout=_TIMEOUT,
                    command_timeout=_TIMEOUT,
                    server_settings={"application_name": "tokensvc"},
                )
            except asyncpg.CannotConnectNowError:  # it starts, and may be the new primary
                await asyncio.sleep(_SHORT_TIMEOUT)
                continue
            try:
                return await load_host_state(connection, url)
            finally:
                connection.terminate()
