"""`POST /v1/token`: the exchange (RFC 6749, RFC 8693)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import RateLimitedError, TokensvcError
from tokensvc.core.limit import DAY, MINUTE, seconds_left
from tokensvc.core.usage import ISSUED
from tokensvc.issuer.metrics import EXCHANGES, RATE_LIMITED
from tokensvc.web.app_keys import FACTS, SERVICE
from tokensvc.web.client_address import find_client_place
from tokensvc.web.client_authentication import read_client
from tokensvc.web.forms import parse_form, read_form
from tokensvc.web.limit_headers import write_policy, write_rest
from tokensvc.web.plain_request import PlainRequest
from tokensvc.web.problems import JSON, NO_STORE
from tokensvc.web.token_request import ACCESS_TOKEN_TYPE, parse_token_request
from tokensvc.web.whole_answer import WholeAnswer, write_fields

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client import Counter

    from tokensvc.core.exchange import ShownAs
    from tokensvc.core.ledger import Decision
    from tokensvc.issuer.exchange.issuing import IssuedToken
    from tokensvc.issuer.service import Service

_ISSUED: Final = EXCHANGES.labels(ISSUED)


@functools.cache  # the ways to end are few
def _ended(outcome: str) -> Counter:
    return EXCHANGES.labels(outcome)


@functools.cache  # and so are the limits
def _limited(policy: str) -> Counter:
    return RATE_LIMITED.labels(policy)


async def post_token(request: web.Request) -> web.StreamResponse:
    """Exchange a credential for a token."""
    answer: Any = await exchange(request, request.app[SERVICE], request[FACTS])
    return answer  # type: ignore[no-any-return]  # a WholeAnswer is all that aiohttp asks for


async def exchange(
    request: web.Request | PlainRequest, service: Service, facts: dict[str, object]
) -> WholeAnswer:
    """As `post_token`; `facts` for the log line of the request are added."""
    try:
        answer = await _exchange(request, service, facts)
    except RateLimitedError as error:
        _limited(error.policy).inc()
        _ended(error.reason).inc()
        raise
    except TokensvcError as error:
        _ended(error.reason).inc()
        raise
    _ISSUED.inc()
    return answer


async def _exchange(
    request: web.Request | PlainRequest, service: Service, facts: dict[str, object]
) -> WholeAnswer:
    if isinstance(request, PlainRequest):
        form = parse_form(request.body) if request.body else {}
    else:
        form = await read_form(request)
    client = read_client(request, form)
    wanted = parse_token_request(form, client, prefix=service.settings.key_prefix)
    place = find_client_place(request, service.settings.trusted_proxy_hops)
    issued = await service.exchange.issue(wanted, place.network, place.address)
    claims = issued.claims
    facts["key_id"], facts["jti"], facts["aud"] = claims.client_id, claims.jti, claims.aud
    return WholeAnswer(_build_body(issued, wanted.shown_as), _write_fields(issued.decision))


def _write_fields(decision: Decision) -> str:
    """Return the fields of the answer, with those that tell limits.

    They tell the two limits of the key, and what is left of the tighter one. The account's limits
    are named only in a refusal, because they would tell one key what the others use.
    """
    quota, at, ahead = decision.verdict.quota, decision.verdict.at, decision.verdict.ahead
    unspent = decision.unspent
    # The quota is what the whole batch has left. For this request, those behind it in the batch had
    # not taken theirs yet.
    minute, day = quota.key_minute_left + unspent, quota.key_day_left + unspent
    name, left, window = ("key-minute", minute, MINUTE) if minute <= day else ("key-day", day, DAY)
    # If Postgres's clock was set back, the window that counts began later than it says now.
    inside = None if ahead is None else max(at, ahead[0 if window == MINUTE else 1])
    return (
        f"{_write_constant_fields(quota.key_per_minute, quota.key_per_day)}"
        f"RateLimit: {write_rest(name, left, seconds_left(window, at, inside=inside))}\r\n"
    )


@functools.lru_cache(maxsize=1024)
def _write_constant_fields(per_minute: int, per_day: int) -> str:
    policies = write_policy("key-minute", per_minute, MINUTE), write_policy("key-day", per_day, DAY)
    return write_fields({"Content-Type": JSON, **NO_STORE, "RateLimit-Policy": ", ".join(policies)})


def _build_body(issued: IssuedToken, shown_as: ShownAs) -> bytes:
    """Return the answer of RFC 6749 section 5.1, and for a subject token of RFC 8693 section 2.2.1.

    Neither a token nor a capability can hold a character that JSON would have to escape.
    """
    claims, scope = issued.claims, " ".join(issued.claims.scope)
    kind = f', "issued_token_type": "{ACCESS_TOKEN_TYPE}"' if shown_as == "subject_token" else ""
    return (
        f'{{"access_token": "{issued.text}", "token_type": "Bearer", '
        f'"expires_in": {claims.exp - claims.iat}, "scope": "{scope}"{kind}}}'
    ).encode("ascii")
