"""Revoking what somebody shows or names: a token, an API key, the id of a token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import structlog

from tokensvc.core.api_key import parse_api_key
from tokensvc.core.errors import InvalidClientError, InvalidInputError, InvalidTokenError
from tokensvc.core.identifier import parse_jti
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_own_token
from tokensvc.issuer.audit import record
from tokensvc.issuer.revoking.watermarks import revoke_key
from tokensvc.store.api_key import find_id_by_digest
from tokensvc.store.denylist import append_revocation, is_revoked, list_named, list_of
from tokensvc.store.feed_head import list_heads, wake
from tokensvc.store.issuance import load_longest_life
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

CredentialKind = Literal["token", "key", "nothing"]

_log = structlog.get_logger(__name__)


class RevokedCredential(NamedTuple):
    """What was revoked, its public id, and the revocations that are acknowledged with it."""

    kind: CredentialKind
    id: str | None
    records: Sequence[RevocationRecord] = ()


async def revoke_credential(
    database: Database,
    settings: Settings,
    text: str,
    *,
    actor: str,
    now: datetime,
    signing_keys: Sequence[SigningKeyRecord] = (),
) -> RevokedCredential:
    """Revoke the token or API key that `text` is (RFC 7009): holding it is enough.

    `signing_keys`: the keys that tokens are verified with. Unknown, foreign and dead credentials
    are "nothing": the caller learns no more (RFC 7009 section 2.2). Raises UnavailableError.
    """
    try:
        key = parse_api_key(text, settings.key_prefix)
    except InvalidClientError:
        return await _revoke_token(
            database, settings, text, actor=actor, now=now, signing_keys=signing_keys
        )
    async with database.connection() as connection:
        key_id = await find_id_by_digest(connection, key.digest)
    if key_id is None:
        return RevokedCredential("nothing", None)
    revoked = await revoke_key(database, key_id, actor=actor, reason="holder")
    return RevokedCredential("key", key_id, revoked.records)


async def revoke_own_token(
    database: Database, settings: Settings, text: str, *, actor: str
) -> str | None:
    """Revoke the live token that `text` is, by Postgres's clock.

    Returns its `jti`, None if it is no live token of ours. Raises UnavailableError.
    """
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        signing_keys = await list_signing_keys(connection)
    revoked = await _revoke_token(
        database, settings, text, actor=actor, now=now, signing_keys=signing_keys
    )
    return revoked.id


async def revoke_token(database: Database, claims: Claims, *, actor: str) -> list[RevocationRecord]:
    """Revoke one verified token until it has expired for everybody; return its revocation.

    A repeat writes only an audit row, whose commit proves that the first act is durable too. This
    is how a client learns it after an answer that left it open. Raises UnavailableError.
    """
    async with database.transaction() as connection:
        if not await is_revoked(connection, "jti", claims.jti):
            expires_at = datetime.fromtimestamp(claims.exp, UTC) + LEEWAY
            await append_revocation(
                connection, "token_revoked", claims.jti, watermark=None, expires_at=expires_at
            )
        detail = {"key": claims.client_id, "account": claims.sub}
        await record(connection, actor, "token.revoke", claims.jti, **detail)
        await wake(connection)
        return await list_of(connection, [claims.jti])


async def revoke_jti(
    database: Database, text: str, life: timedelta | None, *, actor: str, reason: str
) -> RevocationRecord:
    """Revoke a token of which only the id is known; return its revocation.

    `life`: how long the token may live from now; None for the longest life that any can have.
    Raises InvalidInputError.
    """
    jti = parse_jti(text)
    async with database.transaction() as connection:
        _, now = await list_heads(connection)
        longest = await load_longest_life(connection)
        if life is not None and not timedelta() < life <= longest:
            raise InvalidInputError(
                f"a live token has between 1 s and {int(longest.total_seconds())} s left to live; "
                "without --exp-in the longest life is taken"
            )
        expires_at = now + (longest if life is None else life) + LEEWAY
        await append_revocation(
            connection, "token_revoked", jti, watermark=None, expires_at=expires_at
        )
        detail = {"reason": reason, "expires_at": expires_at.isoformat()}
        await record(connection, actor, "denylist.add", jti, **detail)
        await wake(connection)
        return (await list_named(connection, [("jti", jti)]))[-1]


async def _revoke_token(
    database: Database,
    settings: Settings,
    text: str,
    *,
    actor: str,
    now: datetime,
    signing_keys: Sequence[SigningKeyRecord],
) -> RevokedCredential:
    try:
        claims = check_own_token(
            parse_unverified(text),
            signing_keys,
            issuer=settings.issuer_url,
            now=now.timestamp(),
            # The leeway of the most patient verifier: what anybody accepts can be revoked.
            leeway=LEEWAY.total_seconds(),
        )
    except InvalidTokenError as error:
        _log.debug("revocation_of_no_token_of_ours", reason=error.reason)
        return RevokedCredential("nothing", None)
    records = await revoke_token(database, claims, actor=actor)
    return RevokedCredential("token", claims.jti, records)
