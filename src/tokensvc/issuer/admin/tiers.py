"""Tiers: create, update, delete.

A change holds from the next exchange on, and what has been counted stays counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.account import parse_description
from tokensvc.core.errors import ConflictError
from tokensvc.core.limit import (
    ACCOUNT_FACTOR,
    DEFAULT_TIER,
    MAX_LIMIT,
    TierLimits,
    check_limit,
    parse_tier_name,
)
from tokensvc.issuer.audit import record
from tokensvc.issuer.database import accept
from tokensvc.store import tier as table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.actor import Actor
    from tokensvc.core.limit import Tier
    from tokensvc.issuer.database import Transactions

    TierCheck = Callable[[Tier], None]


async def create_tier(
    database: Transactions,
    name: str,
    *,
    description: str = "",
    key_per_minute: int,
    key_per_day: int,
    account_per_minute: int | None = None,
    account_per_day: int | None = None,
    actor: Actor,
) -> Tier:
    """Create a tier. Limits of an account that are None are ten times those of a key.

    Raises ConflictError, InvalidInputError.
    """
    if account_per_minute is None:
        account_per_minute = min(MAX_LIMIT, ACCOUNT_FACTOR * key_per_minute)
    if account_per_day is None:
        account_per_day = min(MAX_LIMIT, ACCOUNT_FACTOR * key_per_day)
    limits = TierLimits(
        check_limit(key_per_minute),
        check_limit(key_per_day),
        check_limit(account_per_minute),
        check_limit(account_per_day),
    )
    async with database.transaction() as connection:
        tier = await table.insert_tier(
            connection, parse_tier_name(name), parse_description(description), limits
        )
        await record(connection, actor, "tiers.create", tier.name, **_facts(tier))
        return tier


async def update_tier(
    database: Transactions,
    name: str,
    *,
    description: str | None = None,
    actor: Actor,
    check: TierCheck = accept,
    **limits: int | None,
) -> Tier:
    """Change a tier; what is None stays as it is. `limits`: fields of TierLimits.

    `check` may refuse the tier as it was.

    Raises NotFoundError, InvalidInputError.
    """
    async with database.transaction() as connection:
        before = await table.lock_tier(connection, name)
        check(before)
        changes = {
            field: check_limit(limit) for field, limit in limits.items() if limit is not None
        }
        text = before.description if description is None else parse_description(description)
        tier = await table.update_tier(
            connection, before.name, text, before.limits._replace(**changes)
        )
        detail = {"before": _facts(before), "after": _facts(tier)}
        await record(connection, actor, "tiers.update", tier.name, **detail)
        return tier


async def delete_tier(database: Transactions, name: str, *, actor: Actor) -> None:
    """Delete a tier that nobody has. Raises NotFoundError, ConflictError."""
    if name == DEFAULT_TIER:
        raise ConflictError(
            "the default tier cannot be deleted; change it with `tokensvc tier update default`"
        )
    async with database.transaction() as connection:
        await table.delete_tier(connection, name)
        await record(connection, actor, "tiers.delete", name)


def _facts(tier: Tier) -> dict[str, object]:
    """Return what the audit trail keeps of a tier."""
    return {"description": tier.description, **tier.limits._asdict()}
