"""API keys: create, list, show, update, disable, enable, rotate, revoke, delete."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.account import parse_description, parse_name
from tokensvc.core.apikey import ApiKey, ApiKeyRecord, KeyState, new_api_key, state_of
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.core.identifier import new_key_id
from tokensvc.core.limit import LimitChanges, Limits, change_limits
from tokensvc.issuer.audit import record
from tokensvc.issuer.capabilities import check_granted
from tokensvc.issuer.watermark import append_watermark
from tokensvc.store import api_key as table
from tokensvc.store.account import load_account
from tokensvc.store.denylist import list_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from tokensvc.core.denylist import DenylistRow
    from tokensvc.store.pool import Connection, Database


_LONGEST: Final = timedelta(days=36_600)
_NO_CHANGES: Final = LimitChanges()


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as people see it: what is kept of it, and its state by Postgres's clock."""

    record: ApiKeyRecord
    state: KeyState


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which its text is known."""

    key: ApiKey = field(repr=False)
    listed: ListedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanges:
    """What to change of a key; None leaves it. `life` counts from now, zero means that the key never expires."""

    name: str | None = None
    description: str | None = None
    capabilities: Collection[str] | None = None
    life: timedelta | None = None
    limits: LimitChanges = _NO_CHANGES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """What a new key shall be; `life` None: it never expires."""

    name: str
    capabilities: Collection[str]
    description: str = ""
    life: timedelta | None = None
    limits: LimitChanges = _NO_CHANGES


async def create_key(
    database: Database, account_id: str, wish: KeyWish, *, prefix: str, actor: str
) -> NewKey:
    """Create a key for an account. Raises NotFoundError, InvalidInputError."""
    async with database.transaction() as connection:
        return await insert_key(connection, account_id, wish, prefix=prefix, actor=actor)


async def insert_key(
    connection: Connection, account_id: str, wish: KeyWish, *, prefix: str, actor: str
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
        life=_positive(wish.life),
        limits=change_limits(Limits(), wish.limits),
    )
    listed = await _load(connection, key_id)
    await record(connection, actor, "key.create", key_id, **_facts(listed.record))
    return NewKey(key, listed)


async def list_keys(database: Database, account_id: str | None = None) -> list[ListedKey]:
    """Return the keys of one account, or all, oldest first."""
    async with database.connection() as connection:
        if account_id is not None:
            await load_account(connection, account_id)
        return [
            ListedKey(key, state_of(key, at))
            for key, at in await table.list_api_keys(connection, account_id)
        ]


async def load_key(database: Database, key_id: str) -> ListedKey:
    """Return one key. Raises NotFoundError."""
    async with database.connection() as connection:
        return await _load(connection, key_id)


async def update_key(
    database: Database, key_id: str, changes: KeyChanges, *, actor: str, end_tokens: bool = False
) -> ListedKey:
    """Change name, description, capabilities, expiry or limits. Live tokens keep what they have, unless `end_tokens`."""
    async with database.transaction() as connection:
        before = await _lock(
            connection, key_id, "changed", allowed={"active", "disabled", "expired"}
        )
        capabilities = before.capabilities
        if changes.capabilities is not None:
            capabilities = tuple(await check_granted(connection, changes.capabilities, actor=actor))
        await table.update_api_key(
            connection,
            before.id,
            name=before.name if changes.name is None else parse_name(changes.name),
            description=before.description
            if changes.description is None
            else parse_description(changes.description),
            capabilities=capabilities,
            limits=change_limits(before.limits, changes.limits),
        )
        if changes.life is not None:
            await table.set_expiry(connection, before.id, _positive(changes.life or None))
        if end_tokens:
            await _end_tokens(connection, before, actor)
        listed = await _load(connection, before.id)
        await record(
            connection,
            actor,
            "key.update",
            before.id,
            before=_facts(before),
            after=_facts(listed.record),
        )
    return listed


async def disable_key(database: Database, key_id: str, *, actor: str) -> ListedKey:
    """Disable: no new token, and all tokens of the key are dead. Reversible."""
    async with database.transaction() as connection:
        key = await _lock(connection, key_id, "disabled", allowed={"active", "disabled", "expired"})
        if key.disabled_at is None:
            moment = await table.disable_api_key(connection, key.id)
            await append_watermark(connection, "key", key.id, upto=moment, reason="key disabled")
        await record(connection, actor, "key.disable", key.id)
        return await _load(connection, key.id)


async def enable_key(database: Database, key_id: str, *, actor: str) -> ListedKey:
    """Enable a disabled key. Tokens from before stay dead."""
    async with database.transaction() as connection:
        key = await _lock(connection, key_id, "enabled", allowed={"active", "disabled", "expired"})
        if key.disabled_at is not None:
            await table.enable_api_key(connection, key.id)
            await record(connection, actor, "key.enable", key.id)
        return await _load(connection, key.id)


async def rotate_key(
    database: Database, key_id: str, *, grace: timedelta, prefix: str, actor: str
) -> NewKey:
    """Make a successor with the same rights; the old key ends after `grace`. Raises ConflictError if that has happened already."""
    if not timedelta() <= grace <= _LONGEST:
        raise InvalidInputError("the grace period must lie between nothing and a hundred years")
    async with database.transaction() as connection:
        old = await _lock(connection, key_id, "rotated", allowed={"active"})
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
        listed = await _load(connection, new_id)
        await record(
            connection,
            actor,
            "key.rotate",
            old.id,
            successor=new_id,
            grace_seconds=int(grace.total_seconds()),
        )
        await record(connection, actor, "key.create", new_id, **_facts(listed.record))
    return NewKey(key, listed)


async def revoke_key(database: Database, key_id: str, *, actor: str, reason: str = "") -> ListedKey:
    """Revoke for good: no token any more, and all tokens of the key are dead.

    Repeating it adds nothing but an audit row, whose commit proves that the first one is durable too.
    """
    return (await revoke_key_with_rows(database, key_id, actor=actor, reason=reason))[0]


async def revoke_key_with_rows(
    database: Database, key_id: str, *, actor: str, reason: str = ""
) -> tuple[ListedKey, list[DenylistRow]]:
    """As `revoke_key`; returns also the entries of the denylist that are acknowledged with it, for whoever remembers them."""
    async with database.transaction() as connection:
        key, _ = await table.lock_api_key(connection, key_id)
        if key.revoked_at is None:
            moment = await table.revoke_api_key(connection, key.id)
            await append_watermark(connection, "key", key.id, upto=moment, reason="key revoked")
        await record(connection, actor, "key.revoke", key.id, reason=reason)
        return await _load(connection, key.id), await list_of(connection, [key.id])


async def delete_key(database: Database, key_id: str, *, actor: str) -> None:
    """Revoke and hide. The audit trail stays."""
    async with database.transaction() as connection:
        key, _ = await table.lock_api_key(connection, key_id)
        moment = await table.delete_api_key(connection, key.id)
        if key.revoked_at is None:
            await append_watermark(connection, "key", key.id, upto=moment, reason="key deleted")
        await record(connection, actor, "key.delete", key.id, **_facts(key))


async def end_tokens(database: Database, key_id: str, *, actor: str, reason: str = "") -> None:
    """Kill the tokens that a key has got so far and leave the key as it is, whatever its state. Raises NotFoundError."""
    async with database.transaction() as connection:
        key, _ = await table.lock_api_key(connection, key_id)
        await _end_tokens(connection, key, actor, reason)


async def _end_tokens(
    connection: Connection, key: ApiKeyRecord, actor: str, reason: str = ""
) -> None:
    """Kill the live tokens of a key and leave the key as it is."""
    moment = await table.disable_api_key(connection, key.id)
    if key.disabled_at is None:
        await table.enable_api_key(connection, key.id)
    await append_watermark(connection, "key", key.id, upto=moment, reason="tokens ended")
    await record(connection, actor, "key.end_tokens", key.id, reason=reason)


async def _load(connection: Connection, key_id: str) -> ListedKey:
    key, at = await table.load_api_key(connection, key_id)
    return ListedKey(key, state_of(key, at))


async def _lock(
    connection: Connection, key_id: str, verb: str, *, allowed: set[KeyState]
) -> ApiKeyRecord:
    key, at = await table.lock_api_key(connection, key_id)
    state = state_of(key, at)
    if state not in allowed:
        raise ConflictError(
            f"key {key.id} is {state} and cannot be {verb}; create a new key instead"
        )
    return key


def _positive(life: timedelta | None) -> timedelta | None:
    if life is not None and not timedelta() < life <= _LONGEST:
        raise InvalidInputError(
            "a key must live for at least one second, and for a hundred years at most, or have no end at all"
        )
    return life


def _facts(key: ApiKeyRecord) -> dict[str, object]:
    return {
        "account": key.account_id,
        "name": key.name,
        "description": key.description,
        "capabilities": list(key.capabilities),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "hint": key.hint,
        "limits": asdict(key.limits),
    }
