"""Operations that show API keys.

They stand alone because `tokensvc key list` should answer quickly: what makes and changes keys
takes longer to import than they take to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.key_answers import build_key_answer
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.operations.key_reading import Key
from tokensvc.operations.model import ListPage, split_ids
from tokensvc.store import api_key as table
from tokensvc.store.key_pages import KeyFilter, list_key_page
from tokensvc.store.not_found import no_such_account, no_such_key

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.key_reading import KeyRequest, ListKeys


async def list_(call: Call, request: ListKeys) -> ListPage[Key]:
    """List API keys."""
    seen = call.principal.key_reader_of
    if request.account is not None:
        check_visible(seen, request.account, no_such_account(request.account))
    wanted = KeyFilter(
        ids=None if request.ids is None else split_ids(request.ids),
        id_prefix=request.id_prefix,
        account_id=request.account or seen,
        state=request.state,
        capability=request.capability,
        audience=request.audience,
        part=request.name,
        created_before=request.created_before,
        used_before=request.used_before,
        expires_before=request.expires_before,
        never_expires=request.never_expires,
        replaced=request.replaced,
        metadata=request.metadata,
        sort=request.sort,
    )
    async with call.reading() as connection:
        found, end = await list_key_page(connection, wanted, read_wish(request))
    items = [build_key_answer(listed) for listed in found]
    return ListPage[Key](items=items, next_cursor=build_next_cursor(request, end))


async def show(call: Call, request: KeyRequest) -> Key:
    """Show one API key."""
    async with call.reading() as connection:
        listed = await table.load_api_key(connection, request.id)
    check_visible(call.principal.key_reader_of, listed.record.account_id, no_such_key(request.id))
    return build_key_answer(listed)
