"""Verifying tokens that we have issued ourselves, against the keys in the database."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tokensvc.core.jwks import ALGORITHMS, parse_public_jwk
from tokensvc.core.verification import check_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.core.claims import Claims
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.token import UnverifiedToken


def check_own_token(
    unverified_token: UnverifiedToken,
    records: Iterable[SigningKeyRecord],
    issuer: str,
    now: float,
    *,
    leeway: float = 0,
) -> Claims:
    """Return the claims of one of our live tokens, whatever its audience. Raises InvalidTokenError.

    Our own clock judges our own tokens, so there is no leeway, unless what matters is whether somebody else may still accept it. A
    revoked signing key vouches for nothing.
    """
    record = next(
        (r for r in records if r.kid == unverified_token.kid and r.revoked_at is None), None
    )
    key = None if record is None else _open(tuple(record.public_jwk.items()))
    return check_token(
        unverified_token,
        key=key,
        algorithms=ALGORITHMS,
        issuer=issuer,
        audience=None,
        now=now,
        leeway=leeway,
    )


@functools.lru_cache(maxsize=64)  # opening one costs a third of verifying with it
def _open(public_jwk: tuple[tuple[str, str], ...]) -> VerifyingKey:
    return parse_public_jwk(dict(public_jwk))
