"""What the issuer's answer to an exchange means (RFC 6749 sections 5.1 and 5.2, RFC 6585 section 4). Pure.

An answer that is neither a token nor a refusal of ours (a proxy's page, half a body) counts as the issuer being away.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tokensvc.client.errors import Failure
from tokensvc.client.plan import HeldToken, build_held_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.api_key import ApiKey

MAX_ANSWER_BYTES: Final = 64 * 1024

_OK, _UNAUTHORIZED, _TIMED_OUT, _TOO_MANY, _FAILED = 200, 401, 408, 429, 500
_FINAL_PAUSE: Final = 5.0  # seconds that a refusal is taken at its word
_AWAY_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 86_400.0
_LONGEST_LIFE: Final = 366 * 86_400
_TOKEN = re.compile(r"[!-~]{1,16384}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, with the moments of asking and receiving. Its body may hold a token."""

    status: int
    retry_after: str | None
    date: str | None
    body: bytes = field(repr=False)
    sent_on: float
    came_on: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Nothing usable came, and why."""

    trouble: str
    came_on: float


def judge(answer: Answer | NoAnswer, *, key: ApiKey, chance: float) -> HeldToken | Failure:
    """Return the token, or why there is none."""
    if isinstance(answer, NoAnswer):
        return Failure(
            kind="unavailable",
            message=f"the issuer cannot be reached: {answer.trouble}",
            until=answer.came_on + _AWAY_PAUSE,
        )
    body = _parse_object(answer.body)
    if answer.status == _OK:
        return _find_token(body, answer, chance) or _away(
            answer, "an answer without a usable token"
        )
    if answer.status == _UNAUTHORIZED:
        return Failure(
            kind="key_rejected",
            message="the API key is not accepted",
            until=answer.came_on + _FINAL_PAUSE,
            key=key,
        )
    if answer.status == _TOO_MANY:
        until = answer.came_on + (parse_retry_after(answer.retry_after, answer.date) or _AWAY_PAUSE)
        return Failure(
            kind="rate_limited", message=_describe(body, "over a limit of the issuer"), until=until
        )
    if answer.status >= _FAILED or answer.status == _TIMED_OUT:
        return _away(answer, str(answer.status))
    message = _describe(body, f"the issuer answered {answer.status}; is its URL right?")
    return Failure(
        kind="refused",
        message=message,
        until=answer.came_on + _FINAL_PAUSE,
        error=_clean(body.get("error")),
    )


def parse_retry_after(text: str | None, date: str | None) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110 section 10.2.3), a day at most; None if it says nothing.

    A moment counts from the answer's own Date, because this machine's wall clock may be wrong.
    """
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return min(float(text), _LONGEST_PAUSE)
    try:
        seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(date or "")).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


def _find_token(body: Mapping[str, object], answer: Answer, chance: float) -> HeldToken | None:
    text, kind, life = body.get("access_token"), body.get("token_type"), body.get("expires_in")
    if (
        not isinstance(text, str)
        or not _TOKEN.fullmatch(text)
        or not isinstance(kind, str)
        or kind.lower() != "bearer"
    ):
        return None
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life <= _LONGEST_LIFE:
        return None
    return build_held_token(text, expires_in=life, sent_on=answer.sent_on, chance=chance)


def _away(answer: Answer, what: str) -> Failure:
    pause = parse_retry_after(answer.retry_after, answer.date) or _AWAY_PAUSE
    return Failure(
        kind="unavailable",
        message=f"the issuer is away: it sent {what}",
        until=answer.came_on + pause,
    )


def _parse_object(body: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _describe(body: Mapping[str, object], otherwise: str) -> str:
    return _clean(body.get("error_description")) or _clean(body.get("error")) or otherwise


def _clean(value: object) -> str:
    """Return a text of the issuer's as it may stand in a log line."""
    return _UNPRINTABLE.sub("?", value)[:200] if isinstance(value, str) else ""
