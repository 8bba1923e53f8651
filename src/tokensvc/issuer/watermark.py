"""The one way to write a watermark: all tokens of a key or account issued up to a moment are dead, in one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tokensvc.core.keyring import LEEWAY
from tokensvc.store.denylist import append_revocation
from tokensvc.store.feed_head import wake
from tokensvc.store.issuance import load_longest_life

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.denylist import Ending
    from tokensvc.store.pool import Connection


async def append_watermark(
    connection: Connection,
    kind: Literal["key", "account"],
    value: str,
    *,
    upto: datetime,
    reason: Ending,
) -> None:
    """Deny every token of `value` issued up to `upto`, for as long as one can live."""
    expires_at = upto + await load_longest_life(connection) + LEEWAY
    await append_revocation(
        connection, kind, value, upto=upto, expires_at=expires_at, reason=reason
    )
    await wake(connection)
