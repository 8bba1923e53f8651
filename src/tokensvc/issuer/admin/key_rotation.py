"""Rotating an API key: a successor with the same terms takes over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.api_key import MAX_KEY_LIFE_SECONDS, build_facts, new_api_key
from tokensvc.core.errors import ConflictError, ForbiddenError, InvalidInputError
from tokensvc.core.identifier import new_key_id
from tokensvc.issuer.admin.api_keys import NewKey, lock_key
from tokensvc.issuer.admin.granting import check_still_held, load_grant
from tokensvc.issuer.admin.key_count import check_key_count
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.database import accept
from tokensvc.store import api_key as table

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ApiKeyRecord, KeyState
    from tokensvc.core.granting import Grantor
    from tokensvc.core.operation_name import OperationName
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
    longest: timedelta | None = None,
) -> NewKey:
    """Make a successor with the same terms; the old key expires after `grace`.

    `grantor`, `most_keys` and `check` are as in `update_key`. `longest`: how long the successor may
    live at most, None for as long as the old key was meant to. If the key itself is the caller,
    what revokes the key revokes the successor too. Raises NotFoundError, InvalidInputError,
    ForbiddenError, and ConflictError if the key is not active or has been rotated already.
    """
    _check_grace(grace)
    async with database.transaction() as connection:
        old = (await lock_key(connection, key_id, "rotated", _ACTIVE, check=check)).record
        _check_first(old)
        # As long as the old key was meant to live, not as long as it still has.
        life = None if old.expires_at is None else old.expires_at - old.created_at
        if longest is not None:
            life = longest if life is None else min(life, longest)
        grant = await load_grant(connection, grantor)
        is_own_act = grantor is not None and grantor.key_id == old.id
        new = await _insert_successor(connection, old, prefix, life=life, is_own_act=is_own_act)
        # After it was inserted, because its limits follow from tiers, which Postgres knows.
        grant.check(new.listed)
        await table.limit_life(connection, old.id, grace)
        # Late, because nobody else can make a key of this account from here on.
        await check_key_count(connection, old.account_id, most_keys)
        await _record(connection, Trail(actor), "keys.rotate", old, new, grace)
        await check_still_held(connection, grant, {old.id})
    return new


async def rotate_own_key(
    database: Transactions,
    key_id: str,
    *,
    grace: timedelta,
    prefix: str,
    actor: Actor,
    most_keys: int | None = None,
) -> NewKey:
    """Let a key make its own successor, which ends when the key itself would have ended.

    So whoever has stolen a key gains no time by it, and what revokes the key revokes the successor
    too. `most_keys` is as in `rotate_key`. Raises InvalidInputError, ForbiddenError if the key may
    not do this, and ConflictError if it is not active or has been rotated already.
    """
    _check_grace(grace)
    async with database.transaction() as connection:
        old = (await lock_key(connection, key_id, "rotated", _ACTIVE, check=accept)).record
        if not old.terms.self_rotation:
            raise ForbiddenError(
                "this key may not rotate itself; who manages it can rotate it or allow that",
                reason="no_self_rotation",
            )
        _check_first(old)
        new = await _insert_successor(
            connection, old, prefix, is_own_act=True, expires_at=old.expires_at
        )
        await table.limit_life(connection, old.id, grace)
        await check_key_count(connection, old.account_id, most_keys)
        await _record(connection, Trail(actor), "keys.rotate-self", old, new, grace)
    return new


def _check_grace(grace: timedelta) -> None:
    if not timedelta() <= grace <= _LONGEST:
        raise InvalidInputError("the grace period must lie between nothing and a hundred years")


def _check_first(old: ApiKeyRecord) -> None:
    if old.successor_id is not None:
        raise ConflictError(
            f"key {old.id} has been rotated already: its successor is {old.successor_id}"
        )


async def _record(
    connection: Connection,
    trail: Trail,
    operation: OperationName,
    old: ApiKeyRecord,
    new: NewKey,
    grace: timedelta,
) -> None:
    new_id, seconds = new.listed.record.id, int(grace.total_seconds())
    trail.note(operation, old.id, successor=new_id, grace_seconds=seconds)
    trail.note("keys.create", new_id, **build_facts(new.listed.record))
    await trail.append(connection)


async def _insert_successor(
    connection: Connection,
    old: ApiKeyRecord,
    prefix: str,
    *,
    life: timedelta | None = None,
    expires_at: datetime | None = None,
    is_own_act: bool,
) -> NewKey:
    """Make a key with the terms of `old`. It lives until `expires_at` if given, else for `life`.

    `is_own_act`: the key itself does it, so what revokes the key revokes the successor too.
    """
    key, key_id = new_api_key(prefix), new_key_id()
    await table.insert_api_key(
        connection,
        key,
        key_id=key_id,
        account_id=old.account_id,
        terms=old.terms,
        life=life,
        predecessor_id=old.id,
        made_by_predecessor=is_own_act,
        expires_at=expires_at,
    )
    return NewKey(key, await table.load_api_key(connection, key_id))
