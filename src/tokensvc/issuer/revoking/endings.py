"""Acts that end all tokens of an API key or of an account.

Each writes a watermark: one revocation that covers every token issued up to a moment. An act is one
statement that commits itself (`sql/functions/end_keys.sql`, `end_accounts.sql`): it changes the key
or account while its row is locked, so no token is issued between the change and the watermark, and
no lock waits for a round trip.

What is acknowledged is durable. If the outcome is unknown, the caller gets OutcomeUnknownError and
may repeat the act safely: a repeat writes nothing, and its answer proves that the first act is
durable too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from tokensvc.core.errors import ConflictError
from tokensvc.store.account import end_accounts, no_such_account
from tokensvc.store.api_key import end_api_keys, no_such_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.account import Account
    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.denylist.record import Ending, RevocationRecord
    from tokensvc.store.account import EndedAccount
    from tokensvc.store.api_key import EndedKey
    from tokensvc.store.pool import Database

# Keys in one statement: the others who revoke wait for it, some tenths of a second.
_AT_ONCE: Final = 1000


class RevokedKey(NamedTuple):
    """A key that is revoked, and the revocations that are acknowledged with it."""

    listed: ListedKey
    records: list[RevocationRecord]


async def disable_key(database: Database, key_id: str, *, actor: Actor) -> ListedKey:
    """Disable a key: it gets no token, and all its tokens are revoked. Reversible.

    Raises NotFoundError, ConflictError.
    """
    ended = await _end_key(database, "key_disabled", key_id, actor=actor)
    if ended.outcome == "refused":
        raise ConflictError(
            f"key {ended.key_id} is revoked and cannot be disabled; create a new key instead"
        )
    return cast("ListedKey", ended.listed)


async def revoke_key(
    database: Database, key_id: str, *, actor: Actor, reason: str = ""
) -> RevokedKey:
    """Revoke a key for good: it gets no token any more, and all its tokens are revoked.

    Raises NotFoundError.
    """
    ended = await _end_key(database, "key_revoked", key_id, actor=actor, reason=reason)
    return RevokedKey(cast("ListedKey", ended.listed), ended.records)


async def revoke_keys(
    database: Database, key_ids: Sequence[str], *, actor: Actor, reason: str = ""
) -> list[EndedKey]:
    """Revoke many keys for good; return what became of each, in the same order.

    A thousand of them are one act. Raises UnavailableError, and then all may be repeated.
    """
    ended: list[EndedKey] = []
    for start in range(0, len(key_ids), _AT_ONCE):
        some = key_ids[start : start + _AT_ONCE]
        async with database.act() as connection:
            ended += await end_api_keys(
                connection, "key_revoked", key_ids=some, actor=actor, detail={"reason": reason}
            )
    return ended


async def delete_key(database: Database, key_id: str, *, actor: Actor) -> None:
    """Revoke a key and hide it. The audit trail stays. Raises NotFoundError."""
    await _end_key(database, "key_deleted", key_id, actor=actor)


async def revoke_tokens_of_key(
    database: Database, key_id: str, *, actor: Actor, reason: str = ""
) -> RevocationRecord:
    """Revoke the tokens that a key has got so far, and leave the key as it is.

    Returns the revocation. Raises NotFoundError.
    """
    ended = await _end_key(database, "key_tokens_revoked", key_id, actor=actor, reason=reason)
    return ended.records[-1]


async def suspend_account(database: Database, account_id: str, *, actor: Actor) -> Account:
    """Suspend an account: none of its keys gets a token, and all their tokens are revoked.

    Reversible. Raises NotFoundError.
    """
    ended = await _end_account(database, "account_suspended", account_id, actor=actor)
    return cast("Account", ended.account)


async def delete_account(database: Database, account_id: str, *, actor: Actor) -> None:
    """Delete an account with its keys and their tokens, for good. The audit trail stays.

    Raises NotFoundError.
    """
    await _end_account(database, "account_deleted", account_id, actor=actor)


async def revoke_tokens_of_account(
    database: Database, account_id: str, *, actor: Actor, reason: str = ""
) -> RevocationRecord:
    """Revoke the tokens that all keys of an account have got so far; leave the account as it is.

    Returns the revocation. Raises NotFoundError.
    """
    ended = await _end_account(
        database, "account_tokens_revoked", account_id, actor=actor, reason=reason
    )
    return ended.records[-1]


async def _end_key(
    database: Database, ending: Ending, key_id: str, *, actor: Actor, reason: str | None = None
) -> EndedKey:
    async with database.act() as connection:
        (ended,) = await end_api_keys(
            connection, ending, key_ids=[key_id], actor=actor, detail=_build_detail(reason)
        )
    if ended.outcome == "unknown":
        raise no_such_key(key_id)
    return ended


async def _end_account(
    database: Database, ending: Ending, account_id: str, *, actor: Actor, reason: str | None = None
) -> EndedAccount:
    async with database.act() as connection:
        (ended,) = await end_accounts(
            connection, ending, [account_id], actor=actor, detail=_build_detail(reason)
        )
    if ended.outcome == "unknown":
        raise no_such_account(account_id)
    return ended


def _build_detail(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"reason": reason}
