"""The function of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.issuer.operations import (
    accounts,
    audiences,
    audit_events,
    capabilities,
    followers,
    key_batches,
    keys,
    revocations,
    signing_keys,
    tiers,
    usage,
    whoami,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Model

    Function = Callable[[Call, Any], Awaitable[Model]]

BINDINGS: Final[Mapping[str, Function]] = {
    "accounts.create": accounts.create,
    "accounts.list": accounts.list_,
    "accounts.show": accounts.show,
    "accounts.update": accounts.update,
    "accounts.suspend": accounts.suspend,
    "accounts.resume": accounts.resume,
    "accounts.revoke-tokens": accounts.revoke_tokens,
    "accounts.delete": accounts.delete,
    "keys.create": keys.create,
    "keys.list": keys.list_,
    "keys.batch": key_batches.batch,
    "keys.show": keys.show,
    "keys.update": keys.update,
    "keys.disable": keys.disable,
    "keys.enable": keys.enable,
    "keys.revoke": keys.revoke,
    "keys.revoke-tokens": keys.revoke_tokens,
    "keys.rotate": keys.rotate,
    "keys.delete": keys.delete,
    "capabilities.create": capabilities.create,
    "capabilities.list": capabilities.list_,
    "capabilities.delete": capabilities.delete,
    "audiences.create": audiences.create,
    "audiences.list": audiences.list_,
    "audiences.update": audiences.update,
    "audiences.delete": audiences.delete,
    "tiers.create": tiers.create,
    "tiers.list": tiers.list_,
    "tiers.update": tiers.update,
    "tiers.delete": tiers.delete,
    "usage.show": usage.show,
    "revocations.list": revocations.list_,
    "revocations.create": revocations.create,
    "revocations.watch": revocations.watch,
    "tokens.inspect": revocations.inspect,
    "followers.list": followers.list_,
    "signing-keys.list": signing_keys.list_,
    "signing-keys.show": signing_keys.show,
    "signing-keys.rotate": signing_keys.rotate,
    "signing-keys.revoke": signing_keys.revoke,
    "signing-keys.import": signing_keys.import_,
    "signing-keys.export": signing_keys.export,
    "audit-events.list": audit_events.list_,
    "whoami.show": whoami.show,
}
