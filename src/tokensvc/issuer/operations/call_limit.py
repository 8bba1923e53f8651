"""How many operations a key, and its tokens, may call in a minute: exact over all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import RateLimitedError
from tokensvc.core.limit import MINUTE, LimitStatus, seconds_left
from tokensvc.issuer.metrics import RATE_LIMITED
from tokensvc.store import call_window as table

if TYPE_CHECKING:
    from tokensvc.core.identifier import KeyId
    from tokensvc.issuer.operations.call import Backend

_POLICY: Final = "calls-minute"


async def count_call(backend: Backend, key_id: KeyId) -> LimitStatus:
    """Count a call, and return what is left of the limit.

    Raises RateLimitedError, UnavailableError.
    """
    most = backend.settings.calls_per_minute
    async with backend.database.connection() as connection:
        counted = await table.count_call(connection, key_id, most)
    inside = max(counted.began_at, counted.at)
    resets_in = seconds_left(MINUTE, counted.at, inside=inside)
    if not counted.admitted:
        RATE_LIMITED.labels(_POLICY).inc()
        raise RateLimitedError(
            f"the limit of {most} calls per minute for this key is used up",
            policy=_POLICY,
            limit=most,
            window=MINUTE,
            retry_after=resets_in,
        )
    return LimitStatus(
        name=_POLICY,
        limit=most,
        window=MINUTE,
        left=max(0, most - counted.calls),
        resets_in=resets_in,
    )
