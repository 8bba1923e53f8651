"""Rotating an API key: a successor with the same terms takes over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.api_key import MAX_KEY_LIFE_SECONDS, build_facts, new_api_key
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.core.identifier import new_key_id
from tokensvc.issuer.admin.api_keys import NewKey, lock_key
from tokensvc.issuer.admin.granting import load_grant
from tokensvc.issuer.admin.key_count import check_key_count
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.database import accept
from tokensvc.store import api_key as table

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ApiKeyRecord, KeyState
    from tokensvc.core.granting import Grantor
    from tokensvc.issuer.admin.api_keys import KeyCheck
    from tokensvc.issuer.database import Transactions
    from tokensvc.store.pool import Connection

_LONGEST: Final = timedelta(seconds=MAX_KEY_LIFE_SECONDS)
_ACTIVE: Final[frozenset[KeyState]] = frozenset({"active"})


async def rotate_key(
    database: Transactions,
    key_id: str,
    *,
    grace: timedelta,
    prefix: str,
    actor: Actor,
    grantor: Grantor | None = None,
    most_keys: int | None = None,
    check: KeyCheck = accept,
) -> NewKey:
    """Make a successor with the same terms; the old key expires after `grace`.

    `grantor`, `most_keys` and `check` are as in `update_key`. Raises NotFoundError,
    InvalidInputError, ForbiddenError, and ConflictError if the key is not active or has been
    rotated already.
    """
    if not timedelta() <= grace <= _LONGEST:
        raise InvalidInputError("the grace period must lie between nothing and a hundred years")
    async with database.transaction() as connection:
        old = (await lock_key(connection, key_id, "rotated", _ACTIVE, check=check)).record
        if old.successor_id is not None:
            raise ConflictError(
                f"key {old.id} has been rotated already: its successor is {old.successor_id}"
            )
        grant = await load_grant(connection, grantor)
        new = await _insert_successor(connection, old, prefix)
        grant.check(new.listed)
        await table.limit_life(connection, old.id, grace)
        await check_key_count(connection, old.account_id, most_keys)
        trail, new_id = Trail(actor), new.listed.record.id
        trail.note(
            "keys.rotate", old.id, successor=new_id, grace_seconds=int(grace.total_seconds())
        )
        trail.note("keys.create", new_id, **build_facts(new.listed.record))
        await trail.append(connection)
    return new


async def _insert_successor(connection: Connection, old: ApiKeyRecord, prefix: str) -> NewKey:
    """Make a key with the terms of `old`, which lives as long as that was meant to."""
    key, key_id = new_api_key(prefix), new_key_id()
    await table.insert_api_key(
        connection,
        key,
        key_id=key_id,
        account_id=old.account_id,
        terms=old.terms,
        life=None if old.expires_at is None else old.expires_at - old.created_at,
        predecessor_id=old.id,
    )
    return NewKey(key, await table.load_api_key(connection, key_id))
