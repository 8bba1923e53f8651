"""All of the offline check but revocation, in one call: form, type, algorithm, signature, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.claims import check_claims
from tokensvc.core.token import ACCESS_TOKEN, check_signature

if TYPE_CHECKING:
    from collections.abc import Collection

    from tokensvc.core.claims import Claims
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.core.token import UnverifiedToken


def check_token(
    unverified_token: UnverifiedToken,
    *,
    key: VerifyingKey | None,
    algorithms: Collection[str],
    issuer: str,
    audience: str | None,
    now: float,
    leeway: float,
) -> Claims:
    """Return the claims of a token that `key` (the one that its kid names, if any) has signed. Raises InvalidTokenError.

    `audience` None takes a token for anybody: only for the issuer itself. `now`, `leeway`: seconds. Whether the token has been revoked
    is the denylist's to say.
    """
    payload = check_signature(unverified_token, typ=ACCESS_TOKEN, algorithms=algorithms, key=key)
    return check_claims(payload, issuer=issuer, audience=audience, now=now, leeway=leeway)
