"""API keys (`sql/queries/api_key.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from tokensvc.core.api_key import ApiKey, ApiKeyRecord, KeyTerms, ListedKey, state_of
from tokensvc.core.errors import ConflictError, NotFoundError
from tokensvc.core.identifier import AccountId, KeyId
from tokensvc.core.limit import Limits
from tokensvc.store.driver_errors import not_initialised
from tokensvc.store.not_found import no_such_key, unknown_tier
from tokensvc.store.planned import fetch_planned
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta


_SQL = load_queries("api_key")


async def insert_api_key(
    connection: asyncpg.Connection,
    key: ApiKey,
    *,
    key_id: KeyId,
    account_id: str,
    terms: KeyTerms,
    life: timedelta | None,
    predecessor_id: KeyId | None = None,
    made_by_predecessor: bool = False,
    expires_at: datetime | None = None,
) -> None:
    """Store digest and facts of a new key.

    It ends at `expires_at` if that is given, else `life` from now. A successor is counted together
    with its predecessor; `made_by_predecessor`: that has rotated itself. Raises ConflictError if
    `predecessor_id` has a successor already, NotFoundError for a tier that does not exist.
    """
    texts = terms.name, terms.description, sorted(terms.capabilities)
    facts = key_id, account_id, key.digest, key.hint, *texts, life, predecessor_id
    try:
        await connection.execute(
            _SQL["insert"], *facts, *_list_limits_and_more(terms), made_by_predecessor, expires_at
        )
    except asyncpg.ForeignKeyViolationError as error:
        # Whatever else is violated is a fault of ours, and must be seen as one.
        if error.constraint_name != "api_key_tier_fkey":
            raise
        raise unknown_tier(str(terms.limits.tier)) from error
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "api_key_predecessor_unique":
            raise
        raise ConflictError(f"key {predecessor_id} has been rotated already") from error


async def load_api_key(connection: asyncpg.Connection, key_id: str) -> ListedKey:
    """Return a key with its state by Postgres's clock. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find"], key_id)
    if row is None:
        raise no_such_key(key_id)
    return list_row(row, row["at"])


async def lock_api_key(connection: asyncpg.Connection, key_id: str) -> ListedKey:
    """As `load_api_key`, holding the row against exchanges until the transaction ends."""
    if await connection.fetchval(_SQL["lock"], key_id) is None:
        raise no_such_key(key_id)
    # It is read by a statement of its own: one that has waited for a lock still shows other rows as
    # they were when it began.
    return await load_api_key(connection, key_id)


async def load_api_keys(
    connection: asyncpg.Connection, key_ids: Sequence[str]
) -> dict[str, ListedKey]:
    """Return those of some keys that exist, by id."""
    rows = await connection.fetch(_SQL["find_many"], key_ids)
    return {row["id"]: list_row(row, row["at"]) for row in rows}


async def lock_api_keys(
    connection: asyncpg.Connection, key_ids: Sequence[str]
) -> dict[str, ListedKey]:
    """As `load_api_keys`, holding the rows against exchanges until the transaction ends."""
    await connection.execute(_SQL["lock_many"], key_ids)
    return await load_api_keys(connection, key_ids)


async def find_held(connection: asyncpg.Connection, key_id: str) -> tuple[frozenset[str], datetime]:
    """Return the capabilities that a key holds, and Postgres's clock."""
    (row,) = await connection.fetch(_SQL["find_held"], key_id)
    return frozenset(row["capabilities"]), row["at"]


async def find_standing(
    connection: asyncpg.Connection, key_id: str
) -> tuple[ListedKey | None, bool]:
    """Return a key, None if it does not exist, and whether its account is suspended."""
    row = await connection.fetchrow(_SQL["find_standing"], key_id)
    return (None, False) if row is None else (list_row(row, row["at"]), row["is_suspended"])


async def list_existing_digests(
    connection: asyncpg.Connection, digests: Collection[bytes]
) -> set[bytes]:
    """Return those of `digests` that belong to a key, whatever its state is.

    Raises UnavailableError if some do not, and the database is being restored.
    """
    (row,) = await connection.fetch(_SQL["list_existing_digests"], list(digests))
    existing = set(row["digests"])
    if len(existing) < len(set(digests)) and not row["whole"]:
        raise not_initialised()
    return existing


async def count_api_keys(
    connection: asyncpg.Connection, account_id: str | None
) -> tuple[dict[str, int], datetime]:
    """Return how many keys there are of each kind that an overview tells, and when.

    `account_id`: the account whose keys are counted, None for all.
    """
    # All kinds are judged by one moment, which is told to who asked.
    at: datetime = await connection.fetchval("select clock_timestamp()")
    (row,) = await fetch_planned(connection, _SQL["count"], account_id, at)
    return dict(row), at


async def find_id_by_digest(connection: asyncpg.Connection, digest: bytes) -> KeyId | None:
    """Return the id of the key with this digest, None if there is none."""
    found: KeyId | None = await connection.fetchval(_SQL["find_id_by_digest"], digest)
    return found


async def update_api_key(connection: asyncpg.Connection, key_id: KeyId, terms: KeyTerms) -> None:
    """Replace the terms of a key. Raises NotFoundError for a tier that does not exist."""
    texts = terms.name, terms.description, sorted(terms.capabilities)
    try:
        await connection.execute(_SQL["update"], key_id, *texts, *_list_limits_and_more(terms))
    except asyncpg.ForeignKeyViolationError as error:
        raise unknown_tier(str(terms.limits.tier)) from error


async def update_api_keys(connection: asyncpg.Connection, terms: Mapping[str, KeyTerms]) -> None:
    """Replace the terms of several keys. Raises NotFoundError for a tier that does not exist."""
    rows = [
        (key_id, one.name, one.description, sorted(one.capabilities), *_list_limits_and_more(one))
        for key_id, one in terms.items()
    ]
    try:
        await connection.executemany(_SQL["update"], rows)
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFoundError("a tier was deleted just now") from error


async def set_expiry(connection: asyncpg.Connection, key_id: str, life: timedelta | None) -> None:
    """Let a key end `life` from now, or never."""
    await connection.execute(_SQL["set_expiry"], key_id, life)


async def limit_life(connection: asyncpg.Connection, key_id: KeyId, life: timedelta) -> None:
    """Let a key end `life` from now, or sooner if it does so already."""
    await connection.execute(_SQL["limit_life"], key_id, life)


async def enable_api_keys(connection: asyncpg.Connection, key_ids: Sequence[str]) -> None:
    """Make disabled keys usable again."""
    await connection.execute(_SQL["enable"], key_ids)


async def count_live_keys(connection: asyncpg.Connection, account_id: str, most: int) -> int:
    """Return how many keys of an account are neither revoked nor expired, `most` at most.

    Nobody else can count them until the transaction ends.
    """
    await connection.execute(_SQL["lock_account"], account_id)
    count: int = await connection.fetchval(_SQL["count_live"], account_id, most)
    return count


async def list_idle_keys(connection: asyncpg.Connection, before: datetime, most: int) -> list[str]:
    """Return the ids of at most `most` active keys that nobody has used since `before`."""
    return [row["id"] for row in await connection.fetch(_SQL["list_idle"], before, most)]


async def lock_unused_keys(
    connection: asyncpg.Connection, key_ids: Sequence[str], before: datetime
) -> list[str]:
    """Return those of the keys that nobody has used or enabled since `before`.

    All of them are locked, so that nobody can exchange one before the transaction ends.
    """
    await connection.execute(_SQL["lock_windows"], key_ids)
    rows = await connection.fetch(_SQL["list_still_unused"], key_ids, before)
    return [row["id"] for row in rows]


async def list_used_after_end(
    connection: asyncpg.Connection, key_ids: Sequence[str]
) -> list[tuple[str, str]]:
    """Return (key, successor) of the keys whose use after their end the trail has to tell of.

    Those are rotated and have expired, and the trail has told nothing of it today. Nobody else gets
    an answer before the transaction ends.
    """
    await connection.execute(_SQL["lock_used_after_end"])
    rows = await connection.fetch(_SQL["list_used_after_end"], key_ids)
    return [(row["id"], row["successor_id"]) for row in rows]


async def count_with_capability(connection: asyncpg.Connection, capability: str) -> int:
    """Return how many usable keys hold a capability."""
    count: int = await connection.fetchval(_SQL["count_with_capability"], capability)
    return count


def _list_limits_and_more(terms: KeyTerms) -> tuple[Any, ...]:
    """Return the terms behind the texts, in the order of the queries."""
    limits = terms.limits
    numbers = limits.tier, limits.per_minute, limits.per_day
    lists = sorted(terms.audiences), sorted(terms.networks)
    return *numbers, *lists, terms.metadata, terms.claims, terms.self_rotation


def list_row(row: asyncpg.Record, at: datetime) -> ListedKey:
    """Return the key that a row of `listed_api_key` stands for, at the moment `at`."""
    key = _record(row)
    return ListedKey(key, state_of(key, at), at)


def _record(row: asyncpg.Record) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=KeyId(row["id"]),
        account_id=AccountId(row["account_id"]),
        hint=row["hint"],
        terms=KeyTerms(
            name=row["name"],
            description=row["description"],
            capabilities=tuple(row["capabilities"]),
            limits=Limits(tier=row["tier"], per_minute=row["per_minute"], per_day=row["per_day"]),
            audiences=tuple(row["audiences"]),
            networks=tuple(row["networks"]),
            metadata=row["metadata"],
            claims=row["claims"],
            self_rotation=row["self_rotation"],
        ),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        disabled_at=row["disabled_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        last_used_network=row["last_used_network"],
        last_used_audience=row["last_used_audience"],
        minute_limit=row["minute_limit"],
        day_limit=row["day_limit"],
        predecessor_id=row["predecessor_id"],
        successor_id=row["successor_id"],
        made_by_predecessor=row["made_by_predecessor"],
    )
