"""The table: every operation, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations import (
    accounts,
    audiences,
    audit_events,
    capabilities,
    doctor,
    followers,
    health,
    keys,
    leaks,
    notice_deliveries,
    notice_endpoints,
    notices,
    overview,
    revocations,
    signing_keys,
    tiers,
    usage,
    whoami,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.operation import Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for subject in (
        accounts, keys, capabilities, audiences, tiers, usage, leaks, overview, revocations,
        followers, health, doctor, signing_keys, audit_events, notices, notice_endpoints,
        notice_deliveries, whoami,
    )
    for operation in subject.OPERATIONS
}  # fmt: skip


def find_thing_path(operation: Operation) -> str | None:
    """Return the path of what an operation makes, with its parameter in braces; None if none.

    The parameter is a field of the answer.
    """
    for other in OPERATIONS.values():
        if other.subject == operation.subject and len(other.path_parameters) == 1:
            (name,) = other.path_parameters
            if other.path.endswith(f"/{{{name}}}"):
                return other.path
    return None
