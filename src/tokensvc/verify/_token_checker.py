"""Judges one token with what is known at this moment. Synchronous, in memory, no I/O.

Checked always: the form, `typ`, the algorithm (against our list and the key's own), the signature,
`iss`, `aud`, `iat`, `exp`, the claims that must be there, and the denylist. For a token that was
verified before, the expiry, the key and the denylist are checked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.api_key import looks_like_api_key
from tokensvc.core.audience import DEFAULT_TYP
from tokensvc.core.claims import check_validity
from tokensvc.core.errors import ApiKeyShownError, InvalidTokenError, VerifierUnavailableError
from tokensvc.core.token import ACCESS_TOKEN, check_kind, parse_unverified, read_unverified
from tokensvc.core.verification import OWN_TOKEN, check_token

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.core.token import UnverifiedToken
    from tokensvc.verify._feed_follower import FeedFollower
    from tokensvc.verify._freshness import Freshness
    from tokensvc.verify._jwks_follower import JwksFollower
    from tokensvc.verify._options import VerifierOptions
    from tokensvc.verify._verified_tokens import VerifiedTokens


class TokenChecker:
    """Judges tokens with the keys and the denylist of two followers. For any thread."""

    def __init__(
        self,
        options: VerifierOptions,
        jwks: JwksFollower,
        feed: FeedFollower,
        freshness: Freshness,
        verified_tokens: VerifiedTokens,
    ) -> None:
        self._issuer = options.issuer
        self._audiences = frozenset(options.audiences)
        self._types = ACCESS_TOKEN if options.typ == DEFAULT_TYP else OWN_TOKEN
        self._algorithms = frozenset(options.algorithms)
        self._leeway = options.leeway
        self._wall = options.clock.wall
        self._jwks = jwks
        self._feed = feed
        self._freshness = freshness
        self._verified_tokens = verified_tokens

    def check(self, token: str) -> Claims:
        """Return the claims of a good token.

        Raises InvalidTokenError, or VerifierUnavailableError while nothing can be verified.
        """
        fault = self._freshness.find_fault()
        if fault is not None:
            raise VerifierUnavailableError(fault)
        now = self._wall()
        claims, key = self._check_again(token, now) or self._check_new(token, now)
        # Each time, because a token that is remembered may have been revoked since.
        revocation = self._feed.denylist.find_revocation(claims, key.kid)
        if revocation is not None:
            raise InvalidTokenError(f"revoked_{revocation.kind}")
        return claims

    def _check_again(self, token: str, now: float) -> tuple[Claims, VerifyingKey] | None:
        known = self._verified_tokens.find(token)
        if known is None:
            return None
        claims, key = known
        if self._jwks.keys.get(key.kid) is not key:  # it is gone, or its kid names another key now
            self._verified_tokens.forget(token)
            return None
        # An `nbf` had passed when the token was verified, so only its `iat` is looked at.
        check_validity(
            iat=claims.iat, exp=claims.exp, not_before=claims.iat, now=now, leeway=self._leeway
        )
        return known

    def _check_new(self, token: str, now: float) -> tuple[Claims, VerifyingKey]:
        unverified_token = _parse(token)
        key = self._jwks.find_key(unverified_token.kid)
        if key is None:
            raise self._refuse_stranger(unverified_token)
        claims = check_token(
            unverified_token,
            key=key,
            algorithms=self._algorithms,
            issuer=self._issuer,
            audiences=self._audiences,
            now=now,
            leeway=self._leeway,
            typ=self._types,
        )
        self._verified_tokens.remember(token, claims, key)
        return claims, key

    def _refuse_stranger(self, unverified_token: UnverifiedToken) -> InvalidTokenError:
        """Return, or raise, the refusal of a token whose key the issuer has not published.

        What it says of itself is not proved. It is looked at only to tell a token of another
        service, which points to a setting, from one of this issuer.
        """
        check_kind(unverified_token, typ=self._types, algorithms=self._algorithms)
        said = read_unverified(unverified_token.text)[1].get("iss")
        if isinstance(said, str) and said != self._issuer:
            return InvalidTokenError("wrong_issuer", said=said, wanted=self._issuer)
        return InvalidTokenError("unknown_kid")


def _parse(token: str) -> UnverifiedToken:
    try:
        return parse_unverified(token)
    except InvalidTokenError as error:
        # It is refused either way, but this message says what to do: exchange the key first.
        if looks_like_api_key(token):
            raise ApiKeyShownError from error
        raise
