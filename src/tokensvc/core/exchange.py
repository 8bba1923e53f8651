"""The whole issuing policy on one page: who asks, what Postgres says of them, what they get.

    ExchangeRequest (what was asked) + Verdict (what Postgres says at `at`) + Audience
        ->  Claims, or a refusal

Postgres refuses whatever it can judge, in the statement that counts, so that a refused request is
never counted. Here is checked again only what the claims are built from.

A token only ever narrows: it has a subset of the key's capabilities, one known audience, and a life
that may be shortened and never lengthened. A token that is made from another token keeps the
audience of that one: a party that is shown a token must not be able to turn it into one for
somebody else. Only a client that also shows the API key itself may name another audience.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokensvc.core.api_key import ApiKey
from tokensvc.core.audience import OWN_AUDIENCES
from tokensvc.core.audience_choice import (
    refuse_other_audience,
    refuse_unknown_audience,
    refuse_wrong_audience,
)
from tokensvc.core.capability import narrow_scope, refuse_unnamed_scope, refuse_wide_scope
from tokensvc.core.claims import NO_CLAIMS, Claims, parse_extra
from tokensvc.core.errors import (
    InvalidClientError,
    InvalidScopeError,
    InvalidSubjectTokenError,
    OAuthError,
    RateLimitedError,
)
from tokensvc.core.limit import find_tightest

if TYPE_CHECKING:
    from tokensvc.core.audience import Audience
    from tokensvc.core.identifier import AccountId, Jti, KeyId, Kid
    from tokensvc.core.limit import LimitStatus, Quota
    from tokensvc.core.token import UnverifiedToken

ShownAs = Literal["client_authentication", "subject_token"]
RefusalReason = Literal[
    "unknown_client",
    "wrong_client",
    "disabled",
    "revoked",
    "expired",
    "suspended",
    "wrong_client_id",
    "invalid_scope",
    "unnamed_scope",
    "invalid_target",
    "facts_missing",
    "wrong_network",
    "wrong_audience",
]


class SubjectToken(NamedTuple):
    """A live token of ours that is to be narrowed, and the key that signed it."""

    claims: Claims
    kid: Kid


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """One parsed request: a credential, how it was shown, and what is wanted.

    Nothing has been proved of the credential. `client` is the API key that authenticates a client
    beside a subject token, `client_id` the id that the client claims. None means that the client
    left it to us; `expires_in` is in seconds.
    """

    credential: ApiKey | UnverifiedToken
    shown_as: ShownAs = "client_authentication"
    client: ApiKey | None = None
    client_id: str | None = None
    scope: frozenset[str] | None = None
    audience: str | None = None
    expires_in: int | None = None


class Verdict(NamedTuple):
    """What Postgres says of a credential at the moment `at` of its clock.

    `watermark`: tokens that were issued up to that moment are revoked. `quota` is what is left
    after the whole batch. `ahead`: when the windows that count began, in the order of the limits,
    if one of them began later than `at`, because the clock was set back; else None. `audiences`:
    what the key may ask for, None if it is not restricted; empty if only its networks are.
    `claims`: JSON of what stands in all tokens of the key. This is a tuple, because one is made for
    each exchange.
    """

    key_id: KeyId
    account_id: AccountId
    capabilities: tuple[str, ...]
    refusal: RefusalReason | None
    watermark: datetime | None
    at: datetime
    quota: Quota
    ahead: tuple[datetime, ...] | None = None
    audiences: tuple[str, ...] | None = None
    claims: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingPolicy:
    """Settings that every exchange obeys."""

    issuer: str
    default_audience: str
    token_life: timedelta
    max_token_life: timedelta

    def find_longest_life(self, audience: Audience) -> timedelta:
        """Return the longest life that a token for `audience` can have."""
        return min(audience.token_life or self.token_life, self.max_token_life)


def check_verdict(request: ExchangeRequest, verdict: Verdict) -> None:
    """Raise what refuses the credential, if its verdict does.

    It is what `refuse_key` says; or InvalidClientError for the client beside a token,
    InvalidScopeError, InvalidTargetError.
    """
    match verdict.refusal:
        case None:
            return
        case "unknown_client" | "wrong_client":
            raise InvalidClientError(verdict.refusal)
        case "invalid_scope":
            raise _refuse_scope(request, verdict)
        case "unnamed_scope":
            raise refuse_unnamed_scope()
        case "invalid_target":
            raise refuse_other_audience()
        case "wrong_audience":
            # A token that is shown keeps its audience, so its holder has nothing to choose.
            may_choose = request.audience is None and request.shown_as == "client_authentication"
            raise refuse_wrong_audience(request.audience, verdict.audiences if may_choose else None)
        case _:
            raise refuse_key(request, verdict.refusal)


def _refuse_scope(request: ExchangeRequest, verdict: Verdict) -> InvalidScopeError:
    if request.scope is None or request.scope.issubset(verdict.capabilities):
        return _refuse_lost_scope()
    return refuse_wide_scope(request.scope, verdict.capabilities)


def _refuse_lost_scope() -> InvalidScopeError:
    return InvalidScopeError("no capability of the subject_token is granted any more")


def refuse_key(request: ExchangeRequest, reason: str) -> OAuthError:
    """Return the refusal of the key that is shown, or that the shown token belongs to.

    It is as `refuse_credential` says. But a client may also authenticate with the very key that is
    its subject token; then the client is refused.
    """
    if request.client is not None and isinstance(request.credential, ApiKey):
        return InvalidClientError(reason)
    return refuse_credential(request.shown_as, reason)


def refuse_credential(shown_as: ShownAs, reason: str) -> OAuthError:
    """Return the refusal of a credential, with the reason for the log.

    It is `invalid_client`, and `invalid_request` for a subject token (RFC 8693 section 2.2.2).
    """
    if shown_as == "subject_token":
        return InvalidSubjectTokenError(reason)
    return InvalidClientError(reason)


def refuse_over_limit(verdict: Verdict) -> RateLimitedError:
    """Return the refusal of a request that was not admitted.

    It names the limit, and when that starts anew.
    """
    hit, message = _find_limit(verdict.quota, verdict.at, verdict.ahead)
    return RateLimitedError(
        message,
        policy=hit.name,
        limit=hit.limit,
        window=hit.window,
        retry_after=hit.resets_in,
    )


@functools.lru_cache(maxsize=64)  # of a flood, many are in the same batch
def _find_limit(
    quota: Quota, at: datetime, ahead: tuple[datetime, ...] | None
) -> tuple[LimitStatus, str]:
    """Return the limit that is used up, and what is said of it."""
    hit = find_tightest(quota, at, ahead)
    owner, _, length = hit.name.partition("-")
    resets_at = at + timedelta(seconds=hit.resets_in)
    return hit, (
        f"the limit of {hit.limit} tokens per {length} for this {owner} is used up; "
        f"it starts anew at {resets_at:%Y-%m-%dT%H:%M:%SZ}"
    )


def wait_for_clear_second(verdict: Verdict) -> timedelta | None:
    """Return how long to wait until the new token's `iat` lies beyond the watermark.

    None if it does so already. A watermark covers whole seconds, so a key that is enabled again
    within that very second would get tokens that are revoked from the start.
    """
    if verdict.watermark is None:
        return None
    watermark, at = int(verdict.watermark.timestamp()), verdict.at.timestamp()
    return None if int(at) > watermark else timedelta(seconds=watermark + 1 - at)


def decide_claims(
    request: ExchangeRequest,
    credential: ApiKey | SubjectToken,
    verdict: Verdict,
    audience: Audience | None,
    policy: IssuingPolicy,
    jti: Jti,
) -> Claims:
    """Return the claims of the new token. Raises InvalidTargetError, InvalidScopeError.

    `credential` is that of the request, after a subject token was verified. `audience` is None if
    the request names one that does not exist.
    """
    origin = credential if isinstance(credential, SubjectToken) else None
    subject = None if origin is None else origin.claims
    # Postgres has judged whether a client that is shown is the key behind the token.
    is_alone = request.client is None
    if subject is not None and is_alone and request.audience not in {None, subject.aud}:
        raise refuse_other_audience()
    if audience is None:
        raise refuse_unknown_audience(request.audience)
    # By Postgres's clock, as the watermarks are that it is compared with.
    iat = int(verdict.at.timestamp())
    is_own = audience.name in OWN_AUDIENCES
    exp = iat + int(_life(request, audience, policy).total_seconds())
    return Claims(
        iss=policy.issuer,
        sub=verdict.account_id,
        aud=audience.name,
        iat=iat,
        # A narrowed token must not outlive the one that it was made from.
        exp=exp if subject is None else min(exp, subject.exp),
        jti=jti,
        client_id=verdict.key_id,
        scope=_scope(request, verdict, subject),
        origin_jti=None if subject is None else subject.jti,
        origin_kid=None if origin is None else origin.kid,
        auth_time=_find_shown_at(subject, audience, iat) if is_own else None,
        extra=NO_CLAIMS if verdict.claims is None else parse_extra(verdict.claims),
    )


def _find_shown_at(subject: Claims | None, audience: Audience, iat: int) -> int:
    """Return when the API key behind a new token was shown, in seconds since 1970.

    To get a token for another audience, a client shows the key itself, and shows it now. A subject
    token without `auth_time` is of an older version. It was not narrowed itself, because a narrowed
    token cannot be narrowed again, so the key was shown for it at its `iat`.
    """
    if subject is None or subject.aud != audience.name:
        return iat
    return subject.iat if subject.auth_time is None else subject.auth_time


def _life(request: ExchangeRequest, audience: Audience, policy: IssuingPolicy) -> timedelta:
    life = policy.find_longest_life(audience)
    return life if request.expires_in is None else min(life, timedelta(seconds=request.expires_in))


def _scope(request: ExchangeRequest, verdict: Verdict, subject: Claims | None) -> tuple[str, ...]:
    if subject is None:
        return narrow_scope(request.scope, verdict.capabilities)
    # The key may have lost capabilities since the subject token was issued.
    still_granted = frozenset(subject.scope).intersection(verdict.capabilities)
    if not still_granted:
        raise _refuse_lost_scope()
    return narrow_scope(request.scope, still_granted)
