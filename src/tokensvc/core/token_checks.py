"""The checks of a verifier, each by itself, for people who want to know why a token is refused.

`verification` stops at the first check that fails. Here all are made, and nothing is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.claims import FAR, check_claims, check_validity
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import ACCESS_TOKEN, PLAIN_TOKEN, check_signature, parse_unverified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.core.token import UnverifiedToken

CheckName = Literal[
    "header", "type", "algorithm", "signing_key", "signature", "issuer", "audience", "claims",
    "time", "revocation",
]  # fmt: skip
CheckState = Literal["passed", "failed", "skipped"]

_MOST_SHOWN: Final = 200
# A leeway with which every moment passes, for the check of all else.
_ANY_TIME: Final = 2**60  # seconds


class TokenCheck(NamedTuple):
    """One check, and what it has found, as a sentence. `skipped`: another one had to pass first."""

    name: CheckName
    state: CheckState
    detail: str


def list_checks(
    text: str, payload: Mapping[str, Any], *, key: VerifyingKey | None, issuer: str, now: float
) -> list[TokenCheck]:
    """Return all checks of a token except that of its revocation, in the order of a verifier.

    `payload`: what the token says, unproved. `key`: the one that its `kid` names, None if there is
    none. `now`: seconds.
    """
    return [*_check_header(text, key), *_check_payload(payload, issuer, now)]


def _check_header(text: str, key: VerifyingKey | None) -> Iterator[TokenCheck]:
    try:
        unverified_token = parse_unverified(text)
    except InvalidTokenError as error:
        extension = error.reason == "unknown_critical_header"
        lacks = "It does not name a type, an algorithm and a kid as our tokens do."
        yield TokenCheck(
            "header", "failed", "It names an extension, which we never use." if extension else lacks
        )
        yield TokenCheck("signature", "skipped", "No key can be chosen by such a header.")
        return
    yield TokenCheck("header", "passed", "It names a type, an algorithm and a kid.")
    yield _judge_type(unverified_token)
    yield _judge_algorithm(unverified_token, key)
    if key is None:
        unknown = "We have no signing key with this kid, so anybody can have written the token."
        yield TokenCheck("signing_key", "failed", unknown)
        yield TokenCheck("signature", "skipped", "There is no key to check it with.")
        return
    yield TokenCheck("signing_key", "passed", "The kid is that of a signing key of ours.")
    yield _judge_signature(unverified_token, key)


def _judge_type(token: UnverifiedToken) -> TokenCheck:
    if token.typ in ACCESS_TOKEN:
        return TokenCheck("type", "passed", f"It is {token.typ}.")
    if token.typ in PLAIN_TOKEN:
        plain = "It is JWT. Only verifiers that were told so accept it."
        return TokenCheck("type", "passed", plain)
    return TokenCheck("type", "failed", f"It is {_show(token.typ)}, and must be {ACCESS_TOKEN[0]}.")


def _judge_algorithm(token: UnverifiedToken, key: VerifyingKey | None) -> TokenCheck:
    if token.alg not in ALGORITHMS:
        detail = f"It is {_show(token.alg)}, and must be one of {', '.join(ALGORITHMS)}."
        return TokenCheck("algorithm", "failed", detail)
    if key is not None and key.alg != token.alg:
        detail = f"It is {token.alg}, and the signing key is for {key.alg}."
        return TokenCheck("algorithm", "failed", detail)
    return TokenCheck("algorithm", "passed", f"It is {token.alg}.")


def _judge_signature(token: UnverifiedToken, key: VerifyingKey) -> TokenCheck:
    if token.alg != key.alg:
        return TokenCheck("signature", "skipped", "The algorithm is not that of the signing key.")
    try:
        check_signature(token, typ=(token.typ,), algorithms=(key.alg,), key=key)
    except InvalidTokenError:
        changed = "The signing key has not signed this: it was changed, or made up."
        return TokenCheck("signature", "failed", changed)
    return TokenCheck("signature", "passed", "The signing key has signed exactly this.")


def _check_payload(payload: Mapping[str, Any], issuer: str, now: float) -> Iterator[TokenCheck]:
    said, audience = payload.get("iss"), payload.get("aud")
    if said == issuer:
        yield TokenCheck("issuer", "passed", "It names this service.")
    else:
        named = "no issuer" if said is None else _show(said)
        detail = f"It names {named}, and this service is {issuer}."
        yield TokenCheck("issuer", "failed", detail)
    if isinstance(audience, str) and audience:
        detail = f"Only verifiers for {_show(audience)} accept it."
        yield TokenCheck("audience", "passed", detail)
    else:
        detail = "It names none." if audience is None else "It must be one name, and not a list."
        yield TokenCheck("audience", "failed", detail)
    yield _judge_claims(payload, issuer)
    yield _judge_time(payload, now)


def _judge_claims(payload: Mapping[str, Any], issuer: str) -> TokenCheck:
    try:
        # Issuer and time have checks of their own.
        ours = {**payload, "iss": issuer}
        check_claims(ours, issuer=issuer, audiences=None, now=0, leeway=_ANY_TIME)
    except InvalidTokenError as error:
        name = error.reason.removeprefix("bad_claim_")
        if name == error.reason:
            return TokenCheck("claims", "failed", "It is bound to a key (cnf), which we never do.")
        return TokenCheck("claims", "failed", f"{name} is missing, or not as we write it.")
    return TokenCheck("claims", "passed", "It says all that our tokens say.")


def _judge_time(payload: Mapping[str, Any], now: float) -> TokenCheck:
    issued, expires = _find_moment(payload.get("iat", 0)), _find_moment(payload.get("exp"))
    begins = _find_moment(payload.get("nbf", issued))
    if issued is None or expires is None or begins is None:
        return TokenCheck("time", "skipped", "It does not say when it begins and ends.")
    try:
        check_validity(iat=issued, exp=expires, not_before=begins, now=now, leeway=0)
    except InvalidTokenError as error:
        if error.reason == "expired":
            return TokenCheck("time", "failed", f"It expired {_span(now - expires)} ago.")
        ahead = max(issued, begins) - now
        return TokenCheck("time", "failed", f"It begins only in {_span(ahead)}.")
    return TokenCheck("time", "passed", f"It expires in {_span(expires - now)}.")


def _find_moment(value: object) -> int | None:
    """Return whole seconds since 1970, None for what is no moment."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) < FAR else None


def _span(seconds: float) -> str:
    return f"{max(0, round(seconds)):,} s"


def _show(value: object) -> str:
    """Return a value that anybody can have written, cut off."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text[:_MOST_SHOWN]) if isinstance(value, str) else text[:_MOST_SHOWN]
