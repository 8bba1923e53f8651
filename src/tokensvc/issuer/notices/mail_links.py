"""A mailbox is confirmed, or told of nothing more, by whoever can read what is sent there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.notices.mail_link import is_good
from tokensvc.issuer.audit import record
from tokensvc.store import notice_endpoint as table
from tokensvc.store.notice_facts import load_clock

if TYPE_CHECKING:
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.core.notices.mail_link import Code, Purpose
    from tokensvc.core.sealing import MasterKey
    from tokensvc.store.pool import Connection, Database

_HOLDER: Final = Actor(name="mailbox")


async def find_mailbox(
    database: Database, code: Code, purpose: Purpose, master_key: MasterKey
) -> Endpoint | None:
    """Return the mailbox that a link is for, None if the link is not good (any more).

    Raises UnavailableError.
    """
    async with database.connection() as connection:
        return await _find_by_code(connection, code, purpose, master_key)


async def follow_link(
    database: Database, code: Code, purpose: Purpose, master_key: MasterKey
) -> Endpoint | None:
    """Do what a link is for, and return the mailbox; None if the link is not good.

    Raises UnavailableError.
    """
    async with database.transaction() as connection:
        endpoint = await _find_by_code(connection, code, purpose, master_key)
        if endpoint is None:
            return None
        if purpose == "confirm":
            if await table.confirm_endpoint(connection, endpoint.id):
                await record(connection, _HOLDER, "notice-endpoints.confirm", endpoint.id)
        elif await table.unsubscribe_endpoint(connection, endpoint.id):
            await record(
                connection, _HOLDER, "notice-endpoints.disable", endpoint.id, reason="unsubscribed"
            )
    return endpoint


async def _find_by_code(
    connection: Connection, code: Code, purpose: Purpose, master_key: MasterKey
) -> Endpoint | None:
    now = await load_clock(connection)
    endpoint = await table.find_endpoint(connection, code.endpoint_id)
    if endpoint is None or not is_good(code, purpose, endpoint.url, now, master_key):
        return None
    return endpoint
