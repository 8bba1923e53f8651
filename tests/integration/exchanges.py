"""Many exchanges at once, and what the ledger has counted of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.ledger import Expectation
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.exchange.issuing import IssuedToken

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.issuer.exchange.issuing import Exchange

COUNTS = "select minute_count, day_count from api_key_window where key_id = $1"
ACCOUNT_COUNTS = "select minute_count, day_count from account_window where account_id = $1"


def expect_anything() -> Expectation:
    """Let the ledger judge by whatever clock and denylist the database has."""
    return Expectation(None, None)


async def ask(
    exchange: Exchange, shown: NewKey | IssuedToken, number: int = 1, **wanted: Any
) -> tuple[list[Claims], list[Any]]:
    """Ask so many times at once, with a key or a token; return (claims, refusals)."""
    if isinstance(shown, IssuedToken):
        request = narrow(shown, **wanted)
    else:
        request = ExchangeRequest(credential=shown.key, **wanted)
    results = await asyncio.gather(
        *(exchange.issue(request, "test") for _ in range(number)), return_exceptions=True
    )
    claims = [result.claims for result in results if not isinstance(result, BaseException)]
    return claims, [result for result in results if isinstance(result, BaseException)]


def narrow(issued: IssuedToken, **wanted: Any) -> ExchangeRequest:
    """Build the request for a narrower token."""
    token = parse_unverified(issued.text)
    return ExchangeRequest(credential=token, shown_as="subject_token", **wanted)


async def read_counts(connection: Any, key: NewKey) -> tuple[int, int]:
    """Return what is counted of a key: (in this minute, on this day)."""
    minute, day = await connection.fetchrow(COUNTS, key.listed.record.id)
    return minute, day
