"""A mailbox is confirmed by whoever can read what is sent there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.notices.confirmation import is_good
from tokensvc.issuer.audit import record
from tokensvc.store import notice_endpoint as table
from tokensvc.store.notice_facts import load_clock

if TYPE_CHECKING:
    from tokensvc.core.notices.confirmation import Code
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.core.sealing import MasterKey
    from tokensvc.store.pool import Connection, Database

_HOLDER: Final = Actor(name="mailbox")


async def find_unconfirmed(
    database: Database, code: Code, master_key: MasterKey
) -> Endpoint | None:
    """Return the mailbox that a link is for, None if the link is not good (any more).

    Raises UnavailableError.
    """
    async with database.connection() as connection:
        return await _find_by_code(connection, code, master_key)


async def confirm_endpoint(
    database: Database, code: Code, master_key: MasterKey
) -> Endpoint | None:
    """Note that a mailbox is confirmed, and return it; None if the link is not good.

    Raises UnavailableError.
    """
    async with database.transaction() as connection:
        endpoint = await _find_by_code(connection, code, master_key)
        if endpoint is not None and await table.confirm_endpoint(connection, endpoint.id):
            await record(connection, _HOLDER, "notice-endpoints.confirm", endpoint.id)
    return endpoint


async def _find_by_code(
    connection: Connection, code: Code, master_key: MasterKey
) -> Endpoint | None:
    now = await load_clock(connection)
    endpoint = await table.find_endpoint(connection, code.endpoint_id)
    if endpoint is None or not is_good(code, endpoint.url, now, master_key):
        return None
    return endpoint
