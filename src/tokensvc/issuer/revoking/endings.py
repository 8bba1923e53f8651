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

from typing import TYPE_CHECKING

from tokensvc.core.api_key import build_facts
from tokensvc.core.errors import ConflictError, NotFoundError
from tokensvc.store.account import end_accounts, lock_account
from tokensvc.store.api_key import load_api_key, lock_api_key
from tokensvc.store.key_endings import end_api_keys
from tokensvc.store.not_found import no_such_account, no_such_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.account import Account
    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.denylist.record import Ending, RevocationRecord
    from tokensvc.store.account import EndedAccount
    from tokensvc.store.key_endings import EndedKey
    from tokensvc.store.pool import Connection, Database

    KeyCheck = Callable[[ListedKey], None]
    AccountCheck = Callable[[Account], None]


async def end_key(
    database: Database,
    key_id: str,
    ending: Ending,
    *,
    actor: Actor,
    reason: str | None = None,
    check: KeyCheck | None = None,
    keep_successors: bool = False,
) -> EndedKey:
    """Carry out an act that ends a key or its tokens; return what became of it.

    A key that is revoked or deleted takes the successors with it that it has made by rotating
    itself, unless `keep_successors`.

    `check` may refuse the key as it was; then the act is not one statement but a transaction, whose
    locks wait for round trips. Raises NotFoundError, and ConflictError if its state does not allow
    the act.
    """
    detail = _build_detail(reason)
    if ending == "key_deleted":
        # Before it is deleted, because nothing shows it afterwards.
        detail |= await _describe_key(database, key_id)
    # An act commits itself, and only a transaction can keep the row locked after the check.
    async with database.act() if check is None else database.transaction() as connection:
        if check is not None:
            check(await lock_api_key(connection, key_id))
        (ended,) = await end_api_keys(
            connection,
            ending,
            key_ids=[key_id],
            actor=actor,
            detail=detail,
            keep_successors=keep_successors,
        )
    if ended.outcome == "unknown":
        raise no_such_key(key_id)
    if ended.outcome == "refused":
        raise refuse_disabling(key_id)
    return ended


def refuse_disabling(key_id: str) -> ConflictError:
    """Return the refusal to disable a key that is revoked: that cannot be undone."""
    return ConflictError(
        f"key {key_id} is revoked and cannot be disabled; create a new key instead"
    )


async def revoke_tokens_within(
    connection: Connection, key_id: str, *, actor: Actor
) -> list[RevocationRecord]:
    """Revoke the tokens of a key as the last step of a transaction; return its revocations."""
    (ended,) = await end_api_keys(
        connection, "key_tokens_revoked", key_ids=[key_id], actor=actor, detail={}
    )
    return ended.records


async def end_account(
    database: Database,
    account_id: str,
    ending: Ending,
    *,
    actor: Actor,
    reason: str | None = None,
    check: AccountCheck | None = None,
) -> EndedAccount:
    """As `end_key`, for an account."""
    detail = _build_detail(reason)
    async with database.act() if check is None else database.transaction() as connection:
        if check is not None:
            check(await lock_account(connection, account_id))
        (ended,) = await end_accounts(connection, ending, [account_id], actor=actor, detail=detail)
    if ended.outcome == "unknown":
        raise no_such_account(account_id)
    return ended


async def _describe_key(database: Database, key_id: str) -> dict[str, object]:
    """Return what the audit trail keeps of a key that is deleted.

    It is nothing if the key is not there: the act tells whether it is unknown, or a backup is being
    restored.
    """
    try:
        async with database.connection() as connection:
            return build_facts((await load_api_key(connection, key_id)).record)
    except NotFoundError:
        return {}


def _build_detail(reason: str | None) -> dict[str, object]:
    return {} if reason is None else {"reason": reason}
