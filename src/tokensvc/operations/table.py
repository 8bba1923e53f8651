"""The table: every operation, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations import (
    accounts,
    audiences,
    audit_events,
    capabilities,
    followers,
    keys,
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
        accounts, keys, capabilities, audiences, tiers, usage, revocations, followers,
        signing_keys, audit_events, whoami,
    )
    for operation in subject.OPERATIONS
}  # fmt: skip
