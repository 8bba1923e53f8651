"""Who may call what is not open to everybody: holders of a live token of ours, or of an API key.

A token must be for the audience `tokensvc`. A token for another audience was shown to a relying
party, which must not be able to call us with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.audience import OWN_AUDIENCE
from tokensvc.core.capability import FOLLOW
from tokensvc.core.errors import InsufficientScopeError, InvalidClientError, InvalidTokenError
from tokensvc.core.ledger import build_caller_question

if TYPE_CHECKING:
    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.claims import Claims
    from tokensvc.core.identifier import KeyId
    from tokensvc.core.ledger import Decision
    from tokensvc.issuer.exchange.guess_guard import GuessGuard
    from tokensvc.issuer.exchange.ledger import Ledger
    from tokensvc.issuer.revoking.introspection import Introspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Judges callers. Nothing is counted, because a call is no exchange.

    `capability` is the one that the token or key must have, None if it needs none.
    """

    introspection: Introspection
    ledger: Ledger
    guard: GuessGuard

    async def check_token(self, text: str, capability: str | None) -> KeyId:
        """Return the id of the API key that a token belongs to.

        Raises InvalidTokenError, InsufficientScopeError, UnavailableError.
        """
        return _check_claims(await self.introspection.check(text), capability)

    async def check_follower(self, text: str) -> KeyId:
        """As `check_token`, for followers of the feed.

        Followers reconnect in crowds, so they are judged from the copy in memory.
        """
        return _check_claims(await self.introspection.check_by_copy(text), FOLLOW)

    async def check_key(
        self, key: ApiKey, client_id: str | None, network: str, capability: str | None
    ) -> KeyId:
        """Return the id of an API key.

        `client_id` is the id that the caller says it has, `network` where the caller is. Raises
        InvalidClientError, InsufficientScopeError, RateLimitedError for networks that guess keys,
        UnavailableError.
        """
        await self.guard.check(key.digest, network)

        def act(decision: Decision | None) -> KeyId:
            if decision is None:
                self.guard.note_unknown(network)
                raise InvalidClientError("unknown_key")
            self.guard.note_known(key.digest)
            verdict = decision.verdict
            if verdict.refusal == "invalid_scope" and capability is not None:
                raise InsufficientScopeError(capability)
            if verdict.refusal is not None:
                raise InvalidClientError(verdict.refusal)
            return verdict.key_id

        return await self.ledger.judge(build_caller_question(key, client_id, capability), act)


def _check_claims(claims: Claims, capability: str | None) -> KeyId:
    if claims.aud != OWN_AUDIENCE:
        raise InvalidTokenError("wrong_audience")
    if capability is not None and not claims.has(capability):
        raise InsufficientScopeError(capability)
    return claims.client_id
