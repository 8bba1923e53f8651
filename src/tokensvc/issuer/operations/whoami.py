"""The operation that tells the caller who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.limit import list_statuses
from tokensvc.operations.rights import FRESH_FOR, list_allowed
from tokensvc.operations.table import OPERATIONS
from tokensvc.operations.whoami import Caller, Limits
from tokensvc.store.quota import find_quota

if TYPE_CHECKING:
    from tokensvc.core.limit import LimitStatus
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Nothing


async def show(call: Call, request: Nothing) -> Caller:
    """Say who the caller is."""
    del request
    principal = call.principal
    limits = [] if call.calls is None else [call.calls]
    if principal.key_id is not None:
        async with call.reading() as connection:
            found = await find_quota(connection, principal.key_id)
        if found is not None:
            limits += list_statuses(*found)
    shown_at = principal.shown_at
    return Caller(
        actor=principal.actor.name,
        key=principal.key_id,
        account=principal.account_id,
        capabilities=sorted(principal.capabilities),
        operations=list_allowed(tuple(OPERATIONS.values()), principal),
        fresh_until=None if shown_at is None else shown_at + FRESH_FOR,
        limits=[_build_limit(status) for status in limits],
    )


def _build_limit(status: LimitStatus) -> Limits:
    return Limits(
        name=status.name, limit=status.limit, left=status.left, resets_in=status.resets_in
    )
