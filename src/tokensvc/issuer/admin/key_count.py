"""How many API keys an account may have: exact, however many processes make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.errors import ConflictError
from tokensvc.store.api_key import count_live_keys

if TYPE_CHECKING:
    from tokensvc.store.pool import Connection


async def check_key_count(connection: Connection, account_id: str, most: int | None) -> None:
    """Raise ConflictError if an account has more than `most` live keys; None: any number.

    It is called after a key was made or has come back to life, before the audit trail is written.
    From then on nobody else makes a key of the account until the transaction ends.
    """
    if most is not None and await count_live_keys(connection, account_id, most + 1) > most:
        raise ConflictError(
            f"account {account_id} has {most} live keys, and may not have more: revoke those that "
            "nobody uses, or raise TOKENSVC_KEYS_PER_ACCOUNT",
            reason="too_many_keys",
        )
