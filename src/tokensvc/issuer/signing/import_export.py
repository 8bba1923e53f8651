"""Signing keys that come from elsewhere, or leave: import and export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.errors import ConflictError
from tokensvc.core.keyring import find_standby
from tokensvc.core.private_key import build_private_pem, build_public_pem, parse_private_key
from tokensvc.core.sealing import unseal
from tokensvc.core.verification import find_public_key
from tokensvc.issuer.audit import Trail, record
from tokensvc.issuer.signing.master_key import find_current
from tokensvc.issuer.signing.new_keys import build_record, insert_new
from tokensvc.store.feed_head import bump_head, list_heads
from tokensvc.store.signing_key import (
    list_signing_keys,
    load_signing_key,
    lock_rotation,
    revoke_signing_key,
)

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database


async def import_signing_key(
    database: Database, settings: Settings, master_key: MasterKey, text: bytes, *, actor: Actor
) -> SigningKeyRecord:
    """Take in a private key (PEM or JWK) as the standby.

    It is published now and signs after the next rotation. The standby of before is dropped, since
    it has never signed. Raises InvalidInputError, and ConflictError if the key is there already or
    a rotation is planned.
    """
    alg, private_key = parse_private_key(text)
    async with database.transaction() as connection:
        await lock_rotation(connection)
        records = await list_signing_keys(connection)
        _, now = await list_heads(connection)
        waiting = find_standby(records, alg, now)
        if waiting is not None and waiting.active_at is not None:
            raise ConflictError(
                f"a rotation is planned: {waiting.kid} signs from "
                f"{waiting.active_at:%Y-%m-%d %H:%M:%S} UTC. Import the key after that"
            )
        current = find_current(settings, master_key, records)
        imported = build_record(private_key, alg, current, created_at=now, active_at=None)
        unseal(imported, current)  # what would not be accepted afterwards is not taken in
        trail = Trail(actor)
        await insert_new(connection, imported, trail, operation="signing-keys.import")
        # It was never the signer, so no token is lost with it; there must be one standby only.
        if waiting is not None:
            await revoke_signing_key(connection, waiting.kid, now)
            trail.note("signing-keys.drop", waiting.kid, instead=imported.kid)
        await trail.append(connection)
        await bump_head(connection, "signing_key")
    return imported


async def load_public_key(database: Database, kid: str) -> tuple[dict[str, str], bytes]:
    """Return the public half of a signing key as (JWK, PEM).

    Raises NotFoundError, and ConflictError if it is not the key that its `kid` names.
    """
    async with database.connection() as connection:
        found = await load_signing_key(connection, kid)
    key = find_public_key(found)
    if key is None:
        raise ConflictError(
            f"the row of signing key {found.kid} was changed: its public key is not the one that "
            "its kid names"
        )
    return found.public_jwk, build_public_pem(key.key)


async def export_private_key(
    database: Database, master_key: MasterKey, kid: str, *, actor: Actor
) -> bytes:
    """Return the private half of a signing key as PEM.

    The audit trail says so before the key leaves. Raises NotFoundError, and ConflictError if the
    key is revoked.
    """
    async with database.transaction() as connection:
        found = await load_signing_key(connection, kid)
        if found.revoked_at is not None:
            raise ConflictError(f"signing key {found.kid} is revoked: it must not be used")
        await record(connection, actor, "signing-keys.export", found.kid, private=True)
    # After the commit, so that no key leaves without a trace.
    return build_private_pem(unseal(found, master_key))
