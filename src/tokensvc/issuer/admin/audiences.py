"""Audiences: create, update, delete."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.core.account import parse_description
from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.audience import DEFAULT_TYP, OWN_AUDIENCES, parse_audience
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.database import accept
from tokensvc.store import audience as table
from tokensvc.store.feed_head import bump_head
from tokensvc.store.issuance import raise_longest_life

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tokensvc.core.actor import Actor
    from tokensvc.core.audience import Audience
    from tokensvc.issuer.database import Transactions
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection

    AudienceCheck = Callable[[Audience], None]


async def create_audience(
    database: Transactions,
    settings: Settings,
    name: str,
    *,
    description: str = "",
    token_life: timedelta | None = None,
    alg: str = DEFAULT_ALGORITHM,
    typ: str = DEFAULT_TYP,
    actor: Actor,
) -> Audience:
    """Create an audience.

    `token_life`: None means the default of the settings. `alg`: one of `core.algorithm`. `typ`: one
    of `core.audience`. Raises ConflictError, InvalidInputError.
    """
    async with database.transaction() as connection:
        trail = Trail(actor)
        audience = await insert_audience(
            connection,
            settings,
            parse_audience(name),
            trail,
            description=description,
            token_life=token_life,
            alg=alg,
            typ=typ,
        )
        await finish_change(connection, trail)
        return audience


async def insert_audience(
    connection: Connection,
    settings: Settings,
    name: str,
    trail: Trail,
    *,
    description: str = "",
    token_life: timedelta | None = None,
    alg: str = DEFAULT_ALGORITHM,
    typ: str = DEFAULT_TYP,
    is_own: bool = False,
) -> Audience:
    """Insert an audience, in a transaction that ends with `finish_change`.

    `name` is not checked. `is_own`: the tokens are for calls to the service itself.
    """
    _check_life(settings, token_life)
    audience = await table.insert_audience(
        connection, name, parse_description(description), token_life, alg, typ, is_own=is_own
    )
    # It belongs to this transaction: a watermark must outlive every token that it covers (decision
    # 0008).
    await raise_longest_life(connection, settings.issuing_policy.find_longest_life(audience))
    trail.note("audiences.create", audience.name, **_facts(audience))
    return audience


async def finish_change(connection: Connection, trail: Trail) -> None:
    """Do what comes last in a transaction that changes audiences: audit trail and head."""
    await trail.append(connection)
    await bump_head(connection, "audience")


async def check_audiences(connection: Connection, names: Collection[str]) -> tuple[str, ...]:
    """Return the audiences that a key may ask for. Raises InvalidInputError for an unknown one."""
    wanted = dict.fromkeys(names)
    if wanted:
        known = {audience.name for audience in await table.list_audiences(connection)}
        for name in wanted:
            if name not in known:
                raise InvalidInputError(
                    f"there is no audience {name[:80]!r}; `tokensvc audience create` makes one",
                    pointer="/audiences",
                )
    return tuple(wanted)


async def update_audience(
    database: Transactions,
    settings: Settings,
    name: str,
    *,
    description: str | None,
    token_life: timedelta | None,
    alg: str | None = None,
    typ: str | None = None,
    actor: Actor,
    check: AudienceCheck = accept,
) -> Audience:
    """Change an audience; None leaves a value as it is.

    A `token_life` of zero goes back to the default of the settings. `check` may refuse the audience
    as it was. Raises NotFoundError, InvalidInputError.
    """
    async with database.transaction() as connection:
        before = await table.lock_audience(connection, name)
        check(before)
        life = before.token_life if token_life is None else (token_life or None)
        _check_life(settings, life)
        text = before.description if description is None else parse_description(description)
        typ = typ or before.typ
        _check_type(name, typ)
        audience = await table.update_audience(connection, name, text, life, alg or before.alg, typ)
        await raise_longest_life(connection, settings.issuing_policy.find_longest_life(audience))
        trail = Trail(actor)
        detail = {"before": _facts(before), "after": _facts(audience)}
        trail.note("audiences.update", audience.name, **detail)
        await finish_change(connection, trail)
        return audience


async def delete_audience(
    database: Transactions, settings: Settings, name: str, *, actor: Actor
) -> None:
    """Delete an audience. Its live tokens stay good until they expire.

    Raises NotFoundError, and ConflictError for the default audience and for the service's own.
    """
    if name == settings.default_audience:
        raise ConflictError(
            f"{name!r} is the default audience; set TOKENSVC_DEFAULT_AUDIENCE to another one first"
        )
    async with database.transaction() as connection:
        if await table.find_is_own(connection, name):
            raise ConflictError(f"{name!r} is the audience of calls to the service itself")
        await table.delete_audience(connection, name)
        trail = Trail(actor)
        trail.note("audiences.delete", name)
        await finish_change(connection, trail)


def _check_life(settings: Settings, token_life: timedelta | None) -> None:
    longest = settings.issuing_policy.max_token_life
    if token_life is not None and not timedelta() < token_life <= longest:
        raise InvalidInputError(
            "the token life must be between 1 s and TOKENSVC_MAX_TOKEN_TTL "
            f"({settings.max_token_ttl} s)",
            pointer="/token_ttl",
        )


def _check_type(name: str, typ: str) -> None:
    if name in OWN_AUDIENCES and typ != DEFAULT_TYP:
        raise InvalidInputError(
            f"the tokens for {name!r} are for the service itself, which takes only {DEFAULT_TYP}",
            pointer="/typ",
        )


def _facts(audience: Audience) -> dict[str, object]:
    """Return what the audit trail keeps of an audience."""
    life = None if audience.token_life is None else int(audience.token_life.total_seconds())
    return {
        "description": audience.description,
        "token_life": life,
        "alg": audience.alg,
        "typ": audience.typ,
    }
