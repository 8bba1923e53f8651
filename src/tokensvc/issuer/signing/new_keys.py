"""New signing keys: made, sealed under the master key, and stored with their audit row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokensvc.core.identifier import Kid
from tokensvc.core.keyring import SigningKeyRecord
from tokensvc.core.private_key import new_private_key
from tokensvc.core.sealing import seal
from tokensvc.logs.logger import get_logger
from tokensvc.store.signing_key import insert_signing_key

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.sealing import MasterKey
    from tokensvc.core.token import PrivateKey
    from tokensvc.issuer.audit import Trail
    from tokensvc.store.pool import Connection

_log = get_logger(__name__)


class Drafts(NamedTuple):
    """Two private keys, made before it is known whether they are needed."""

    alg: str
    signer: PrivateKey
    standby: PrivateKey


async def new_drafts(alg: str) -> Drafts:
    """Make two keys, in a thread: an RSA key takes a while."""
    signer = await asyncio.to_thread(new_private_key, alg)
    standby = await asyncio.to_thread(new_private_key, alg)
    return Drafts(alg, signer, standby)


def build_record(
    private_key: PrivateKey,
    alg: str,
    master_key: MasterKey,
    *,
    created_at: datetime,
    active_at: datetime | None,
) -> SigningKeyRecord:
    """Return the row of a new key, sealed."""
    public_jwk, sealed = seal(private_key, alg, master_key)
    return SigningKeyRecord(
        kid=Kid(public_jwk["kid"]),
        alg=alg,
        public_jwk=public_jwk,
        sealed_private_key=sealed,
        created_at=created_at,
        active_at=active_at,
        revoked_at=None,
    )


async def insert_new(
    connection: Connection,
    new: SigningKeyRecord,
    trail: Trail,
    *,
    operation: Literal["signing-keys.create", "signing-keys.import"] = "signing-keys.create",
) -> None:
    """Store a new key, and note it. Raises ConflictError if it is there already."""
    await insert_signing_key(connection, new)
    detail = {"alg": new.alg, "standby": new.active_at is None}
    trail.note(operation, new.kid, **detail)
    _log.info("signing_key_added", how=operation.rpartition(".")[2], kid=new.kid, **detail)
