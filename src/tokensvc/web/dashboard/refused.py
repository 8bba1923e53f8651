"""What a refusal looks like to a person: a page that says what happened and what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import OutcomeUnknownError, TokensvcError
from tokensvc.logs.masking import mask_secrets
from tokensvc.operations.problem import TITLES
from tokensvc.web.app_keys import REQUEST_ID
from tokensvc.web.dashboard.page import View
from tokensvc.web.problems import judge_error

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_HEADLINES: Final = {
    "not_found": "There is nothing here",
    "temporarily_unavailable": "Postgres does not answer",
    "insufficient_scope": "Your key does not allow this",
}
# The reasons of what is not possible right now although Postgres answers.
_FULL: Final = frozenset({"late_answers_full", "ledger_full", "revocations_full", "slow_lane_full"})


def find_status(error: Exception) -> int:
    """Return the status of the answer that an error becomes."""
    return judge_error(error)[0]


def find_retry(error: Exception | None) -> dict[str, str]:
    """Return the header that says when to try again, if the error tells when."""
    found = {} if error is None else judge_error(error)[3]
    return {name: found[name] for name in ("Retry-After",) if name in found}


def build_refusal(visit: Visit, error: Exception) -> View:
    """Return the page for an error."""
    status, code, message, _ = judge_error(error)
    message = mask_secrets(message)
    is_full = isinstance(error, TokensvcError) and error.reason in _FULL
    headline = "Too much is asked at once" if is_full else _HEADLINES.get(code, TITLES.get(code))
    return View(
        {
            "status": status,
            "reason": HTTPStatus(status).phrase.lower(),
            "code": code,
            "headline": headline or "This did not work",
            "message": message[:1].upper() + message[1:],
            "is_away": code == "temporarily_unavailable" and not is_full,
            "is_unknown": isinstance(error, OutcomeUnknownError),
            "needs": getattr(error, "one_of", ()) if isinstance(error, TokensvcError) else (),
            "request_id": visit.request[REQUEST_ID],
        },
        status=status,
        template="refused.html",
    )
