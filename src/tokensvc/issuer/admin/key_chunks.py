"""Keys that are enabled or changed together, in one short transaction.

What is refused for one of them does not touch the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tokensvc.core.api_key import build_facts
from tokensvc.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TokensvcError,
)
from tokensvc.issuer.admin.api_keys import NOT_REVOKED, build_terms, check_life, check_state
from tokensvc.issuer.admin.granting import check_still_held, load_grant
from tokensvc.issuer.admin.key_count import check_key_count
from tokensvc.issuer.audit import Trail
from tokensvc.store import api_key as table
from tokensvc.store.not_found import no_such_key, unknown_tier
from tokensvc.store.tier import list_tiers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import KeyTerms, ListedKey
    from tokensvc.core.granting import Grantor
    from tokensvc.core.identifier import AccountId
    from tokensvc.core.operation_name import OperationName
    from tokensvc.issuer.admin.api_keys import KeyChanges
    from tokensvc.issuer.admin.granting import Grant
    from tokensvc.store.pool import Connection, Database

# What is wrong with one key alone.
OF_ONE_KEY: Final = (ConflictError, ForbiddenError, InvalidInputError, NotFoundError)


class KeyOutcome(NamedTuple):
    """What became of a key: the key afterwards, or why nothing was done."""

    listed: ListedKey | None
    error: TokensvcError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCaller:
    """Who acts. `owner`: the account whose keys alone are seen, None for all.

    `most_keys`: how many live keys an account may have, None for any number.
    """

    actor: Actor
    grantor: Grantor | None
    owner: AccountId | None
    most_keys: int | None = None


@dataclass(slots=True, kw_only=True)
class Chunk:
    """Some keys, as they were before, their rows locked; and why others are refused."""

    connection: Connection
    grant: Grant
    trail: Trail
    keys: dict[str, ListedKey] = field(default_factory=dict)
    refused: dict[str, TokensvcError] = field(default_factory=dict)

    async def keep(self, check: Callable[[ListedKey], Awaitable[None]]) -> None:
        """Keep the keys that `check` accepts."""
        for key_id, key in list(self.keys.items()):
            try:
                await check(key)
            except OF_ONE_KEY as error:
                self.refused[key_id] = error
                del self.keys[key_id]


class KeyChange(Protocol):
    """What is done to each key of a chunk."""

    operation: OperationName
    verb: str

    async def carry_out(self, chunk: Chunk) -> None:
        """Change the keys."""

    def describe(self, before: ListedKey, after: ListedKey) -> dict[str, object] | None:
        """Return what the audit trail keeps of a change, None if nothing was changed."""


class Enabling:
    """Disabled keys are enabled. Their tokens from before stay revoked."""

    operation: OperationName = "keys.enable"
    verb = "enabled"

    async def carry_out(self, chunk: Chunk) -> None:
        """Enable the keys."""
        await table.enable_api_keys(chunk.connection, list(chunk.keys))

    def describe(self, before: ListedKey, after: ListedKey) -> dict[str, object] | None:
        """Return nothing to keep, as all is said."""
        del after
        return None if before.record.disabled_at is None else {}


class Updating:
    """Each key is changed in its own way."""

    operation: OperationName = "keys.update"
    verb = "changed"

    def __init__(self, changes: Mapping[str, KeyChanges]) -> None:
        self._changes = changes

    async def carry_out(self, chunk: Chunk) -> None:
        """Change the keys. Raises NotFoundError for a tier that was deleted just now."""
        terms: dict[str, KeyTerms] = {}
        tiers = None
        # Asked before, so that a tier that does not exist fails its key and not the statement for
        # all.
        if any(self._changes[key_id].limits.tier for key_id in chunk.keys):
            tiers = {tier.name for tier in await list_tiers(chunk.connection)}

        async def plan(key: ListedKey) -> None:
            changes = self._changes[key.record.id]
            if changes.limits.tier and tiers is not None and changes.limits.tier not in tiers:
                raise unknown_tier(changes.limits.tier)
            check_life(changes.life or None)
            terms[key.record.id] = await build_terms(
                chunk.connection, key.record.terms, changes, chunk.grant, chunk.trail
            )

        await chunk.keep(plan)
        await table.update_api_keys(chunk.connection, terms)
        for key_id in chunk.keys:
            life = self._changes[key_id].life
            if life is not None:
                await table.set_expiry(chunk.connection, key_id, life or None)

    def describe(self, before: ListedKey, after: ListedKey) -> dict[str, object] | None:
        """Return both."""
        return {"before": build_facts(before.record), "after": build_facts(after.record)}


class _BeyondError(Exception):
    """Some keys would have more than the caller may give, so the transaction is rolled back."""

    def __init__(self, refused: Mapping[str, TokensvcError]) -> None:
        super().__init__()
        self.refused = refused


async def change_chunk(
    database: Database, change: KeyChange, key_ids: Sequence[str], caller: BatchCaller
) -> dict[str, KeyOutcome]:
    """Change some keys; return what became of each.

    Raises ForbiddenError if the key of the caller has ended, UnavailableError.
    """
    refused: dict[str, TokensvcError] = {}
    while True:
        left = [key_id for key_id in key_ids if key_id not in refused]
        try:
            outcomes = await _change_once(database, change, left, caller) if left else {}
        except _BeyondError as error:
            refused |= error.refused  # again, without them
        else:
            return outcomes | {key_id: KeyOutcome(None, refused[key_id]) for key_id in refused}


async def _change_once(
    database: Database, change: KeyChange, key_ids: Sequence[str], caller: BatchCaller
) -> dict[str, KeyOutcome]:
    async with database.transaction() as connection:
        chunk = await _open_chunk(connection, change, key_ids, caller)
        await change.carry_out(chunk)
        # Read again, because limits follow from tiers and accounts, which Postgres knows.
        after = await table.load_api_keys(connection, list(chunk.keys))
        beyond: dict[str, TokensvcError] = {}
        for key_id, key in after.items():
            try:
                chunk.grant.check(key)
            except ForbiddenError as error:
                beyond[key_id] = error
            detail = change.describe(chunk.keys[key_id], key)
            if detail is not None:
                chunk.trail.note(change.operation, key_id, **detail)
        beyond |= await _list_too_many(chunk, caller)
        if beyond:
            # The keys are changed already, and only a roll-back takes that back.
            raise _BeyondError(beyond)
        await chunk.trail.append(connection)
        await check_still_held(connection, chunk.grant, chunk.keys)
    return {key_id: KeyOutcome(key, None) for key_id, key in after.items()} | {
        key_id: KeyOutcome(None, error) for key_id, error in chunk.refused.items()
    }


async def _list_too_many(chunk: Chunk, caller: BatchCaller) -> dict[str, TokensvcError]:
    """Return the keys that have come back to life in accounts that have too many then."""
    refused: dict[str, TokensvcError] = {}
    revived = {
        key_id: key.record.account_id
        for key_id, key in chunk.keys.items()
        if key.state == "expired"
    }
    # In order: each check locks an account, and two batches must not wait for each other.
    for account_id in sorted(set(revived.values())):
        try:
            await check_key_count(chunk.connection, account_id, caller.most_keys)
        except ConflictError as error:
            refused |= {key_id: error for key_id, one in revived.items() if one == account_id}
    return refused


async def _open_chunk(
    connection: Connection, change: KeyChange, key_ids: Sequence[str], caller: BatchCaller
) -> Chunk:
    """Lock the keys, and keep those that the caller may change."""
    own = await list_seen(connection, key_ids, caller)
    keys = await table.lock_api_keys(connection, own)
    chunk = Chunk(
        connection=connection,
        grant=await load_grant(connection, caller.grantor),
        trail=Trail(caller.actor),
        keys=keys,
        refused={key_id: no_such_key(key_id) for key_id in key_ids if key_id not in keys},
    )

    async def check(key: ListedKey) -> None:
        check_state(key, change.verb, NOT_REVOKED)
        chunk.grant.check(key)

    await chunk.keep(check)
    return chunk


async def list_seen(
    connection: Connection, key_ids: Sequence[str], caller: BatchCaller
) -> list[str]:
    """Return those of the keys that the caller sees. Rows of others are not even locked."""
    if caller.owner is None:
        return list(key_ids)
    keys = await table.load_api_keys(connection, key_ids)
    return [
        key_id
        for key_id in key_ids
        if key_id in keys and keys[key_id].record.account_id == caller.owner
    ]
