"""Operations on audiences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from tokensvc.issuer.admin import audiences
from tokensvc.issuer.operations.paging import cut_page, select_named
from tokensvc.operations.audiences import Audience, DeletedAudience, ListedAudience
from tokensvc.operations.model import Page
from tokensvc.store import audience as table
from tokensvc.store.absent import no_such_audience
from tokensvc.store.api_key import load_api_key

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

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
    from tokensvc.store.pool import Connection


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
    made = await audiences.add_audience(
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


async def list_(call: Call, request: ListAudiences) -> Page[ListedAudience]:
    """List audiences: all, or those that the caller's own key may ask for."""
    use: dict[str, tuple[int, datetime | None]] | None = None
    async with call.reading() as connection:
        found = select_named(request.name, await table.list_audiences(connection))
        seen = await _find_seen(call, connection)
        if request.with_use:
            use = await table.list_audience_use(connection, call.principal.key_reader_of)
    if seen is not None:
        found = [known for known in found if known.name in seen]
    page, cursor = cut_page(request, found, lambda known: str(known.name))
    items = []
    for known in page:
        keys, used_at = (None, None) if use is None else use.get(known.name, (0, None))
        shown = build_audience(known).model_dump()
        items.append(ListedAudience(**shown, keys=keys, last_used_at=used_at))
    return Page[ListedAudience](items=items, next_cursor=cursor)


async def show(call: Call, request: AudienceRequest) -> Audience:
    """Show one audience, if the caller sees it."""
    async with call.reading() as connection:
        # First, so that a caller whose key is gone learns of no name that it exists.
        seen = await _find_seen(call, connection)
        found = await table.load_audience(connection, request.name)
    if seen is not None and found.name not in seen:
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
    await audiences.remove_audience(call.changes, call.settings, request.name, actor=call.actor)
    return DeletedAudience(name=request.name)


async def _find_seen(call: Call, connection: Connection) -> Collection[str] | None:
    """Return the audiences that the caller sees, None for all."""
    if call.principal.key_reader_of is None or call.principal.key_id is None:
        return None
    own = await load_api_key(connection, call.principal.key_id)
    return own.record.terms.audiences or None
