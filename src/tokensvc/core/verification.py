"""The offline check of a token but for revocation: form, type, algorithm, signature, claims."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.audience import OWN_AUDIENCES
from tokensvc.core.claims import check_claims
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.jwks import parse_public_jwk
from tokensvc.core.token import ACCESS_TOKEN, PLAIN_TOKEN, check_signature

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tokensvc.core.claims import Claims
    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.token import UnverifiedToken


# The types of the tokens that we sign for a holder to be let in by them.
OWN_TOKEN: Final = (*ACCESS_TOKEN, *PLAIN_TOKEN)


def check_token(
    unverified_token: UnverifiedToken,
    *,
    key: VerifyingKey | None,
    algorithms: Collection[str],
    issuer: str,
    audiences: frozenset[str] | None,
    now: float,
    leeway: float,
    typ: Collection[str] = ACCESS_TOKEN,
) -> Claims:
    """Return the claims of a token. Raises InvalidTokenError.

    `typ`: the types that are accepted, in small letters. `key` is the one that the token's `kid`
    names, None if there is none. `audiences` None accepts a token for any audience; only the issuer
    itself may do that. `now` and `leeway` are seconds. Whether the token has been revoked, the
    denylist says.
    """
    payload = check_signature(unverified_token, typ=typ, algorithms=algorithms, key=key)
    return check_claims(payload, issuer=issuer, audiences=audiences, now=now, leeway=leeway)


def check_own_token(
    unverified_token: UnverifiedToken,
    signing_keys: Iterable[SigningKeyRecord],
    *,
    issuer: str,
    now: float,
    leeway: float = 0,
) -> Claims:
    """Return the claims of a token that we have issued, whatever its audience.

    `now` and `leeway` are seconds. Our own clock judges our own tokens, so there is no leeway,
    unless it matters whether somebody else may still accept the token. What a revoked signing key
    has signed is not accepted. Raises InvalidTokenError.
    """
    kid = unverified_token.kid
    record = next((r for r in signing_keys if r.kid == kid and r.revoked_at is None), None)
    key = None if record is None else find_public_key(record)
    if record is None or key is None:
        # It raises: without a key no signature is right. But what is wrong with the header comes
        # first.
        payload = check_signature(unverified_token, typ=OWN_TOKEN, algorithms=ALGORITHMS, key=None)
    else:
        payload = _check_own_signature(unverified_token, tuple(record.public_jwk.items()))
    claims = check_claims(payload, issuer=issuer, audiences=None, now=now, leeway=leeway)
    # The service's own audiences always have the other type: nothing that lets somebody in here may
    # be taken for another JWT.
    if unverified_token.typ in PLAIN_TOKEN and claims.aud in OWN_AUDIENCES:
        raise InvalidTokenError("wrong_type")
    return claims


# One token is often shown many times, and to check its signature costs as much as to sign another
# token. Only what is right is remembered, and all else about the token is judged every time.
@functools.lru_cache(maxsize=1024)
def _check_own_signature(
    unverified_token: UnverifiedToken, public_jwk: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    """Return the payload of a token that the key `public_jwk` has signed."""
    return check_signature(
        unverified_token,
        typ=OWN_TOKEN,
        algorithms=ALGORITHMS,
        key=_open(unverified_token.kid, public_jwk),
    )


def find_public_key(record: SigningKeyRecord) -> VerifyingKey | None:
    """Return the public key of a row, None if it is not the key that the row's `kid` names."""
    try:
        return _open(record.kid, tuple(record.public_jwk.items()))
    except (AttributeError, TypeError):  # a column of JSON may hold anything
        return None


@functools.lru_cache(maxsize=64)  # opening a key costs a third of verifying with it
def _open(kid: Kid, public_jwk: tuple[tuple[str, str], ...]) -> VerifyingKey | None:
    try:
        key = parse_public_jwk(dict(public_jwk))
    except ValueError:
        return None
    return key if key.kid == kid else None
