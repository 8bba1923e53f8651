"""What examples are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACCOUNT: Final = "acct_0000000000000000"
_KEY: Final = "key_0000000000000000"

# The body of a request, by the name of the operation.
REQUESTS: Final[Mapping[str, dict[str, Any]]] = {
    "accounts.create": {"name": "Orders", "per_minute": 600, "contact": "ops@example.com"},
    "accounts.update": {"name": "Orders Ltd", "per_minute": None},
    "accounts.set-contact": {"contact": "ops@example.com"},
    "accounts.suspend": {"reason": "the invoice is not paid"},
    "accounts.revoke-tokens": {"reason": "a laptop was lost"},
    "keys.create": {
        "account": _ACCOUNT,
        "name": "nightly run",
        "capabilities": ["orders:read"],
        "audiences": ["orders-api"],
        "networks": ["192.0.2.0/24"],
        "metadata": {"team": "billing"},
        "expires_in": 7_776_000,
    },
    "keys.batch": {"act": "disable", "items": [{"id": _KEY}], "reason": "the project has ended"},
    "keys.update": {"name": "nightly run", "capabilities": ["orders:read", "orders:write"]},
    "keys.disable": {"reason": "left running by mistake"},
    "keys.revoke": {"reason": "found in a public repository"},
    "keys.revoke-tokens": {"reason": "a laptop was lost"},
    "keys.rotate": {"grace": 86_400},
    "keys.rotate-self": {"grace": 86_400},
    "leaks.report": {
        "leaks": [
            {
                "key": "tsk-" + "0" * 32,
                "url": "https://git.example/orders/blob/main/settings.py#L7",
                "source": "commit",
            }
        ]
    },
    "capabilities.create": {"name": "orders:read", "description": "May read orders."},
    "capabilities.update": {"description": "May read orders, but not their payments."},
    "audiences.create": {"name": "orders-api", "token_ttl": 300, "alg": "ES256"},
    "audiences.update": {"token_ttl": 600},
    "tiers.create": {"name": "pro", "key_per_minute": 600, "key_per_day": 100_000},
    "tiers.update": {"key_per_minute": 1200},
    "notice-endpoints.create": {
        "account": _ACCOUNT,
        "url": "https://hooks.example/tokens",
        "events": ["key.expiring", "key.leaked"],
    },
    "notice-endpoints.update": {"events": [], "enabled": True},
    "notice-endpoints.rotate-secret": {"grace": 86_400},
    "revocations.create": {"account": _ACCOUNT, "reason": "a laptop was lost"},
    "tokens.inspect": {"token": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"},
    "signing-keys.rotate": {"alg": "ES256"},
    "signing-keys.import": {"private_key": "-----BEGIN PRIVATE KEY-----\n..."},
    "signing-keys.revoke": {"reason": "a backup was stolen"},
}
