"""Finds out who calls: the holder of a live token of ours, or of an API key.

A token must be for the audience `tokensvc`. A token for another audience was shown to a relying
party, which must not be able to call us with it.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tokensvc.core.audience import OWN_AUDIENCE
from tokensvc.core.capability import FOLLOW
from tokensvc.core.errors import (
    InsufficientScopeError,
    InvalidClientError,
    InvalidTokenError,
    OtherAudienceError,
)
from tokensvc.core.ledger import build_caller_question
from tokensvc.core.token import parse_unverified
from tokensvc.core.usage import LastUse

if TYPE_CHECKING:
    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.claims import Claims
    from tokensvc.core.identifier import AccountId, KeyId
    from tokensvc.core.ledger import Decision
    from tokensvc.core.network import ClientPlace
    from tokensvc.issuer.exchange.dead_credentials import DeadCredentials
    from tokensvc.issuer.exchange.guess_guard import GuessGuard
    from tokensvc.issuer.exchange.usage import UsageRecorder
    from tokensvc.issuer.revoking.introspection import Introspection


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCaller:
    """A caller whose credential is good.

    `capabilities`: the scope of its token, or all that its API key holds. `shown_at`: when the API
    key was shown for the token; None if it is the API key itself that is shown.
    """

    key_id: KeyId
    account_id: AccountId
    capabilities: frozenset[str]
    shown_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Judges callers. Nothing is counted, because a call is no exchange.

    `capability` is the one that the token or key must have, None if it needs none. `network` is
    where the caller is; RateLimitedError is for networks that show dead credentials again and
    again.
    """

    introspection: Introspection
    guard: GuessGuard
    dead_credentials: DeadCredentials
    usage: UsageRecorder

    async def check_token(self, text: str, network: str, capability: str | None) -> KnownCaller:
        """Return whom a token belongs to.

        Raises InvalidTokenError, InsufficientScopeError, RateLimitedError, UnavailableError.
        """
        parse_unverified(text)  # junk is not remembered: there is no end to it
        digest = hashlib.sha256(text.encode()).digest()
        await self.dead_credentials.check(digest, network)
        try:
            claims = await self.introspection.check(text)
        except InvalidTokenError:
            self.dead_credentials.note(digest)
            raise
        return _check_claims(claims, capability)

    async def check_follower(self, text: str) -> KnownCaller:
        """As `check_token`, for followers of the feed.

        Followers reconnect in crowds, so they are judged from the copy in memory.
        """
        return _check_claims(await self.introspection.check_by_copy(text), FOLLOW)

    async def check_key(
        self, key: ApiKey, client_id: str | None, place: ClientPlace, capability: str | None
    ) -> KnownCaller:
        """Return whom an API key belongs to, if it may be used at `place`.

        `client_id` is the id that the caller says it has. Raises InvalidClientError,
        InsufficientScopeError, RateLimitedError, UnavailableError.
        """
        question = build_caller_question(key, client_id, capability, place.address)
        network = place.network
        await self.dead_credentials.check(key.digest, network)

        def act(decision: Decision | None) -> KnownCaller:
            self.guard.note(question, network, decision)
            refusal = "unknown_key" if decision is None else decision.verdict.refusal
            # A key that only lacks the capability is a good one, and is told what it lacks.
            if decision is None or (refusal is not None and refusal != "invalid_scope"):
                self.dead_credentials.note(key.digest)
                # Somebody still uses this key. If it was rotated, the audit trail tells that.
                if decision is not None and refusal == "expired":
                    self.usage.note_ended(decision.verdict.key_id)
                raise InvalidClientError(str(refusal))
            self.dead_credentials.forget(key.digest)
            use = LastUse(int(decision.verdict.at.timestamp()), network, OWN_AUDIENCE)
            self.usage.note_call(decision.verdict.key_id, use)
            if refusal == "invalid_scope" and capability is not None:
                raise InsufficientScopeError(capability, of_key=True)
            return KnownCaller(
                key_id=decision.verdict.key_id,
                account_id=decision.verdict.account_id,
                capabilities=frozenset(decision.verdict.capabilities),
                shown_at=None,
            )

        return await self.guard.let_through(question, network, act, time.monotonic())


def _check_claims(claims: Claims, capability: str | None) -> KnownCaller:
    if claims.aud != OWN_AUDIENCE:
        raise OtherAudienceError
    if capability is not None and not claims.has(capability):
        raise InsufficientScopeError(capability)
    return KnownCaller(
        key_id=claims.client_id,
        account_id=claims.sub,
        capabilities=frozenset(claims.scope),
        shown_at=datetime.fromtimestamp(_find_shown_at(claims), UTC),
    )


def _find_shown_at(claims: Claims) -> int:
    """Return when the API key was shown for a token, in seconds since 1970.

    A narrowed token that does not say it may be of any age.
    """
    if claims.auth_time is not None:
        return claims.auth_time
    return claims.iat if claims.origin_jti is None else 0
