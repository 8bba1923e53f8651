"""Acts that end all tokens of an API key or of an account.

Each writes a watermark: one revocation that covers every token issued up to a moment. It is
written in the same transaction that changes the key or account, while its row is locked, so no
token is issued between the two.

What is acknowledged is durable. If the outcome is unknown, the caller gets OutcomeUnknownError and
may repeat the act safely: a repeat writes only an audit row, whose commit proves that the first
act is durable too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.api_key import build_facts
from tokensvc.core.errors import ConflictError
from tokensvc.core.keyring import LEEWAY
from tokensvc.issuer.audit import record
from tokensvc.store import account as account_table
from tokensvc.store import api_key as key_table
from tokensvc.store.denylist import append_revocation, list_of
from tokensvc.store.feed_head import wake
from tokensvc.store.issuance import load_longest_life

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.account import Account
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.denylist.record import Ending, RevocationRecord
    from tokensvc.store.pool import Connection, Database


class RevokedKey(NamedTuple):
    """A key that is revoked, and the revocations that are acknowledged with it."""

    listed: ListedKey
    records: list[RevocationRecord]


async def disable_key(database: Database, key_id: str, *, actor: str) -> ListedKey:
    """Disable a key: it gets no token, and all its tokens are revoked. Reversible.

    Raises NotFoundError, ConflictError.
    """
    async with database.transaction() as connection:
        key = await key_table.lock_api_key(connection, key_id)
        if key.state == "revoked":
            raise ConflictError(
                f"key {key.record.id} is revoked and cannot be disabled; create a new key instead"
            )
        if key.record.disabled_at is None:
            await end_key(connection, "key_disabled", key.record.id)
        await record(connection, actor, "key.disable", key.record.id)
        return await key_table.load_api_key(connection, key.record.id)


async def revoke_key(
    database: Database, key_id: str, *, actor: str, reason: str = ""
) -> RevokedKey:
    """Revoke a key for good: it gets no token any more, and all its tokens are revoked.

    Raises NotFoundError.
    """
    async with database.transaction() as connection:
        key = await key_table.lock_api_key(connection, key_id)
        if key.state != "revoked":
            await end_key(connection, "key_revoked", key.record.id)
        await record(connection, actor, "key.revoke", key.record.id, reason=reason)
        return RevokedKey(
            await key_table.load_api_key(connection, key.record.id),
            await list_of(connection, [key.record.id]),
        )


async def delete_key(database: Database, key_id: str, *, actor: str) -> None:
    """Revoke a key and hide it. The audit trail stays. Raises NotFoundError."""
    async with database.transaction() as connection:
        key = await key_table.lock_api_key(connection, key_id)
        if key.state == "revoked":
            # Its tokens were revoked together with it.
            await key_table.end(connection, "key_deleted", key.record.id)
        else:
            await end_key(connection, "key_deleted", key.record.id)
        await record(connection, actor, "key.delete", key.record.id, **build_facts(key.record))


async def revoke_tokens_of_key(
    database: Database, key_id: str, *, actor: str, reason: str = ""
) -> RevocationRecord:
    """Revoke the tokens that a key has got so far, and leave the key as it is.

    Returns the revocation. Raises NotFoundError.
    """
    async with database.transaction() as connection:
        key = await key_table.lock_api_key(connection, key_id)
        await revoke_tokens(connection, key.record.id, actor=actor, reason=reason)
        return (await list_of(connection, [key.record.id]))[-1]


async def revoke_tokens(
    connection: Connection, key_id: str, *, actor: str, reason: str = ""
) -> None:
    """As `revoke_tokens_of_key`, in a transaction that has locked the key already."""
    await end_key(connection, "key_tokens_revoked", key_id)
    await record(connection, actor, "key.revoke_tokens", key_id, reason=reason)


async def suspend_account(database: Database, account_id: str, *, actor: str) -> Account:
    """Suspend an account: none of its keys gets a token, and all their tokens are revoked.

    Reversible. Raises NotFoundError.
    """
    async with database.transaction() as connection:
        account = await account_table.lock_account(connection, account_id)
        if account.suspended_at is None:
            await _end_account(connection, "account_suspended", account.id)
        await record(connection, actor, "account.suspend", account.id)
        return await account_table.load_account(connection, account.id)


async def delete_account(database: Database, account_id: str, *, actor: str) -> None:
    """Delete an account with its keys and their tokens, for good. The audit trail stays.

    Raises NotFoundError.
    """
    async with database.transaction() as connection:
        account = await account_table.lock_account(connection, account_id)
        await _end_account(connection, "account_deleted", account.id)
        await record(connection, actor, "account.delete", account.id, name=account.name)


async def revoke_tokens_of_account(
    database: Database, account_id: str, *, actor: str, reason: str = ""
) -> RevocationRecord:
    """Revoke the tokens that all keys of an account have got so far.

    The account stays as it is. Returns the revocation. Raises NotFoundError.
    """
    async with database.transaction() as connection:
        account = await account_table.lock_account(connection, account_id)
        await _end_account(connection, "account_tokens_revoked", account.id)
        await record(connection, actor, "account.revoke_tokens", account.id, reason=reason)
        return (await list_of(connection, [account.id]))[-1]


async def end_key(connection: Connection, ending: Ending, key_id: str) -> None:
    """Write the ending of a key: its new state, and the watermark. The row must be locked."""
    watermark = await key_table.end(connection, ending, key_id)
    await _append(connection, ending, key_id, watermark)


async def _end_account(connection: Connection, ending: Ending, account_id: str) -> None:
    watermark = await account_table.end(connection, ending, account_id)
    await _append(connection, ending, account_id, watermark)


async def _append(connection: Connection, ending: Ending, value: str, watermark: datetime) -> None:
    """Revoke every token that was issued up to `watermark`, for as long as one can live."""
    expires_at = watermark + await load_longest_life(connection) + LEEWAY
    await append_revocation(connection, ending, value, watermark=watermark, expires_at=expires_at)
    await wake(connection)
