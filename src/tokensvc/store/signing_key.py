"""Signing keys (`sql/queries/signing_key.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from tokensvc.core.errors import ConflictError, NotFoundError
from tokensvc.core.identifier import Kid
from tokensvc.core.keyring import SigningKeyRecord
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

_SQL = load_queries("signing_key")
_ROTATION_LOCK: Final = 7_265_309_612


async def list_signing_keys(connection: asyncpg.Connection) -> list[SigningKeyRecord]:
    """Return all signing keys, oldest first, revoked and expired ones too."""
    return [
        SigningKeyRecord(
            kid=Kid(row["kid"]),
            alg=row["alg"],
            public_jwk=row["public_jwk"],
            sealed_private_key=row["sealed_private_key"],
            created_at=row["created_at"],
            active_at=row["active_at"],
            revoked_at=row["revoked_at"],
        )
        for row in await connection.fetch(_SQL["list"])
    ]


async def load_signing_key(connection: asyncpg.Connection, kid: str) -> SigningKeyRecord:
    """Return one signing key. Raises NotFoundError."""
    for record in await list_signing_keys(connection):
        if record.kid == kid:
            return record
    raise NotFoundError(
        f"there is no signing key {kid[:64]!r}; `tokensvc signing-key list` shows them", thing=kid
    )


async def insert_signing_key(connection: asyncpg.Connection, record: SigningKeyRecord) -> None:
    """Store a new signing key. Raises ConflictError if it is there already."""
    try:
        await connection.execute(
            _SQL["insert"],
            record.kid,
            record.alg,
            record.public_jwk,
            record.sealed_private_key,
            record.created_at,
            record.active_at,
        )
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"the signing key {record.kid} is there already") from error


async def revoke_signing_key(
    connection: asyncpg.Connection, kid: Kid, revoked_at: datetime
) -> None:
    """Withdraw trust in a key, unless that has happened already."""
    await connection.execute(_SQL["revoke"], kid, revoked_at)


async def reseal_signing_key(
    connection: asyncpg.Connection, kid: Kid, sealed_private_key: bytes
) -> None:
    """Replace the sealed private half by the same one under another master key."""
    await connection.execute(_SQL["reseal"], kid, sealed_private_key)


async def activate_signing_key(
    connection: asyncpg.Connection, kid: Kid, active_at: datetime
) -> None:
    """Let a key that has not begun yet sign from `active_at` on."""
    await connection.execute(_SQL["activate"], kid, active_at)


async def lock_rotation(connection: asyncpg.Connection) -> None:
    """Wait until no other process rotates; held until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock($1)", _ROTATION_LOCK)
