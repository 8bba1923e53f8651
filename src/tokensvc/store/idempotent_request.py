"""Requests that their senders have named (`sql/queries/idempotent_request.sql`)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from tokensvc.core.identifier import KeyId

SECRET_LIFE: Final = timedelta(minutes=10)

_SQL = load_queries("idempotent_request")


class StoredAnswer(NamedTuple):
    """What was asked, and the answer.

    `fingerprint`: of the request. `sealed_secret`: None if there is none, or if its time is over.
    """

    fingerprint: bytes
    answer: dict[str, Any]
    sealed_secret: bytes | None


async def claim_request(
    connection: asyncpg.Connection, key_id: KeyId, name: str, fingerprint: bytes
) -> StoredAnswer | None:
    """Take a name for a request; return the answer of the one that has it already.

    If that one is still being carried out, this waits for its end.
    """
    if await connection.fetchval(_SQL["claim"], key_id, name, fingerprint):
        return None
    row = await connection.fetchrow(_SQL["find"], key_id, name, SECRET_LIFE)
    if row is None:  # it has just been deleted, a day later
        return await claim_request(connection, key_id, name, fingerprint)
    return StoredAnswer._make(row)


async def store_answer(
    connection: asyncpg.Connection,
    key_id: KeyId,
    name: str,
    answer: dict[str, Any],
    sealed_secret: bytes | None,
) -> None:
    """Keep the answer to a request."""
    await connection.execute(_SQL["set_answer"], key_id, name, answer, sealed_secret)


async def delete_secrets(connection: asyncpg.Connection, before: datetime) -> None:
    """Delete the secrets of answers that were given before a moment."""
    await connection.execute(_SQL["delete_secrets_before"], before)


async def delete_requests(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` requests from before a moment; return how many."""
    return len(await connection.fetch(_SQL["delete_before"], before, most))
