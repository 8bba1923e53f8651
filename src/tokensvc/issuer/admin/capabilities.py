"""Capabilities: create, update, delete, and the check of what a key is granted."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from tokensvc.core.account import parse_description
from tokensvc.core.capability import OWN_CAPABILITIES, is_for_service, parse_capability
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.issuer.audit import record
from tokensvc.issuer.database import accept
from tokensvc.store import capability as table
from tokensvc.store.api_key import count_with_capability

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tokensvc.core.actor import Actor
    from tokensvc.core.capability import Capability
    from tokensvc.issuer.audit import Trail
    from tokensvc.issuer.database import Transactions
    from tokensvc.store.pool import Connection

    CapabilityCheck = Callable[[Capability], None]

# From this likeness on (0 to 1), a new name looks like a slip of a known one: two letters that are
# swapped in a name of ten give 0.9, and `orders:write` beside `orders:read` gives 0.78.
_ALIKE: Final = 0.85


async def create_capability(
    database: Transactions, name: str, description: str, *, actor: Actor
) -> Capability:
    """Create a capability. Raises ConflictError if it exists, InvalidInputError."""
    async with database.transaction() as connection:
        _check_reserved(parse_capability(name), "/name")
        capability = await table.insert_capability(connection, name, parse_description(description))
        await record(
            connection, actor, "capabilities.create", name, description=capability.description
        )
    return capability


async def update_capability(
    database: Transactions,
    name: str,
    description: str,
    *,
    actor: Actor,
    check: CapabilityCheck = accept,
) -> Capability:
    """Change the description of a capability. `check` may refuse it as it was.

    Raises NotFoundError, InvalidInputError.
    """
    async with database.transaction() as connection:
        before = await table.lock_capability(connection, name)
        check(before)
        after = await table.update_capability(connection, name, parse_description(description))
        detail = {
            "before": {"description": before.description},
            "after": {"description": after.description},
        }
        await record(connection, actor, "capabilities.update", name, **detail)
        return after


async def delete_capability(database: Transactions, name: str, *, actor: Actor) -> None:
    """Delete a capability that no usable key holds. Raises ConflictError, NotFoundError."""
    if name in OWN_CAPABILITIES:
        raise ConflictError(f"the capability {name!r} is of the service itself, and stays")
    async with database.transaction() as connection:
        # First: it locks the row, so that no key is made with this capability meanwhile.
        await table.delete_capability(connection, name)
        holders = await count_with_capability(connection, name)
        if holders:
            raise ConflictError(
                f"the capability {name!r} is held by {holders} key(s); "
                "take it from them first (tokensvc key update)"
            )
        await record(connection, actor, "capabilities.delete", name)


async def check_granted(
    connection: Connection, names: Collection[str], trail: Trail
) -> frozenset[str]:
    """Return what a key is granted; names that are new are added.

    A new name that looks like a slip of a known one is refused: it would make a key that lacks what
    was meant, and nobody would see it. Raises InvalidInputError.
    """
    wanted = frozenset(parse_capability(name) for name in names)
    if not wanted:
        raise InvalidInputError("a key needs at least one capability")
    unknown = sorted(wanted - await table.lock_known(connection, wanted))
    if not unknown:
        return wanted
    # Read again: another process may have added one of them a moment ago, and then it is fine.
    known = [capability.name for capability in await table.list_capabilities(connection)]
    for name in unknown:
        if name in known:
            continue
        _check_reserved(name, "/capabilities")
        alike = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if alike:
            raise InvalidInputError(
                f"there is no capability {name!r}: did you mean {alike[0]!r}? "
                f"If not: tokensvc capability create {name}",
                pointer="/capabilities",
            )
        if await table.insert_missing_capability(connection, name):
            trail.note("capabilities.create", name, description="")
    return wanted


def _check_reserved(name: str, pointer: str) -> None:
    """Raise InvalidInputError for a name that a later release may give a meaning to."""
    if is_for_service(name) and name not in OWN_CAPABILITIES:
        raise InvalidInputError(
            f"{name!r} cannot be added: names that begin with tokensvc: are for what the service "
            f"itself allows ({' '.join(OWN_CAPABILITIES)})",
            pointer=pointer,
        )
