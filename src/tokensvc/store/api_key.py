"""API keys (`sql/queries/api_key.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from tokensvc.core.api_key import ApiKey, ApiKeyRecord, ListedKey, state_of
from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.errors import ConflictError, NotFoundError
from tokensvc.core.identifier import AccountId, KeyId
from tokensvc.core.limit import Limits
from tokensvc.store.queries import load_queries
from tokensvc.store.tier import no_such_tier

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta

    from tokensvc.core.denylist.record import Ending

_SQL = load_queries("api_key")


async def insert_api_key(
    connection: asyncpg.Connection,
    key: ApiKey,
    *,
    key_id: KeyId,
    account_id: str,
    name: str,
    description: str,
    capabilities: Collection[str],
    life: timedelta | None,
    limits: Limits,
    predecessor_id: KeyId | None = None,
) -> None:
    """Store digest and facts of a new key.

    Raises ConflictError if `predecessor_id` has a successor already, NotFoundError for a tier that
    does not exist.
    """
    facts = key_id, account_id, key.digest, key.hint, name, description, sorted(capabilities), life
    own_limits = limits.tier, limits.per_minute, limits.per_day
    try:
        await connection.execute(_SQL["insert"], *facts, predecessor_id, *own_limits)
    except asyncpg.ForeignKeyViolationError as error:
        if error.constraint_name != "api_key_tier_fkey":
            raise
        raise no_such_tier(str(limits.tier)) from error
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "api_key_predecessor_unique":
            raise
        raise ConflictError(f"key {predecessor_id} has been rotated already") from error


async def load_api_key(connection: asyncpg.Connection, key_id: str) -> ListedKey:
    """Return a key with its state by Postgres's clock. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find"], key_id)
    if row is None:
        raise _no_such_key(key_id)
    return _list(row)


async def lock_api_key(connection: asyncpg.Connection, key_id: str) -> ListedKey:
    """As `load_api_key`, holding the row against exchanges until the transaction ends."""
    if await connection.fetchval(_SQL["lock"], key_id) is None:
        raise _no_such_key(key_id)
    return await load_api_key(connection, key_id)


async def list_api_keys(connection: asyncpg.Connection, account_id: str | None) -> list[ListedKey]:
    """Return the keys of an account, or of all accounts, oldest first."""
    return [_list(row) for row in await connection.fetch(_SQL["list"], account_id)]


async def find_id_by_digest(connection: asyncpg.Connection, digest: bytes) -> KeyId | None:
    """Return the id of the key with this digest, None if there is none."""
    found: KeyId | None = await connection.fetchval(_SQL["find_id_by_digest"], digest)
    return found


async def update_api_key(
    connection: asyncpg.Connection,
    key_id: KeyId,
    *,
    name: str,
    description: str,
    capabilities: Collection[str],
    limits: Limits,
) -> None:
    """Change what may change of a key. Raises NotFoundError for a tier that does not exist."""
    numbers = limits.per_minute, limits.per_day
    try:
        await connection.execute(
            _SQL["update"], key_id, name, description, sorted(capabilities), limits.tier, *numbers
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise no_such_tier(str(limits.tier)) from error


async def set_expiry(connection: asyncpg.Connection, key_id: KeyId, life: timedelta | None) -> None:
    """Let a key end `life` from now, or never."""
    await connection.execute(_SQL["set_expiry"], key_id, life)


async def limit_life(connection: asyncpg.Connection, key_id: KeyId, life: timedelta) -> None:
    """Let a key end `life` from now, or sooner if it does so already."""
    await connection.execute(_SQL["limit_life"], key_id, life)


async def enable_api_key(connection: asyncpg.Connection, key_id: KeyId) -> None:
    """Make a disabled key usable again."""
    await connection.execute(_SQL["enable"], key_id)


async def end(connection: asyncpg.Connection, ending: Ending, key_id: str) -> datetime:
    """Disable, revoke or delete a key, or revoke its tokens only; return the watermark.

    The row must be locked, so that nothing is issued between the clock's reading and the change.
    """
    verb = ENDINGS[ending].action.removeprefix("key.")
    watermark: datetime = await connection.fetchval(_SQL[verb], key_id)
    return watermark


async def raise_watermark(connection: asyncpg.Connection, key_id: str, watermark: datetime) -> bool:
    """Lock a key's row and raise its watermark; False if there is no such key.

    Deleted keys have a watermark too.
    """
    await connection.execute(_SQL["lock"], key_id)
    return await connection.fetchval(_SQL["raise_watermark"], key_id, watermark) is not None


async def count_with_capability(connection: asyncpg.Connection, capability: str) -> int:
    """Return how many usable keys hold a capability."""
    count: int = await connection.fetchval(_SQL["count_with_capability"], capability)
    return count


def _no_such_key(key_id: str) -> NotFoundError:
    return NotFoundError(f"there is no key {key_id[:40]!r}; `tokensvc key list` shows their ids")


def _list(row: asyncpg.Record) -> ListedKey:
    key = _record(row)
    return ListedKey(key, state_of(key, row["at"]), row["at"])


def _record(row: asyncpg.Record) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=KeyId(row["id"]),
        account_id=AccountId(row["account_id"]),
        hint=row["hint"],
        name=row["name"],
        description=row["description"],
        capabilities=tuple(row["capabilities"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        disabled_at=row["disabled_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        last_used_network=row["last_used_network"],
        last_used_audience=row["last_used_audience"],
        limits=Limits(tier=row["tier"], per_minute=row["per_minute"], per_day=row["per_day"]),
        minute_limit=row["minute_limit"],
        day_limit=row["day_limit"],
        predecessor_id=row["predecessor_id"],
        successor_id=row["successor_id"],
    )
