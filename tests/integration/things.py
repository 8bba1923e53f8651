"""Accounts, keys and tokens, made the way the service makes them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from tokensvc.core.apikey import DEFAULT_PREFIX
from tokensvc.issuer import accounts, api_keys

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

    from tokensvc.issuer.api_keys import NewKey
    from tokensvc.store.pool import Database

ACTOR = "test"
READ_WRITE = ("orders:read", "orders:write")


async def make_key(
    database: Database,
    *,
    account: str | None = None,
    capabilities: Collection[str] = READ_WRITE,
    name: str = "ci",
    life: timedelta | None = None,
) -> NewKey:
    """Make a key, with an account of its own unless one is given."""
    owner = account or (await accounts.create_account(database, "Orders", actor=ACTOR)).id
    wish = api_keys.KeyWish(name=name, capabilities=capabilities, life=life)
    return await api_keys.create_key(database, owner, wish, prefix=DEFAULT_PREFIX, actor=ACTOR)


async def make_refused_keys(database: Database, connection: Any) -> dict[str, NewKey]:
    """Make one key for each reason to refuse it; `connection` ages the expired one."""
    keys = {reason: await make_key(database, name=reason) for reason in ("disabled", "revoked", "expired", "suspended", "deleted")}
    ids = {reason: key.listed.record.id for reason, key in keys.items()}
    await api_keys.disable_key(database, ids["disabled"], actor=ACTOR)
    await api_keys.revoke_key(database, ids["revoked"], actor=ACTOR)
    await api_keys.delete_key(database, ids["deleted"], actor=ACTOR)
    await connection.execute("update api_key set expires_at = clock_timestamp() where id = $1", ids["expired"])
    await accounts.suspend_account(database, keys["suspended"].listed.record.account_id, actor=ACTOR)
    return keys


def read_payload(jws: str) -> dict[str, Any]:
    """Return the payload of a compact JWS, unverified."""
    return _part(jws, 1)


def read_header(jws: str) -> dict[str, Any]:
    """Return the header of a compact JWS, unverified."""
    return _part(jws, 0)


def _part(jws: str, index: int) -> dict[str, Any]:
    part = jws.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded
