"""Entries of the denylist by hand: for a token of which only the id is known, and for a key or account that stays as it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.identifier import parse_jti
from tokensvc.core.keyring import LEEWAY
from tokensvc.issuer import accounts, api_keys
from tokensvc.issuer.audit import record
from tokensvc.store.denylist import append_revocation, list_named
from tokensvc.store.feed_head import list_heads, wake
from tokensvc.store.issuance import load_longest_life

if TYPE_CHECKING:
    from tokensvc.core.denylist import DenylistRow, Kind
    from tokensvc.store.pool import Database


async def deny_jti(
    database: Database, text: str, life: timedelta | None, *, actor: str, reason: str
) -> DenylistRow:
    """Deny a token by its id alone; `life`: how long it may live from now, None for the longest that any can. Raises InvalidInputError."""
    jti = parse_jti(text)
    async with database.transaction() as connection:
        _, now = await list_heads(connection)
        longest = await load_longest_life(connection)
        if life is not None and not timedelta() < life <= longest:
            raise InvalidInputError(
                f"a live token has between 1 s and {int(longest.total_seconds())} s to live: leave that out to be sure"
            )
        expires_at = now + (longest if life is None else life) + LEEWAY
        await append_revocation(
            connection, "jti", jti, upto=None, expires_at=expires_at, reason="token revoked"
        )
        await record(
            connection, actor, "denylist.add", jti, reason=reason, expires_at=expires_at.isoformat()
        )
        await wake(connection)
    return await _load_newest(database, "jti", jti)


async def deny_key(database: Database, key_id: str, *, actor: str, reason: str) -> DenylistRow:
    """Deny all tokens that a key has got so far. Raises NotFoundError."""
    await api_keys.end_tokens(database, key_id, actor=actor, reason=reason)
    return await _load_newest(database, "key", key_id)


async def deny_account(
    database: Database, account_id: str, *, actor: str, reason: str
) -> DenylistRow:
    """Deny all tokens that the keys of an account have got so far. Raises NotFoundError."""
    await accounts.end_tokens(database, account_id, actor=actor, reason=reason)
    return await _load_newest(database, "account", account_id)


async def _load_newest(database: Database, kind: Kind, value: str) -> DenylistRow:
    async with database.connection() as connection:
        return (await list_named(connection, [(kind, value)]))[-1]
