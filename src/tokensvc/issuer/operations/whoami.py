"""The operation that tells the caller who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.operations.authorisation import FRESH_FOR, list_allowed
from tokensvc.operations.table import OPERATIONS
from tokensvc.operations.whoami import Caller, Limits

if TYPE_CHECKING:
    from tokensvc.core.limit import LimitStatus
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Nothing


async def show(call: Call, request: Nothing) -> Caller:
    """Say who the caller is."""
    del request
    principal = call.principal
    shown_at = principal.shown_at
    return Caller(
        actor=principal.actor.name,
        key=principal.key_id,
        account=principal.account_id,
        capabilities=sorted(principal.capabilities),
        operations=list_allowed(tuple(OPERATIONS.values()), principal),
        fresh_until=None if shown_at is None else shown_at + FRESH_FOR,
        limits=[] if call.calls is None else [_build_limit(call.calls)],
    )


def _build_limit(status: LimitStatus) -> Limits:
    return Limits(
        name=status.name, limit=status.limit, left=status.left, resets_in=status.resets_in
    )
