"""Losses of Postgres, made inside the database, and what is seen of their healing.

Tables are put back to what they were, as after a failover or a restored backup. The numbers of what
was lost are given out again.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from tests.factories import parse_page
from tests.integration.things import read_page
from tests.rows import list_denylist, list_events

from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.identifier import Kid
from tokensvc.issuer.revoking.feed import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tokensvc.core.denylist.followed import FollowedDenylist
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

TABLES = ("account", "api_key", "signing_key", "denylist", "feed_head", "audit_event", "audit_head")
STORED_COLUMNS = (
    "select string_agg(column_name, ', ') from information_schema.columns "
    "where table_name = $1 and is_generated = 'NEVER'"
)


@asynccontextmanager
async def lost(connection: Any) -> AsyncIterator[None]:
    """At the end of the block Postgres loses all that was done inside it."""
    for table in TABLES:
        await connection.execute(f"create table kept_{table} as table {table}")
    yield
    async with connection.transaction():
        # No foreign keys are checked: rows that refer to each other come back in any order.
        await connection.execute("set local session_replication_role = replica")
        for table in TABLES:
            await connection.execute(f"delete from {table}")
            columns = await connection.fetchval(STORED_COLUMNS, table)
            await connection.execute(
                f"insert into {table} ({columns}) overriding system value "
                f"select {columns} from kept_{table}"
            )
            await connection.execute(f"drop table kept_{table}")


def read_count(name: str) -> float:
    """Return the value of a metric of this process."""
    return REGISTRY.get_sample_value(name) or 0.0


async def list_endings(database: Database) -> list[tuple[str, str, bool]]:
    """Return (value, ending, healed) of all revocations in force, oldest first."""
    return [(row.revocation.value, row.ending, row.healed) for row in await list_denylist(database)]


async def list_healed_acts(database: Database, subject: str) -> list[str]:
    """Return the actions by which healing has changed a subject, newest first."""
    events = await list_events(database, AuditFilter(subject=subject), most=20)
    return [event.operation for event in events if event.actor == "healing"]


async def follow(follower: FollowedDenylist, mirror: Mirror, settings: Settings) -> bool:
    """Take in what is new; return whether the follower found that the history went back."""
    page = parse_page(read_page(await Feed(mirror, settings).next_page(follower.position, wait=0)))
    return follower.apply(page, Kid("any"), now=mirror.postgres_clock.now.timestamp(), leeway=5)
