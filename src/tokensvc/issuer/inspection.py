"""What the database has to say about a token, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.jwks import ALGORITHMS, parse_public_jwk
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_token
from tokensvc.issuer.live_token import find_denying
from tokensvc.store.feed_head import list_heads
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from tokensvc.core.denylist import DenylistRow
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

State = Literal["live", "expired", "denied", "foreign", "invalid"]


@dataclass(frozen=True, slots=True)
class Inspected:
    """The state of a token; `reason` says more of "invalid", `denied_by` is the entry behind "denied", if it is still there."""

    state: State
    reason: str = ""
    denied_by: DenylistRow | None = None


async def inspect_token(database: Database, settings: Settings, text: str) -> Inspected:
    """Return the state of a token. Raises InvalidTokenError for what has not even the form of one, UnavailableError."""
    unverified_token = parse_unverified(text)
    async with database.connection() as connection:
        record = next(
            (r for r in await list_signing_keys(connection) if r.kid == unverified_token.kid), None
        )
        if record is None:
            return Inspected("foreign")
        _, now = await list_heads(connection)
        key = parse_public_jwk(record.public_jwk)
        try:
            claims = check_token(
                unverified_token,
                key=key,
                algorithms=ALGORITHMS,
                issuer=settings.issuer_url,
                audience=None,
                now=now.timestamp(),
                leeway=0,
            )
        except InvalidTokenError as error:
            return (
                Inspected("expired")
                if error.reason == "expired"
                else Inspected("invalid", error.reason)
            )
        denying = await find_denying(connection, claims, record.kid)
    is_denied = denying is not None or record.revoked_at is not None
    return Inspected("denied", denied_by=denying) if is_denied else Inspected("live")
