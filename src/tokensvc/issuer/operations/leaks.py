"""Operations on leaks: reporting one, and seeing what is known of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tokensvc.core.leak import build_leak
from tokensvc.core.usage import ISSUED
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.usage import build_last_use
from tokensvc.issuer.revoking.leaks import end_leaked_keys
from tokensvc.logs.masking import mask_secrets
from tokensvc.operations.leaks import KeyLeaks, LeakPlace, LeakReceipt
from tokensvc.store.api_key import load_api_key
from tokensvc.store.key_leak import list_leak_places, sum_use
from tokensvc.store.not_found import no_such_key

if TYPE_CHECKING:
    from tokensvc.core.leak import Leak as FoundKey
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.leaks import Leak, LeaksRequest, ReportLeaks

_AT_ONCE: Final = 100


async def report(call: Call, request: ReportLeaks) -> LeakReceipt:
    """Disable or revoke keys that were found where they should not be."""
    malformed = 0
    # Part by part, so that nobody waits for a long report: neither in this process nor in Postgres.
    for at in range(0, len(request.leaks), _AT_ONCE):
        part = request.leaks[at : at + _AT_ONCE]
        leaks = []
        for one in part:
            leak = _build(one, call.settings.key_prefix)
            leaks += [] if leak is None else [leak]
            await asyncio.sleep(0)  # what is said of the place may be long
        malformed += len(part) - len(leaks)
        if leaks:
            records = await end_leaked_keys(
                call.database, leaks, call.settings.leaked_keys, actor=call.actor
            )
            call.backend.remember(records)
    return LeakReceipt(received=len(request.leaks), malformed=malformed)


async def list_(call: Call, request: LeaksRequest) -> KeyLeaks:
    """Show where a key was found, and how it was used since."""
    async with call.reading() as connection:
        listed = await load_api_key(connection, request.key)
        check_visible(
            call.principal.key_reader_of, listed.record.account_id, no_such_key(request.key)
        )
        key_id = listed.record.id
        places = await list_leak_places(connection, key_id)
        counts = await sum_use(connection, key_id, places[0].reported_at) if places else {}
    return KeyLeaks(
        id=key_id,
        leaked_at=places[0].reported_at if places else None,
        places=[
            LeakPlace(url=place.url, source=place.source, reported_at=place.reported_at)
            for place in places
        ],
        issued_since=counts.pop(ISSUED, 0),
        refused_since=counts,
        last_used=build_last_use(listed.record),
    )


def _build(told: Leak, prefix: str) -> FoundKey | None:
    # A URL may hold the key itself, which is stored nowhere.
    url, source = mask_secrets(told.url), mask_secrets(told.source)
    return build_leak(told.key, url, source, prefix=prefix)
