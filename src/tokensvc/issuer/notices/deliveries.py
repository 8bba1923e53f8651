"""What becomes of deliveries beside sending them: once more, or never again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.errors import ConflictError
from tokensvc.core.notices.event import CONFIRM
from tokensvc.issuer.audit import record
from tokensvc.issuer.database import accept
from tokensvc.store.notice_delivery import load_delivery, repeat_delivery
from tokensvc.store.notice_endpoint import disable_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.notices.endpoint import DisabledBecause
    from tokensvc.issuer.database import Transactions
    from tokensvc.store.notice_delivery import Delivery
    from tokensvc.store.pool import Database

_NOTICES: Final = Actor(name="notices")


async def redeliver(
    database: Transactions,
    delivery_id: int,
    *,
    actor: Actor,
    check: Callable[[Delivery], None] = accept,
) -> Delivery:
    """Send an event to its endpoint once more.

    Raises NotFoundError, and ConflictError for a link to confirm a mailbox: new ones are counted.
    """
    async with database.transaction() as connection:
        delivery = await load_delivery(connection, delivery_id)
        check(delivery)
        if delivery.name == CONFIRM:
            raise ConflictError("test the endpoint instead: that sends its mailbox a new link")
        await repeat_delivery(connection, delivery)
        repeated = await load_delivery(connection, delivery_id)
        await record(
            connection, actor, "notice-deliveries.redeliver", delivery.endpoint_id,
            notice=delivery.notice_id,
        )  # fmt: skip
    return repeated


async def give_up_endpoint(database: Database, endpoint_id: str, because: DisabledBecause) -> None:
    """Disable an endpoint that does not accept notices. Raises UnavailableError."""
    async with database.transaction() as connection:
        if await disable_endpoint(connection, endpoint_id, because):
            await record(
                connection, _NOTICES, "notice-endpoints.disable", endpoint_id, reason=because
            )
