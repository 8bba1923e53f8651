"""Revocation: writing what followers must refuse.

A watermark is written in the very transaction that ends a key or an account, while its row is held, so nothing slips between.
What is acknowledged is durable; if the outcome is unknown the caller gets OutcomeUnknownError and may repeat the act safely.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import structlog

from tokensvc.core.apikey import parse_api_key
from tokensvc.core.errors import InvalidClientError, InvalidTokenError
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.api_keys import revoke_key_with_rows
from tokensvc.issuer.audit import record
from tokensvc.issuer.own_token import check_own_token
from tokensvc.store.api_key import find_id_by_digest
from tokensvc.store.denylist import (
    append_revocation,
    delete_expired,
    is_denied,
    list_after,
    list_of,
)
from tokensvc.store.feed_head import list_heads, wake
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist import DenylistRow
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

Revoked = Literal["token", "key", "nothing"]

_log = structlog.get_logger(__name__)
_CLEANING_BATCH = 1000


class Revocation(NamedTuple):
    """What was revoked, its public id, and the entries of the denylist that are acknowledged with it."""

    what: Revoked
    id: str | None
    rows: Sequence[DenylistRow] = ()


async def revoke_credential(
    database: Database,
    settings: Settings,
    text: str,
    *,
    actor: str,
    now: datetime,
    records: Sequence[SigningKeyRecord] = (),
) -> Revocation:
    """Revoke the token or API key that `text` is (RFC 7009): holding it is enough. `records`: the signing keys that tokens are judged by.

    Unknown, foreign and dead credentials are "nothing": the caller learns no more (RFC 7009 section 2.2).
    """
    try:
        key = parse_api_key(text, settings.key_prefix)
    except InvalidClientError:
        return await _revoke_token(database, settings, text, actor=actor, now=now, records=records)
    async with database.connection() as connection:
        key_id = await find_id_by_digest(connection, key.digest)
    if key_id is None:
        return Revocation("nothing", None)
    _, rows = await revoke_key_with_rows(database, key_id, actor=actor, reason="holder")
    return Revocation("key", key_id, rows)


async def revoke_one_token(
    database: Database, settings: Settings, text: str, *, actor: str
) -> str | None:
    """Revoke the live token that `text` is, by Postgres's clock; return its `jti`, None if it is none of ours."""
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        records = await list_signing_keys(connection)
    return (await _revoke_token(database, settings, text, actor=actor, now=now, records=records)).id


async def deny_token(database: Database, claims: Claims, *, actor: str) -> list[DenylistRow]:
    """Deny one token until it and all leeway are over; return the entry that stands for it.

    Repeating it adds nothing but an audit row, whose commit proves that the first one is durable too: a repeat is how a client learns
    that, after an answer that left it open.
    """
    async with database.transaction() as connection:
        if not await is_denied(connection, "jti", claims.jti):
            expires_at = datetime.fromtimestamp(claims.exp, UTC) + LEEWAY
            await append_revocation(
                connection,
                "jti",
                claims.jti,
                upto=None,
                expires_at=expires_at,
                reason="token revoked",
            )
        await record(
            connection, actor, "token.revoke", claims.jti, key=claims.client_id, account=claims.sub
        )
        await wake(connection)
        return await list_of(connection, [claims.jti])


async def list_denylist(database: Database) -> list[DenylistRow]:
    """Return the entries in force, oldest first."""
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        return await list_after(connection, 0, now)


async def clean_denylist_once(database: Database, now: datetime) -> int:
    """Collect entries whose last token is beyond all leeway; return how many."""
    total = 0
    while True:
        async with database.connection() as connection:
            collected = await delete_expired(connection, now, _CLEANING_BATCH)
        total += collected
        if collected < _CLEANING_BATCH:
            break
    if total:
        _log.info("denylist_cleaned", entries=total)
    return total


async def _revoke_token(
    database: Database,
    settings: Settings,
    text: str,
    *,
    actor: str,
    now: datetime,
    records: Sequence[SigningKeyRecord],
) -> Revocation:
    try:
        # with the leeway of the most patient verifier: what is accepted anywhere can be revoked
        claims = check_own_token(
            parse_unverified(text),
            records,
            settings.issuer_url,
            now.timestamp(),
            leeway=LEEWAY.total_seconds(),
        )
    except InvalidTokenError as error:
        _log.debug("revocation_of_no_token_of_ours", reason=error.reason)
        return Revocation("nothing", None)
    return Revocation("token", claims.jti, await deny_token(database, claims, actor=actor))
