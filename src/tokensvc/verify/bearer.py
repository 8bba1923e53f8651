"""What all adapters share: reading the Authorization header, and the answers of RFC 6750 section 3 with a problem document (RFC 9457).

A token is taken from the header alone, never from the query or a form (RFC 9700 section 4.3.2). Not here: any framework.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tokensvc.core.authorization import parse_bearer
from tokensvc.core.errors import InsufficientScopeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.claims import Claims
    from tokensvc.core.errors import BearerError

PROBLEM: Final = "application/problem+json"

_log = logging.getLogger(__name__)


class VerifiesTokens(Protocol):
    """What adapters need of a `Verifier` or `ThreadedVerifier`."""

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token. Raises BearerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A refusal, ready to be sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def authorize(
    verifier: VerifiesTokens, headers: Sequence[str], needed: Sequence[str] = ()
) -> Claims:
    """Return the claims of whoever sent these Authorization headers, if they carry all capabilities that are needed. Raises BearerError."""
    claims = verifier.verify(read_bearer(headers))
    check_scope(claims, needed)
    return claims


def read_bearer(headers: Sequence[str]) -> str:
    """Return the token of the Authorization headers. Raises MissingTokenError, MalformedAuthorizationError."""
    return parse_bearer(headers)


def check_scope(claims: Claims, needed: Sequence[str]) -> None:
    """Raise InsufficientScopeError unless the token carries all these capabilities."""
    if not claims.has(*needed):
        raise InsufficientScopeError(" ".join(needed))


def build_problem(error: BearerError) -> dict[str, str | int]:
    """Return the problem document of a refusal. It never says why a token was refused; the log does."""
    return {
        "type": f"urn:tokensvc:problem:{error.code}",
        "title": error.public_message,
        "status": error.status,
        "code": error.code,
    }


def build_answer(error: BearerError) -> Answer:
    """Return the whole answer to a request that is refused."""
    return Answer(
        status=error.status,
        headers={**error.headers, "Content-Type": PROBLEM},
        body=json.dumps(build_problem(error)).encode("ascii"),
    )


def log_refusal(error: BearerError, method: str, path: str) -> None:
    """Note why a request is refused, without its token."""
    _log.info("request refused: %s %r: %s", method, path, error.reason)
