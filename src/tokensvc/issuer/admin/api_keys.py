"""API keys: create, list, show, update, enable, rotate.

Disabling, revoking and deleting a key are in `issuer.revoking.endings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.account import parse_description, parse_name
from tokensvc.core.api_key import MAX_KEY_LIFE_SECONDS, build_facts, new_api_key
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.core.identifier import new_key_id
from tokensvc.core.limit import LimitChanges, Limits, change_limits
from tokensvc.issuer.admin.capabilities import check_granted
from tokensvc.issuer.audit import record
from tokensvc.issuer.revoking import endings
from tokensvc.store import api_key as table
from tokensvc.store.account import load_account

if TYPE_CHECKING:
    from collections.abc import Collection

    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ApiKey, ApiKeyRecord, KeyState, ListedKey
    from tokensvc.store.pool import Connection, Database

_LONGEST: Final = timedelta(seconds=MAX_KEY_LIFE_SECONDS)
_NO_CHANGES: Final = LimitChanges()
_ACTIVE: Final[frozenset[KeyState]] = frozenset({"active"})
_NOT_REVOKED: Final[frozenset[KeyState]] = frozenset({"active", "disabled", "expired"})


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which its text is known."""

    key: ApiKey = field(repr=False)
    listed: ListedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanges:
    """What to change of a key; None leaves it as it is.

    `life` counts from now; zero means that the key never expires.
    """

    name: str | None = None
    description: str | None = None
    capabilities: Collection[str] | None = None
    life: timedelta | None = None
    limits: LimitChanges = _NO_CHANGES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """What a new key should be. With a `life` of None it never expires."""

    name: str
    capabilities: Collection[str]
    description: str = ""
    life: timedelta | None = None
    limits: LimitChanges = _NO_CHANGES


async def create_key(
    database: Database, account_id: str, wish: KeyWish, *, prefix: str, actor: Actor
) -> NewKey:
    """Create a key for an account. Raises NotFoundError, InvalidInputError."""
    async with database.transaction() as connection:
        return await insert_key(connection, account_id, wish, prefix=prefix, actor=actor)


async def insert_key(
    connection: Connection, account_id: str, wish: KeyWish, *, prefix: str, actor: Actor
) -> NewKey:
    """As `create_key`, inside a transaction that is open already."""
    account = await load_account(connection, account_id)
    key, key_id = new_api_key(prefix), new_key_id()
    await table.insert_api_key(
        connection,
        key,
        key_id=key_id,
        account_id=account.id,
        name=parse_name(wish.name),
        description=parse_description(wish.description),
        capabilities=await check_granted(connection, wish.capabilities, actor=actor),
        life=_check_life(wish.life),
        limits=change_limits(Limits(), wish.limits),
    )
    listed = await table.load_api_key(connection, key_id)
    await record(connection, actor, "key.create", key_id, **build_facts(listed.record))
    return NewKey(key, listed)


async def list_keys(database: Database, account_id: str | None = None) -> list[ListedKey]:
    """Return the keys of one account, or all, oldest first. Raises NotFoundError."""
    async with database.connection() as connection:
        if account_id is not None:
            await load_account(connection, account_id)
        return await table.list_api_keys(connection, account_id)


async def load_key(database: Database, key_id: str) -> ListedKey:
    """Return one key. Raises NotFoundError."""
    async with database.connection() as connection:
        return await table.load_api_key(connection, key_id)


async def update_key(
    database: Database,
    key_id: str,
    changes: KeyChanges,
    *,
    actor: Actor,
    revoke_tokens: bool = False,
) -> ListedKey:
    """Change what `changes` names. Live tokens keep what they say, unless `revoke_tokens`.

    The tokens are revoked by an act of its own, after the change: no token that is issued between
    the two has what the key has lost. Raises NotFoundError, InvalidInputError, and ConflictError if
    the key is revoked.
    """
    async with database.transaction() as connection:
        before = await _lock(connection, key_id, "changed", allowed=_NOT_REVOKED)
        await _change(connection, before, changes, actor=actor)
        listed = await table.load_api_key(connection, before.id)
        detail = {"before": build_facts(before), "after": build_facts(listed.record)}
        await record(connection, actor, "key.update", before.id, **detail)
    if revoke_tokens:
        await endings.revoke_tokens_of_key(database, before.id, actor=actor)
    return listed


async def enable_key(database: Database, key_id: str, *, actor: Actor) -> ListedKey:
    """Enable a disabled key. Tokens from before stay revoked.

    Raises NotFoundError, and ConflictError if the key is revoked.
    """
    async with database.transaction() as connection:
        key = await _lock(connection, key_id, "enabled", allowed=_NOT_REVOKED)
        if key.disabled_at is not None:
            await table.enable_api_key(connection, key.id)
            await record(connection, actor, "key.enable", key.id)
        return await table.load_api_key(connection, key.id)


async def rotate_key(
    database: Database, key_id: str, *, grace: timedelta, prefix: str, actor: Actor
) -> NewKey:
    """Make a successor with the same rights; the old key expires after `grace`.

    Raises NotFoundError, InvalidInputError, and ConflictError if the key is not active or has been
    rotated already.
    """
    if not timedelta() <= grace <= _LONGEST:
        raise InvalidInputError("the grace period must lie between nothing and a hundred years")
    async with database.transaction() as connection:
        old = await _lock(connection, key_id, "rotated", allowed=_ACTIVE)
        if old.successor_id is not None:
            raise ConflictError(
                f"key {old.id} has been rotated already: its successor is {old.successor_id}"
            )
        key, new_id = new_api_key(prefix), new_key_id()
        await table.insert_api_key(
            connection,
            key,
            key_id=new_id,
            account_id=old.account_id,
            name=old.name,
            description=old.description,
            capabilities=old.capabilities,
            life=None if old.expires_at is None else old.expires_at - old.created_at,
            limits=old.limits,
            predecessor_id=old.id,
        )
        await table.limit_life(connection, old.id, grace)
        listed = await table.load_api_key(connection, new_id)
        detail = {"successor": new_id, "grace_seconds": int(grace.total_seconds())}
        await record(connection, actor, "key.rotate", old.id, **detail)
        await record(connection, actor, "key.create", new_id, **build_facts(listed.record))
    return NewKey(key, listed)


async def _change(
    connection: Connection, before: ApiKeyRecord, changes: KeyChanges, *, actor: Actor
) -> None:
    """Write the changes to the row, which must be locked."""
    name, description, capabilities = before.name, before.description, before.capabilities
    if changes.capabilities is not None:
        capabilities = tuple(await check_granted(connection, changes.capabilities, actor=actor))
    if changes.name is not None:
        name = parse_name(changes.name)
    if changes.description is not None:
        description = parse_description(changes.description)
    await table.update_api_key(
        connection,
        before.id,
        name=name,
        description=description,
        capabilities=capabilities,
        limits=change_limits(before.limits, changes.limits),
    )
    if changes.life is not None:
        await table.set_expiry(connection, before.id, _check_life(changes.life or None))


async def _lock(
    connection: Connection, key_id: str, verb: str, *, allowed: frozenset[KeyState]
) -> ApiKeyRecord:
    """Return the key, its row locked. Raises ConflictError if its state is none of `allowed`."""
    key = await table.lock_api_key(connection, key_id)
    if key.state not in allowed:
        raise ConflictError(
            f"key {key.record.id} is {key.state} and cannot be {verb}; create a new key instead"
        )
    return key.record


def _check_life(life: timedelta | None) -> timedelta | None:
    if life is not None and not timedelta() < life <= _LONGEST:
        raise InvalidInputError(
            "a key must live for at least one second, and for a hundred years at most, "
            "or have no end at all"
        )
    return life
