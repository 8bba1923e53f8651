"""Operations on audiences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from tokensvc.issuer.admin import audiences
from tokensvc.issuer.kept_counts import Counted
from tokensvc.issuer.operations.paging import cut_page, select_named
from tokensvc.operations.audiences import Audience, DeletedAudience, ListedAudience
from tokensvc.operations.model import ListPage
from tokensvc.store import audience as table
from tokensvc.store.audience import NO_USE
from tokensvc.store.not_found import no_such_audience

if TYPE_CHECKING:
    from tokensvc.core.algorithm import Algorithm
    from tokensvc.core.audience import Audience as Record
    from tokensvc.core.audience import TokenType
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.audiences import (
        AudienceRequest,
        CreateAudience,
        ListAudiences,
        UpdateAudience,
    )
    from tokensvc.store.audience import AudienceUse


def build_audience(audience: Record) -> Audience:
    """Return an audience as callers see it."""
    life = audience.token_life
    return Audience(
        name=audience.name,
        description=audience.description,
        token_ttl=None if life is None else int(life.total_seconds()),
        alg=cast("Algorithm", audience.alg),
        typ=cast("TokenType", audience.typ),
        created_at=audience.created_at,
    )


async def create(call: Call, request: CreateAudience) -> Audience:
    """Create an audience."""
    made = await audiences.create_audience(
        call.changes,
        call.settings,
        request.name,
        description=request.description,
        token_life=None if request.token_ttl is None else timedelta(seconds=request.token_ttl),
        alg=request.alg,
        typ=request.typ,
        actor=call.actor,
    )
    return build_audience(made)


async def list_(call: Call, request: ListAudiences) -> ListPage[ListedAudience]:
    """List audiences: all, or those that the caller's own key may ask for."""
    async with call.reading() as connection:
        found = select_named(request.name, await table.list_audiences(connection))
        own = await call.find_own_terms(connection)
    # Counting takes a connection of its own, so none is held meanwhile.
    use = await _count_use(call) if request.with_use else None
    if own is not None and own.audiences:  # a key that names none may ask for all
        found = [known for known in found if known.name in own.audiences]
    page, cursor = cut_page(request, found, lambda known: str(known.name))
    items = [_build_listed(known, use) for known in page]
    return ListPage[ListedAudience](items=items, next_cursor=cursor)


async def show(call: Call, request: AudienceRequest) -> Audience:
    """Show one audience, if the caller sees it."""
    async with call.reading() as connection:
        # First, so that a caller whose key is gone learns of no name that it exists.
        own = await call.find_own_terms(connection)
        found = await table.load_audience(connection, request.name)
    if own is not None and own.audiences and found.name not in own.audiences:
        raise no_such_audience(request.name)
    return build_audience(found)


async def update(call: Call, request: UpdateAudience) -> Audience:
    """Change an audience."""
    life = None
    if "token_ttl" in request.model_fields_set:
        life = timedelta(seconds=request.token_ttl or 0)
    changed = await audiences.update_audience(
        call.changes,
        call.settings,
        request.name,
        description=request.description,
        token_life=life,
        alg=request.alg,
        typ=request.typ,
        actor=call.actor,
        check=lambda audience: call.check_version(build_audience(audience)),
    )
    return build_audience(changed)


async def delete(call: Call, request: AudienceRequest) -> DeletedAudience:
    """Delete an audience."""
    await audiences.delete_audience(call.changes, call.settings, request.name, actor=call.actor)
    return DeletedAudience(name=request.name)


def _build_listed(audience: Record, use: Counted[dict[str, AudienceUse]] | None) -> ListedAudience:
    of_this = None if use is None else use.value.get(audience.name, NO_USE)
    return ListedAudience(
        **dict(build_audience(audience)),
        keys=None if of_this is None else of_this.keys,
        last_used_at=None if of_this is None else of_this.last_used_at,
        counted_at=None if use is None else use.at,
    )


async def _count_use(call: Call) -> Counted[dict[str, AudienceUse]]:
    """Return how each audience is used, by the keys that the caller sees."""
    account_id = call.principal.key_reader_of

    async def count() -> Counted[dict[str, AudienceUse]]:
        async with call.database.connection() as connection:
            uses, at = await table.list_audience_use(connection, account_id)
        return Counted(uses, at, sum(use.keys + use.users for use in uses.values()))

    return await call.backend.counts.find(("audiences", account_id), count)
