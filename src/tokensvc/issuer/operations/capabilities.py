"""Operations on capabilities."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tokensvc.issuer.admin import capabilities
from tokensvc.issuer.kept_counts import Counted
from tokensvc.issuer.operations.paging import cut_page, select_named
from tokensvc.operations.capabilities import Capability, DeletedCapability, ListedCapability
from tokensvc.operations.model import ListPage
from tokensvc.store import capability as table
from tokensvc.store.not_found import no_such_capability

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.capabilities import (
        CapabilityRequest,
        CreateCapability,
        ListCapabilities,
        UpdateCapability,
    )


async def create(call: Call, request: CreateCapability) -> Capability:
    """Create a capability."""
    made = await capabilities.create_capability(
        call.changes, request.name, request.description, actor=call.actor
    )
    return Capability(**asdict(made))


async def list_(call: Call, request: ListCapabilities) -> ListPage[ListedCapability]:
    """List capabilities: all, or those that the caller's own key holds."""
    async with call.reading() as connection:
        found = select_named(request.name, await table.list_capabilities(connection))
        own = await call.find_own_terms(connection)
    # Counting takes a connection of its own, so none is held meanwhile.
    holders = await _count_holders(call) if request.with_use else None
    if own is not None:
        found = [known for known in found if known.name in own.capabilities]
    page, cursor = cut_page(request, found, lambda known: str(known.name))
    items = [
        ListedCapability(
            **asdict(known),
            keys=None if holders is None else holders.value.get(known.name, 0),
            counted_at=None if holders is None else holders.at,
        )
        for known in page
    ]
    return ListPage[ListedCapability](items=items, next_cursor=cursor)


async def show(call: Call, request: CapabilityRequest) -> Capability:
    """Show one capability, if the caller sees it."""
    async with call.reading() as connection:
        # First, so that a caller whose key is gone learns of no name that it exists.
        own = await call.find_own_terms(connection)
        found = await table.load_capability(connection, request.name)
    if own is not None and found.name not in own.capabilities:
        raise no_such_capability(request.name)
    return Capability(**asdict(found))


async def update(call: Call, request: UpdateCapability) -> Capability:
    """Change the description of a capability."""
    changed = await capabilities.update_capability(
        call.changes,
        request.name,
        request.description,
        actor=call.actor,
        check=lambda capability: call.check_version(Capability(**asdict(capability))),
    )
    return Capability(**asdict(changed))


async def delete(call: Call, request: CapabilityRequest) -> DeletedCapability:
    """Delete a capability."""
    await capabilities.delete_capability(call.changes, request.name, actor=call.actor)
    return DeletedCapability(name=request.name)


async def _count_holders(call: Call) -> Counted[dict[str, int]]:
    """Return how many keys hold each capability, of those that the caller sees."""
    account_id = call.principal.key_reader_of

    async def count() -> Counted[dict[str, int]]:
        async with call.database.connection() as connection:
            holders, at = await table.count_holders(connection, account_id)
        return Counted(holders, at, max(holders.values(), default=0))

    return await call.backend.counts.find(("capabilities", account_id), count)
