"""The exchange: a credential in, a signed token out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tokensvc.core.claims import Claims, build_payload
from tokensvc.core.errors import InvalidSubjectTokenError, InvalidTokenError
from tokensvc.core.exchange import check_verdict, decide_claims, wait_for_clear_second
from tokensvc.core.identifier import new_jti
from tokensvc.core.token import ACCESS_TOKEN, sign_jws
from tokensvc.issuer.own_token import check_own_token
from tokensvc.issuer.rotation import ALGORITHM

if TYPE_CHECKING:
    from tokensvc.core.exchange import Audience, ExchangeRequest, IssuingPolicy, Verdict
    from tokensvc.issuer.ledger import Ledger
    from tokensvc.issuer.mirror import Mirror

_JUST_AFTER: Final = 0.005


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and what it says."""

    text: str = field(repr=False)
    claims: Claims


async def exchange(request: ExchangeRequest, *, ledger: Ledger, mirror: Mirror, policy: IssuingPolicy) -> IssuedToken:
    """Return a token for the credential in `request`, or raise the OAuthError that refuses it, or UnavailableError."""
    audience = await _find_audience(request, mirror, policy)  # first: its token life must not be newer than the verdict
    verdict = await _judge(request, ledger)
    while (wait := wait_for_clear_second(verdict)) is not None:  # only within the second of a disable and enable
        await asyncio.sleep(wait.total_seconds() + _JUST_AFTER)
        verdict = await _judge(request, ledger)
    claims = decide_claims(request, verdict, audience, policy, new_jti())
    key = mirror.signing_key(verdict.at, ALGORITHM)
    return IssuedToken(sign_jws(build_payload(claims), typ=ACCESS_TOKEN[0], key=key), claims)


def check_subject_token(text: str, *, mirror: Mirror, policy: IssuingPolicy) -> Claims:
    """Return the claims of one of our live tokens that may be narrowed. Raises InvalidSubjectTokenError."""
    try:
        claims = check_own_token(text, mirror.records, policy.issuer, mirror.now.timestamp())
    except InvalidTokenError as error:
        raise InvalidSubjectTokenError(error.reason) from error
    if claims.origin_jti is not None:
        raise InvalidSubjectTokenError("narrowed_already")
    return claims


async def _judge(request: ExchangeRequest, ledger: Ledger) -> Verdict:
    return check_verdict(request, await ledger.judge(request.credential))


async def _find_audience(request: ExchangeRequest, mirror: Mirror, policy: IssuingPolicy) -> Audience | None:
    name = request.audience or policy.default_audience
    if name not in mirror.audiences:
        await mirror.refresh_for_a_miss()  # it may have been added a moment ago
    return mirror.audiences.get(name)
