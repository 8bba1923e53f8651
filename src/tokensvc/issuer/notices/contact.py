"""The contact of an account: the one mailbox of it that people know as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.identifier import new_endpoint_id
from tokensvc.core.notices.destination import build_mailbox
from tokensvc.issuer.notices.endpoints import build_facts, insert_endpoint
from tokensvc.store import notice_endpoint as table

if TYPE_CHECKING:
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.issuer.audit import Trail
    from tokensvc.store.pool import Connection


async def change_contact(
    connection: Connection, account_id: str, address: str, trail: Trail
) -> None:
    """Have another mailbox as the contact of an account, whose row is locked; "": have none.

    The mailbox from before is removed. The new one is told of the same events, and is sent a link,
    unless the account has it among its endpoints already. Raises ConflictError if there are too
    many.
    """
    url = build_mailbox(address).url if address else None
    before = await table.lock_contact(connection, account_id)
    if url == (None if before is None else before.url):
        return
    if before is not None:
        # It goes first, so that it does not count when the new one is added: their number is
        # limited.
        await table.delete_endpoint(connection, before.id)
        trail.note("notice-endpoints.delete", before.id, **build_facts(before))
    if url is not None:
        after = await table.find_mailbox(connection, account_id, url)
        if after is None:
            after = await _insert_mailbox(connection, account_id, url, before, trail)
        await table.mark_contact(connection, after.id)


async def _insert_mailbox(
    connection: Connection, account_id: str, url: str, before: Endpoint | None, trail: Trail
) -> Endpoint:
    return await insert_endpoint(
        connection,
        new_endpoint_id(),
        account_id=account_id,
        url=url,
        events=before.events if before else (),
        description=before.description if before else "",
        sealed_secret=None,
        trail=trail,
    )
