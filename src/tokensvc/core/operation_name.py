"""The names of everything that can be done, as the audit trail has them."""

from __future__ import annotations

from typing import Final, Literal, get_args

OperationName = Literal[
    "accounts.create",
    "accounts.update",
    "accounts.suspend",
    "accounts.resume",
    "accounts.delete",
    "accounts.revoke-tokens",
    "audiences.create",
    "audiences.update",
    "audiences.delete",
    "audit.prune",
    "audit.reset",
    "capabilities.create",
    "capabilities.delete",
    "dashboard.refuse",
    "dashboard.sign-in",
    "dashboard.sign-out",
    "keys.create",
    "keys.update",
    "keys.rotate",
    "keys.rotate-self",
    "key.used_after_end",
    "keys.disable",
    "keys.enable",
    "keys.revoke",
    "keys.delete",
    "keys.revoke-tokens",
    "leaks.report",
    "master-key.rotate",
    "signing-keys.create",
    "signing-keys.import",
    "signing-keys.export",
    "signing-keys.drop",
    "signing-keys.rotate",
    "signing-keys.revoke",
    "tiers.create",
    "tiers.update",
    "tiers.delete",
    "tokens.revoke",
]
OPERATION_NAMES: Final[tuple[OperationName, ...]] = get_args(OperationName)
