"""API keys: create, update, enable. `issuer.admin.key_rotation` rotates them.

Disabling, revoking and deleting a key are in `issuer.revoking.endings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.account import parse_description, parse_name
from tokensvc.core.api_key import MAX_KEY_LIFE_SECONDS, KeyTerms, build_facts, new_api_key
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.core.identifier import new_key_id
from tokensvc.core.key_metadata import check_metadata, check_own_claims
from tokensvc.core.limit import NO_LIMITS, LimitChanges, change_limits
from tokensvc.core.network import parse_network
from tokensvc.issuer.admin.audiences import check_audiences
from tokensvc.issuer.admin.capabilities import check_granted
from tokensvc.issuer.admin.granting import Grant, check_still_held, load_grant
from tokensvc.issuer.admin.key_count import check_key_count
from tokensvc.issuer.audit import Trail, record
from tokensvc.issuer.database import accept
from tokensvc.issuer.revoking.endings import revoke_tokens_within
from tokensvc.store import api_key as table
from tokensvc.store.account import load_account

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ApiKey, ApiKeyRecord, KeyState, ListedKey
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.granting import Grantor
    from tokensvc.issuer.database import Transactions
    from tokensvc.store.pool import Connection

    KeyCheck = Callable[[ListedKey], None]

_LONGEST: Final = timedelta(seconds=MAX_KEY_LIFE_SECONDS)
_NO_CHANGES: Final = LimitChanges()
NOT_REVOKED: Final[frozenset[KeyState]] = frozenset({"active", "disabled", "expired"})


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which its text is known."""

    key: ApiKey = field(repr=False)
    listed: ListedKey


class ChangedKey(NamedTuple):
    """A key after a change, and the revocations that are acknowledged with it."""

    listed: ListedKey
    records: Sequence[RevocationRecord]

    @property
    def record(self) -> ApiKeyRecord:
        """The key as it is kept."""
        return self.listed.record


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
    audiences: Collection[str] | None = None
    networks: Collection[str] | None = None
    metadata: Mapping[str, Any] | None = None
    claims: Mapping[str, Any] | None = None
    self_rotation: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """What a new key should be. With a `life` of None it never expires."""

    name: str
    capabilities: Collection[str]
    description: str = ""
    life: timedelta | None = None
    limits: LimitChanges = _NO_CHANGES
    audiences: Collection[str] = ()
    networks: Collection[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    self_rotation: bool = True


async def create_key(
    database: Transactions,
    account_id: str,
    wish: KeyWish,
    *,
    prefix: str,
    actor: Actor,
    grantor: Grantor | None = None,
    most_keys: int | None = None,
) -> NewKey:
    """Create a key for an account.

    `grantor`: the caller, whose own key must have all that the new key has unless it is an admin;
    None for people at the machine itself. `most_keys`: how many live keys an account may have, None
    for any number. Raises NotFoundError, InvalidInputError, ForbiddenError, ConflictError.
    """
    async with database.transaction() as connection:
        trail = Trail(actor)
        grant = await load_grant(connection, grantor)
        # Names first, so that no error tells which names of others exist.
        grant.check_names(wish.capabilities, wish.audiences)
        made = await insert_key(connection, account_id, wish, trail, prefix=prefix)
        # The rest last, because the limits follow from tiers, which Postgres knows.
        grant.check(made.listed)
        await check_key_count(connection, account_id, most_keys)
        await trail.append(connection)
        await check_still_held(connection, grant)
    return made


async def insert_key(
    connection: Connection, account_id: str, wish: KeyWish, trail: Trail, *, prefix: str
) -> NewKey:
    """As `create_key`, inside a transaction that is open already."""
    account = await load_account(connection, account_id)
    key, key_id = new_api_key(prefix), new_key_id()
    granted = await check_granted(connection, wish.capabilities, trail)
    terms = KeyTerms(
        name=parse_name(wish.name),
        description=parse_description(wish.description),
        capabilities=tuple(granted),
        limits=change_limits(NO_LIMITS, wish.limits),
        audiences=await check_audiences(connection, wish.audiences),
        networks=tuple(map(parse_network, wish.networks)),
        metadata=check_metadata(wish.metadata),
        claims=check_own_claims(wish.claims),
        self_rotation=wish.self_rotation,
    )
    life = check_life(wish.life)
    await table.insert_api_key(
        connection, key, key_id=key_id, account_id=account.id, terms=terms, life=life
    )
    listed = await table.load_api_key(connection, key_id)
    trail.note("keys.create", key_id, **build_facts(listed.record))
    return NewKey(key, listed)


async def update_key(
    database: Transactions,
    key_id: str,
    changes: KeyChanges,
    *,
    actor: Actor,
    revoke_tokens: bool = False,
    grantor: Grantor | None = None,
    most_keys: int | None = None,
    check: KeyCheck = accept,
) -> ChangedKey:
    """Change what `changes` names. Live tokens keep what they say, unless `revoke_tokens`.

    The tokens are revoked after the change, in the same transaction: no token that is issued
    between the two has what the key has lost. `grantor`: the caller, whose own key must have all
    that this key has, before and after, unless it is an admin. `most_keys` is as in `create_key`,
    for a key that had expired. `check` may refuse the key as it was. Raises NotFoundError,
    InvalidInputError, ForbiddenError, and ConflictError if the key is revoked.
    """
    async with database.transaction() as connection:
        before = await lock_key(connection, key_id, "changed", NOT_REVOKED, check=check)
        grant = await load_grant(connection, grantor)
        grant.check(before)
        trail = Trail(actor)
        terms = await build_terms(connection, before.record.terms, changes, grant, trail)
        await table.update_api_key(connection, before.record.id, terms)
        if changes.life is not None:
            await table.set_expiry(connection, before.record.id, check_life(changes.life or None))
        after = await table.load_api_key(connection, before.record.id)
        grant.check(after)
        if before.state == "expired":
            await check_key_count(connection, after.record.account_id, most_keys)
        detail = {"before": build_facts(before.record), "after": build_facts(after.record)}
        trail.note("keys.update", after.record.id, **detail)
        await trail.append(connection)
        await check_still_held(connection, grant, {after.record.id})
        records: Sequence[RevocationRecord] = ()
        if revoke_tokens:
            records = await revoke_tokens_within(connection, after.record.id, actor=actor)
    return ChangedKey(after, records)


async def enable_key(
    database: Transactions,
    key_id: str,
    *,
    actor: Actor,
    grantor: Grantor | None = None,
    check: KeyCheck = accept,
) -> ListedKey:
    """Enable a disabled key. Tokens from before stay revoked.

    `grantor` and `check` are as in `update_key`. Raises NotFoundError, ForbiddenError, and
    ConflictError if the key is revoked.
    """
    async with database.transaction() as connection:
        before = await lock_key(connection, key_id, "enabled", NOT_REVOKED, check=check)
        # The lock comes first, because this may be the key of the caller itself.
        grant = await load_grant(connection, grantor)
        grant.check(before)
        if before.record.disabled_at is None:
            return before
        await table.enable_api_keys(connection, [before.record.id])
        enabled = await table.load_api_key(connection, before.record.id)
        await record(connection, actor, "keys.enable", before.record.id)
        await check_still_held(connection, grant, {before.record.id})
    return enabled


async def build_terms(
    connection: Connection, before: KeyTerms, changes: KeyChanges, grant: Grant, trail: Trail
) -> KeyTerms:
    """Return the terms of a key after the changes.

    Raises InvalidInputError, and ForbiddenError for names that the caller may not give.
    """
    grant.check_names(changes.capabilities or (), changes.audiences or ())
    terms = replace(before, limits=change_limits(before.limits, changes.limits))
    if changes.capabilities is not None:
        granted = await check_granted(connection, changes.capabilities, trail)
        terms = replace(terms, capabilities=tuple(granted))
    if changes.name is not None:
        terms = replace(terms, name=parse_name(changes.name))
    if changes.description is not None:
        terms = replace(terms, description=parse_description(changes.description))
    if changes.audiences is not None:
        audiences = await check_audiences(connection, changes.audiences)
        terms = replace(terms, audiences=audiences)
    if changes.networks is not None:
        terms = replace(terms, networks=tuple(map(parse_network, changes.networks)))
    if changes.metadata is not None:
        terms = replace(terms, metadata=check_metadata(changes.metadata))
    if changes.claims is not None:
        terms = replace(terms, claims=check_own_claims(changes.claims))
    if changes.self_rotation is not None:
        terms = replace(terms, self_rotation=changes.self_rotation)
    return terms


async def lock_key(
    connection: Connection,
    key_id: str,
    verb: str,
    allowed: frozenset[KeyState],
    *,
    check: KeyCheck,
) -> ListedKey:
    """Return the key, its row locked. Raises ConflictError if its state is none of `allowed`."""
    key = await table.lock_api_key(connection, key_id)
    check(key)
    check_state(key, verb, allowed)
    return key


def check_state(key: ListedKey, verb: str, allowed: frozenset[KeyState]) -> None:
    """Raise ConflictError if the state of a key does not allow what `verb` says."""
    if key.state not in allowed:
        raise ConflictError(
            f"key {key.record.id} is {key.state} and cannot be {verb}; create a new key instead"
        )


def check_life(life: timedelta | None) -> timedelta | None:
    """Return how long a key lives, None for ever. Raises InvalidInputError."""
    if life is not None and not timedelta() < life <= _LONGEST:
        raise InvalidInputError(
            "a key must live for at least one second, and for a hundred years at most, "
            "or have no end at all"
        )
    return life
