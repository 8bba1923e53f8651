"""What all adapters share: reading the token of a request, and building the response of a refusal.

The responses follow RFC 6750 section 3, with a problem document (RFC 9457). A token is read from
the header only, never from the query or a form (RFC 9700 section 4.3.2).

Not here: any framework.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tokensvc.core.api_key import looks_like_api_key
from tokensvc.core.authorization import parse_authorization, parse_bearer
from tokensvc.core.errors import (
    AuthorizationError,
    BearerError,
    InsufficientScopeError,
    MissingTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.claims import Claims

_PROBLEM: Final = "application/problem+json"

# Users set the level of this logger, so its name is public and does not follow the module's.
_log = logging.getLogger("tokensvc.verify.bearer")


class VerifiesTokens(Protocol):
    """What adapters need: a `Verifier` or a `ThreadedVerifier`."""

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token. Raises BearerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalResponse:
    """The HTTP response to a request that is refused."""

    status: int
    headers: dict[str, str]
    body: bytes


def authorize(
    verifier: VerifiesTokens, headers: Sequence[str], needed: Sequence[str] = ()
) -> Claims:
    """Return the claims of the token in the Authorization headers of a request.

    `headers`: the values of all headers of that name. `needed`: the capabilities that the token
    must have. Raises BearerError.
    """
    try:
        token = parse_bearer(headers)
    except MissingTokenError:
        key = find_api_key(headers)
        if key is not None:
            # The caller learns nothing new. The verifier tells its log, as of a key after Bearer.
            with suppress(BearerError, RuntimeError):
                verifier.verify(key)
        raise
    claims = verifier.verify(token)
    check_scope(claims, needed)
    return claims


def find_api_key(headers: Sequence[str]) -> str | None:
    """Return the API key in headers that show no token: in either part of Basic, or as it is."""
    try:
        shown = parse_authorization(headers)
    except AuthorizationError:  # another scheme, or none, or what Basic cannot be decoded from
        words = headers[0].split()[-1:]
    else:
        words = [] if shown is None else [shown.secret, shown.client_id or ""]
    return next(filter(looks_like_api_key, words), None)


def check_scope(claims: Claims, needed: Sequence[str]) -> None:
    """Raise InsufficientScopeError unless the token has all these capabilities."""
    if not claims.has(*needed):
        raise InsufficientScopeError(" ".join(needed))


def build_refusal_response(error: BearerError) -> RefusalResponse:
    """Return the response to a request that is refused because of `error`.

    It never says why a token was refused. Only the log does.
    """
    problem = {
        "type": f"urn:tokensvc:problem:{error.code}",
        "title": error.public_message,
        "status": error.status,
        "code": error.code,
    }
    return RefusalResponse(
        status=error.status,
        headers={**error.headers, "Content-Type": _PROBLEM},
        body=json.dumps(problem).encode("ascii"),
    )


def log_refusal(error: BearerError, method: str, path: str) -> None:
    """Log why a request is refused, without its token."""
    _log.info("a request was refused: %s %r: %s", method, path, error.reason)
