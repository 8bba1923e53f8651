"""The exchange: a credential in, a signed token out."""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.api_key import ApiKey
from tokensvc.core.audience_choice import choose_audience
from tokensvc.core.claims import Claims, build_payload_text
from tokensvc.core.errors import InvalidTokenError, OAuthError, UnavailableError
from tokensvc.core.exchange import (
    SubjectToken,
    check_verdict,
    decide_claims,
    refuse_credential,
    refuse_key,
    refuse_over_limit,
    wait_for_clear_second,
)
from tokensvc.core.identifier import new_jtis
from tokensvc.core.ledger import Facts, build_question
from tokensvc.core.token import sign_jws_text
from tokensvc.core.usage import build_last_use
from tokensvc.core.verification import check_own_token
from tokensvc.issuer.exchange.ledger import LONGEST_SECONDS, build_late_error
from tokensvc.issuer.exchange.repeated_refusals import RepeatedRefusals
from tokensvc.issuer.exchange.restricted_keys import RestrictedKeys
from tokensvc.issuer.identifier_stock import IdentifierStock
from tokensvc.issuer.in_time import in_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.audience import Audience
    from tokensvc.core.exchange import ExchangeRequest, IssuingPolicy, Verdict
    from tokensvc.core.ledger import Decision, Question
    from tokensvc.core.token import SigningKey, UnverifiedToken
    from tokensvc.issuer.exchange.guess_guard import GuessGuard
    from tokensvc.issuer.exchange.ledger import Ledger
    from tokensvc.issuer.exchange.usage import UsageRecorder
    from tokensvc.issuer.mirror.mirror import Mirror

# Seconds. A timer may ring a moment early, and the watermark must be over.
_JUST_AFTER: Final = 0.005
_MISS: Final = 1.5  # seconds until a copy must have been read again
# What is left of a second is waited for. More than that means that a clock was wrong.
_LONGEST_WAIT: Final = timedelta(seconds=1.5)
# A signature takes about a millisecond: it is made in a thread, or all other requests would wait.
_SLOW_ALGORITHMS: Final = {"RS256"}
_jtis: Final = IdentifierStock(lambda: new_jtis(128))


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token, what it says, and the decision that let it through."""

    text: str = field(repr=False)
    claims: Claims
    decision: Decision


@dataclass(frozen=True, slots=True)
class _AskAgain:
    """The question lacked what a restricted key is judged by. `allowed`: its audiences."""

    allowed: tuple[str, ...]


class _Asked(NamedTuple):
    """A request, and what Postgres is asked of it. `name` is that of the audience, if it exists."""

    request: ExchangeRequest
    credential: ApiKey | SubjectToken
    question: Question
    audience: Audience | None
    name: str
    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The exchange and all that takes part in it."""

    ledger: Ledger
    mirror: Mirror
    usage: UsageRecorder
    guard: GuessGuard
    policy: IssuingPolicy
    restricted_keys: RestrictedKeys = field(default_factory=RestrictedKeys)
    repeated_refusals: RepeatedRefusals = field(default_factory=RepeatedRefusals)

    async def issue(
        self, request: ExchangeRequest, network: str, address: str | None = None
    ) -> IssuedToken:
        """Return a token for the credential in `request`.

        `network`: where the client is, /24 or /48. `address`: the same, whole; None if it is not
        known. Raises the OAuthError that refuses the request, UnavailableError.
        """
        arrived_on = time.monotonic()
        credential, allowed = self._read_credential(request.credential)
        may_repeat = True
        # Usually once. Postgres is asked again if the key turns out to be restricted, and after a
        # wait if the tokens of this very second are revoked.
        while True:
            # The audience is found before the verdict, which must not be older than its token life.
            name = self._choose_audience(request, credential, allowed)
            audience = self.mirror.audiences.get(name) or await self._find_new_audience(name)
            # Raises if nothing could be signed: what is counted must get its token.
            self.mirror.signers.check(DEFAULT_ALGORITHM if audience is None else audience.alg)
            facts = None if allowed is None else Facts(name, address)
            question = build_question(request, credential, audience, facts)
            asked = _Asked(request, credential, question, audience, name, network)
            refused_by = None
            if may_repeat:
                refused_by = self.repeated_refusals.find(question, request.scope)
            if refused_by is not None:
                result = self._act(asked, refused_by)
            else:
                result = await self.guard.let_through(
                    question, network, functools.partial(self._act, asked), arrived_on
                )
            if isinstance(result, IssuedToken):
                return result
            if isinstance(result, functools.partial):
                return await asyncio.to_thread(result)
            if isinstance(result, _AskAgain):
                # A refusal that is remembered may be older than this list of audiences.
                allowed, may_repeat = result.allowed, False
                continue
            await _wait(result, arrived_on)

    def _act(
        self, asked: _Asked, decision: Decision | None
    ) -> IssuedToken | functools.partial[IssuedToken] | timedelta | _AskAgain:
        """Return the token, or what signs it and must run in a thread, or how long to wait.

        There is something to wait for only within the second of a disable and enable. `_AskAgain`:
        the key was not known to be restricted, or has another list of audiences than was known.
        """
        request, audience = asked.request, asked.audience
        # First: good keys are remembered and refusals counted, whatever comes of the request.
        self.guard.note(asked.question, asked.network, decision)
        if decision is None:
            raise refuse_key(request, "unknown_key")
        verdict = decision.verdict
        if asked.question.digest is not None:
            self.restricted_keys.learn(asked.question.digest, verdict.audiences)
        if verdict.audiences is not None and self._must_ask_again(asked, verdict):
            return _AskAgain(verdict.audiences)
        try:
            check_verdict(request, verdict)
            wait = wait_for_clear_second(verdict)
            if wait is not None:
                return wait
            claims = decide_claims(
                request, asked.credential, verdict, audience, self.policy, _jtis.take()
            )
            # Last: a request that is wrong in itself is told so, and not to come back later.
            if not decision.admitted:
                raise refuse_over_limit(verdict)
        except OAuthError as error:
            self.usage.add(verdict.key_id, error.reason, verdict.at)
            self.repeated_refusals.note(asked.question, decision, error)
            raise
        known: Any = audience  # not None, or there would be no claims
        key = self._find_signer(known, verdict.at)
        last_use = build_last_use(claims.iat, asked.network, claims.aud)
        self.usage.add_issued(claims.client_id, last_use)
        if key.alg in _SLOW_ALGORITHMS:
            return functools.partial(_sign_token, claims, decision, key, known.typ)
        return _sign_token(claims, decision, key, known.typ)

    def _must_ask_again(self, asked: _Asked, verdict: Verdict) -> bool:
        if verdict.refusal == "facts_missing":
            return True
        return verdict.refusal == "wrong_audience" and asked.name != self._choose_audience(
            asked.request, asked.credential, verdict.audiences
        )

    def _choose_audience(
        self,
        request: ExchangeRequest,
        credential: ApiKey | SubjectToken,
        allowed: Sequence[str] | None,
    ) -> str:
        held = credential.claims.aud if isinstance(credential, SubjectToken) else None
        return choose_audience(request.audience, held, self.policy.default_audience, allowed)

    def _find_signer(self, audience: Audience, at: datetime) -> SigningKey:
        """Return the key that signs at the moment of the verdict.

        If no key is in force then, because the clock was set back a little, it is the key that was
        in force when `Signers.check` was asked: the token has been counted already.
        """
        try:
            return self.mirror.signers.find_signer_for(audience, at)
        except UnavailableError:
            return self.mirror.signers.find_signer_for(audience, self.mirror.postgres_clock.now)

    def _read_credential(
        self, shown: ApiKey | UnverifiedToken
    ) -> tuple[ApiKey | SubjectToken, tuple[str, ...] | None]:
        """Return the credential, and the audiences that it is restricted to, None if to none."""
        if isinstance(shown, ApiKey):
            return shown, self.restricted_keys.find(shown.digest)
        # No two questions about tokens are alike, so they name all facts at once. And a token
        # keeps its audience, so there is no list to choose from.
        return self._check_subject_token(shown), ()

    def _check_subject_token(self, unverified_token: UnverifiedToken) -> SubjectToken:
        """Return one of our live tokens that may be narrowed. Raises InvalidSubjectTokenError."""
        try:
            claims = check_own_token(
                unverified_token,
                self.mirror.signers.records,
                issuer=self.policy.issuer,
                now=self.mirror.postgres_clock.now.timestamp(),
            )
        except InvalidTokenError as error:
            raise refuse_credential("subject_token", error.reason) from error
        if claims.origin_jti is not None:
            raise refuse_credential("subject_token", "narrowed_already")
        return SubjectToken(claims, unverified_token.kid)

    async def _find_new_audience(self, name: str) -> Audience | None:
        """Return an audience that may have been added a moment ago, None if there is none."""
        await in_time(self.mirror.refresh_for_a_miss(), build_late_error(), seconds=_MISS)
        return self.mirror.audiences.get(name)


def _sign_token(claims: Claims, decision: Decision, key: SigningKey, typ: str) -> IssuedToken:
    payload = build_payload_text(claims, decision.verdict.claims)
    return IssuedToken(sign_jws_text(payload, typ=typ, key=key), claims, decision)


async def _wait(wait: timedelta, arrived_on: float) -> None:
    """Wait until a second without a watermark begins. Raises UnavailableError if that is too long.

    `arrived_on`: when the request came, by the monotonic clock.
    """
    if wait > _LONGEST_WAIT:
        raise UnavailableError(
            "the tokens of this key are revoked up to a moment that is still to come, "
            "because a clock was wrong; try again",
            reason="watermark_ahead",
            retry_after=min(60, int(wait.total_seconds()) + 1),
        )
    seconds = wait.total_seconds() + _JUST_AFTER
    if time.monotonic() + seconds > arrived_on + LONGEST_SECONDS:
        raise build_late_error()
    await asyncio.sleep(seconds)
