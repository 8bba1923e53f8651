"""Operations on tiers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tokensvc.issuer.admin import tiers
from tokensvc.issuer.operations.paging import cut_page, select_named
from tokensvc.operations.model import ListPage
from tokensvc.operations.tiers import DeletedTier, ListedTier, Tier
from tokensvc.store import tier as table

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.tiers import CreateTier, ListTiers, TierRequest, UpdateTier


async def create(call: Call, request: CreateTier) -> Tier:
    """Create a tier."""
    made = await tiers.create_tier(call.changes, actor=call.actor, **request.model_dump())
    return Tier(**asdict(made))


async def list_(call: Call, request: ListTiers) -> ListPage[ListedTier]:
    """List tiers."""
    use: dict[str, tuple[int, int]] | None = None
    async with call.reading() as connection:
        found = select_named(request.name, await table.list_tiers(connection))
        if request.with_use:
            use = await table.list_tier_use(connection)
    page, cursor = cut_page(request, found, lambda tier: str(tier.name))
    items = []
    for tier in page:
        accounts, keys = (None, None) if use is None else use.get(tier.name, (0, 0))
        items.append(ListedTier(**asdict(tier), accounts=accounts, keys=keys))
    return ListPage[ListedTier](items=items, next_cursor=cursor)


async def show(call: Call, request: TierRequest) -> Tier:
    """Show one tier."""
    async with call.reading() as connection:
        return Tier(**asdict(await table.load_tier(connection, request.name)))


async def update(call: Call, request: UpdateTier) -> Tier:
    """Change a tier."""
    changes = request.model_dump(exclude={"name"}, exclude_unset=True)
    changed = await tiers.update_tier(
        call.changes,
        request.name,
        actor=call.actor,
        check=lambda tier: call.check_version(Tier(**asdict(tier))),
        **changes,
    )
    return Tier(**asdict(changed))


async def delete(call: Call, request: TierRequest) -> DeletedTier:
    """Delete a tier."""
    await tiers.delete_tier(call.changes, request.name, actor=call.actor)
    return DeletedTier(name=request.name)
