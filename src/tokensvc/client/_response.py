"""What the issuer's response to an exchange means. Pure.

RFC 6749 sections 5.1 and 5.2, RFC 6585 section 4. A response that is neither a token nor a refusal
(the page of a proxy, half a body) is treated as if the issuer were unavailable.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tokensvc.client._failure import Failure
from tokensvc.client._plan import HeldToken, build_held_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.api_key import ApiKey

MAX_BODY_BYTES: Final = 64 * 1024

_OK, _UNAUTHORIZED, _TIMED_OUT, _TOO_MANY, _FAILED = 200, 401, 408, 429, 500
_REFUSED_PAUSE: Final = 5.0  # seconds in which a refusal is not questioned again
_UNAVAILABLE_PAUSE: Final = 1.0  # seconds, if the response does not say when to ask again
# A longer pause is cut to a day, and a longer life is taken for a mistake.
_LONGEST_PAUSE: Final = 86_400.0
_LONGEST_LIFE: Final = 366 * 86_400
_TOKEN: Final = re.compile(r"[!-~]{1,16384}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE: Final = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeResponse:
    """A response of the token endpoint, and when the request was sent and the response came.

    The body may hold a token, so `repr` does not show it.
    """

    status: int
    retry_after: str | None
    date: str | None
    body: bytes = field(repr=False)
    sent_on: float
    came_on: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoResponse:
    """No usable response came; `trouble` says why."""

    trouble: str
    came_on: float


def judge(
    response: ExchangeResponse | NoResponse, *, key: ApiKey, chance: float
) -> HeldToken | Failure:
    """Return the token of this response, or why there is none.

    `key` is the API key that was sent, `chance` a random number from 0 to 1.
    """
    if isinstance(response, NoResponse):
        return Failure(
            kind="unavailable",
            message=f"the issuer cannot be reached: {response.trouble}",
            until=response.came_on + _UNAVAILABLE_PAUSE,
        )
    body = parse_object(response.body)
    if response.status == _OK:
        token = _find_token(body, response, chance)
        return token or _build_unavailable(response, "a response without a usable token")
    if response.status == _TIMED_OUT or response.status >= _FAILED:
        return _build_unavailable(response, str(response.status))
    return _judge_refusal(response, body, key)


def parse_retry_after(text: str | None, date: str | None) -> float | None:
    """Return the seconds that Retry-After asks for, one day at most; None if it says nothing.

    RFC 9110 section 10.2.3. A date in Retry-After is compared with the Date header of the same
    response, because the wall clock of this machine may be wrong.
    """
    if text is None:
        return None
    seconds_text = text.strip()
    if _SECONDS.fullmatch(seconds_text):
        return min(float(seconds_text), _LONGEST_PAUSE)
    try:
        seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(date or "")).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


def _judge_refusal(response: ExchangeResponse, body: Mapping[str, object], key: ApiKey) -> Failure:
    if response.status == _UNAUTHORIZED:
        return Failure(
            kind="key_rejected",
            message="the API key is not accepted",
            until=response.came_on + _REFUSED_PAUSE,
            key=key,
        )
    if response.status == _TOO_MANY:
        return Failure(
            kind="rate_limited",
            message=_describe(body, "a limit of the issuer is used up"),
            until=_find_next_moment(response),
        )
    return Failure(
        kind="refused",
        message=_describe(body, f"the issuer answered {response.status}; is its URL right?"),
        until=response.came_on + _REFUSED_PAUSE,
        error=_clean(body.get("error")),
    )


def _build_unavailable(response: ExchangeResponse, what: str) -> Failure:
    return Failure(
        kind="unavailable",
        message=f"the issuer is unavailable: it sent {what}",
        until=_find_next_moment(response),
    )


def _find_next_moment(response: ExchangeResponse) -> float:
    """Return when the issuer may be asked again."""
    pause = parse_retry_after(response.retry_after, response.date)
    # A pause of 0 s would have callers ask without end.
    return response.came_on + (pause or _UNAVAILABLE_PAUSE)


def _find_token(
    body: Mapping[str, object], response: ExchangeResponse, chance: float
) -> HeldToken | None:
    text, kind, life = body.get("access_token"), body.get("token_type"), body.get("expires_in")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        return None
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return None
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life <= _LONGEST_LIFE:
        return None
    return build_held_token(text, expires_in=life, sent_on=response.sent_on, chance=chance)


def parse_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a body, an empty one if it holds none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _describe(body: Mapping[str, object], otherwise: str) -> str:
    return _clean(body.get("error_description")) or _clean(body.get("error")) or otherwise


def _clean(value: object) -> str:
    """Return a text of the issuer in a form that is safe in one line of a log."""
    return _UNPRINTABLE.sub("?", value)[:200] if isinstance(value, str) else ""
