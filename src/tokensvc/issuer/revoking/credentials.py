"""Revoking what somebody shows or names: a token, an API key, the id of a token."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tokensvc.core.actor import Actor
from tokensvc.core.api_key import parse_api_key
from tokensvc.core.clock import TOLERANCE
from tokensvc.core.errors import InvalidClientError, InvalidInputError, InvalidTokenError
from tokensvc.core.identifier import parse_jti
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_own_token
from tokensvc.issuer.revoking.batches import Batches
from tokensvc.logs.logger import get_logger
from tokensvc.store.denylist import revoke_token_by_id, revoke_tokens
from tokensvc.store.feed_head import list_heads
from tokensvc.store.key_endings import end_api_keys
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.issuer.connection_share import ConnectionShare
    from tokensvc.settings import Settings
    from tokensvc.store.key_endings import EndedKey
    from tokensvc.store.pool import Database

CredentialKind = Literal["token", "key", "nothing"]

HOLDER: Final = Actor(name="holder")  # the holder of a credential may revoke it
_MOST_WAITING: Final = 5000

_log = get_logger(__name__)


class RevokedCredential(NamedTuple):
    """What was revoked, its public id, and the revocations that are acknowledged with it."""

    kind: CredentialKind
    id: str | None
    records: Sequence[RevocationRecord] = ()


class HolderRevocations:
    """What holders revoke, in batches: many acts share one statement and one commit.

    At most `most_waiting` of them wait. A batch takes one of the connections of `share`.
    """

    def __init__(
        self, database: Database, share: ConnectionShare, *, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._database = database
        self._share = share
        self._keys = Batches(self._revoke_keys, most_waiting=most_waiting)
        self._tokens = Batches(self._revoke_tokens, most_waiting=most_waiting)

    async def revoke_key(self, digest: bytes, holder: Actor = HOLDER) -> EndedKey:
        """Revoke the key with this digest; return what became of it. Raises UnavailableError."""
        return await self._keys.add((digest, holder))

    async def revoke_token(self, claims: Claims, holder: Actor = HOLDER) -> list[RevocationRecord]:
        """Revoke a verified token; return its revocations. Raises UnavailableError."""
        return await self._tokens.add((claims, holder))

    async def close(self) -> None:
        """Wait until all that has begun is through."""
        await self._keys.close()
        await self._tokens.close()

    async def _revoke_keys(self, keys: Sequence[tuple[bytes, Actor]]) -> list[EndedKey]:
        async with self._share.use(), self._database.act() as connection:
            return await end_api_keys(
                connection,
                "key_revoked",
                digests=[digest for digest, _ in keys],
                actor=[holder for _, holder in keys],
                detail={"reason": HOLDER.name},
            )

    async def _revoke_tokens(
        self, tokens: Sequence[tuple[Claims, Actor]]
    ) -> list[list[RevocationRecord]]:
        acts = [_build_act(claims) for claims, _ in tokens]
        holders = [holder for _, holder in tokens]
        async with self._share.use(), self._database.act() as connection:
            records = await revoke_tokens(connection, acts, actor=holders)
        found: dict[str, list[RevocationRecord]] = {}
        for record in records:
            found.setdefault(record.revocation.value, []).append(record)
        # A repeat has its old revocation, so each token has one at least.
        return [found[claims.jti] for claims, _ in tokens]


async def revoke_credential(
    revocations: HolderRevocations,
    settings: Settings,
    text: str,
    *,
    now: datetime,
    signing_keys: Sequence[SigningKeyRecord] = (),
    leeway: timedelta = LEEWAY,
    holder: Actor = HOLDER,
) -> RevokedCredential:
    """Revoke the token or API key that `text` is (RFC 7009): holding it is enough.

    `holder`: who shows it, for the audit trail. `signing_keys`: the keys that tokens are verified
    with. `leeway`: how far `now` may be wrong, and verifiers patient, for a token to count as live.
    Unknown, foreign and dead credentials are "nothing": the caller learns no more (RFC 7009 section
    2.2). A repeat writes nothing; its answer proves that the first act is durable. Raises
    UnavailableError.
    """
    try:
        key = parse_api_key(text, settings.key_prefix)
    except InvalidClientError:
        claims = _find_own_claims(settings, text, now=now, signing_keys=signing_keys, leeway=leeway)
        if claims is None:
            return RevokedCredential("nothing", None)
        records = await revocations.revoke_token(claims, holder)
        return RevokedCredential("token", claims.jti, records)
    ended = await revocations.revoke_key(key.digest, holder)
    if ended.outcome == "unknown":
        return RevokedCredential("nothing", None)
    return RevokedCredential("key", ended.key_id, ended.records)


async def revoke_own_token(
    database: Database,
    settings: Settings,
    text: str,
    *,
    actor: Actor,
    reason: str | None = None,
    wall: Callable[[], float] = time.time,
) -> RevocationRecord | None:
    """Revoke the token that `text` is if it is live by Postgres's clock, or by this process's.

    `reason`: why, for the audit trail. `wall`: the clock of this process, in seconds. Returns the
    revocation, None if it is no live token of ours. Raises UnavailableError.
    """
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        signing_keys = await list_signing_keys(connection)
    # If the two clocks differ, the token counts as live by the one that is behind.
    doubt = timedelta(seconds=abs(wall() - now.timestamp()))
    claims = _find_own_claims(
        settings, text, now=now, signing_keys=signing_keys, leeway=LEEWAY + doubt
    )
    if claims is None:
        return None
    # They come oldest first, and the newest one stays longest.
    return (await revoke_token(database, claims, actor=actor, reason=reason))[-1]


async def revoke_token(
    database: Database, claims: Claims, *, actor: Actor, reason: str | None = None
) -> list[RevocationRecord]:
    """Revoke one verified token until it has expired for everybody; return its revocations.

    A repeat writes nothing, and its answer proves that the first act is durable too. This is how a
    client learns it after an answer that left it open. Raises UnavailableError.
    """
    async with database.act() as connection:
        return await revoke_tokens(connection, [_build_act(claims, reason)], actor=actor)


async def revoke_jti(
    database: Database,
    text: str,
    life: timedelta | None,
    *,
    actor: Actor,
    reason: str,
    wall: Callable[[], float] = time.time,
) -> RevocationRecord:
    """Revoke a token of which only the id is known; return its revocation.

    `life`: how long the token may live from now; None for the longest life that any can have. The
    longest is taken as well if Postgres's clock and this process's (`wall`, in seconds) disagree,
    because nobody knows then when "now" is. Raises InvalidInputError.
    """
    jti = parse_jti(text)
    if life is not None:
        async with database.connection() as connection:
            _, now = await list_heads(connection)
        if abs(wall() - now.timestamp()) > TOLERANCE:
            life = None
    async with database.act() as connection:
        record, longest = await revoke_token_by_id(
            connection, jti, life, actor=actor, reason=reason
        )
    if record is None:
        raise InvalidInputError(
            f"a live token has between 1 s and {int(longest.total_seconds())} s left to live; "
            "without --exp-in the longest life is taken",
            pointer="/exp_in",
        )
    return record


def _build_act(claims: Claims, reason: str | None = None) -> tuple[str, datetime, dict[str, Any]]:
    """Return what is revoked, until when it stays on the denylist, and what the audit keeps."""
    expires_at = datetime.fromtimestamp(claims.exp, UTC) + LEEWAY
    detail = {"key": claims.client_id, "account": claims.sub}
    if reason is not None:
        detail["reason"] = reason
    return claims.jti, expires_at, detail


def _find_own_claims(
    settings: Settings,
    text: str,
    *,
    now: datetime,
    signing_keys: Sequence[SigningKeyRecord],
    leeway: timedelta = LEEWAY,
) -> Claims | None:
    """Return the claims of a live token of ours, None for everything else.

    The leeway is that of the most patient verifier: what anybody accepts can be revoked.
    """
    try:
        return check_own_token(
            parse_unverified(text),
            signing_keys,
            issuer=settings.issuer_url,
            now=now.timestamp(),
            leeway=leeway.total_seconds(),
        )
    except InvalidTokenError as error:
        _log.debug("revocation_of_no_token_of_ours", reason=error.reason)
        return None
