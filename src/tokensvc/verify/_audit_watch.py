"""A follower as a witness of the issuer's audit trail: it compares, asks, and warns once.

It asks for what the pages do not repeat, in a task of its own, so that no revocation waits for it.
Not here: what contradicts what (`core/audit_witness.py`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.audit_claim import parse_claim
from tokensvc.core.audit_witness import AuditHeadStatus, Witness
from tokensvc.core.denylist.page import PAGE_AUDIENCE
from tokensvc.core.denylist.revocation import check_moment
from tokensvc.core.errors import InvalidPageError, InvalidRequestError, InvalidTokenError
from tokensvc.core.token import AUDIT_HEAD, parse_unverified
from tokensvc.verify._backoff import new_backoff, renew
from tokensvc.verify._fetch import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.audit_claim import AuditClaim
    from tokensvc.verify._clock import Clock
    from tokensvc.verify._fetch import Fetches
    from tokensvc.verify._page_signature import PageSignatures

_PAUSE: Final = 1.0  # seconds between two questions
# Nothing becomes stale without an answer, so a silent issuer is asked ever more rarely.
_LONGEST_BACKOFF: Final = 60.0

_log = logging.getLogger(__name__)


class AnswerRules(NamedTuple):
    """Whose answers count. `leeway`: seconds by which the clocks may differ."""

    signatures: PageSignatures
    issuer: str
    leeway: float


class AuditWatch:
    """Keeps the witness of one issuer. `on_problem` is called once with what does not fit.

    `url`: where questions are answered.
    """

    def __init__(
        self,
        fetcher: Fetches,
        url: str,
        clock: Clock,
        rules: AnswerRules,
        on_problem: Callable[[str], None] | None,
    ) -> None:
        self._fetcher = fetcher
        self._url = url
        self._clock = clock
        self._rules = rules
        self._on_problem = on_problem
        self._told_on = float("-inf")
        self._doubts = asyncio.Event()
        self.witness = Witness()

    def status(self) -> AuditHeadStatus | None:
        """Return what is known of the trail, None before the issuer has said anything."""
        witness = self.witness
        if witness.head is None:
            return None
        return AuditHeadStatus(
            number=witness.head.number,
            hash=witness.head.hash.hex(),
            epoch=witness.head.epoch,
            age=self._clock.monotonic() - self._told_on,
            problem=witness.problem,
            resets=tuple(witness.resets),
        )

    def enter_loop(self) -> None:
        """Get ready to run in the present event loop. It may differ from the one before."""
        # Questions outlive a close, and are asked in the new loop.
        self._doubts = renew(self._doubts)
        if self.witness.questions:
            self._doubts.set()

    def take(self, claim: AuditClaim | None, issued_at: int) -> None:
        """Compare what a page says, if it says anything."""
        if claim is not None:
            self._compare(claim, issued_at, asked=None)

    def take_answer(self, text: str, asked: int) -> None:
        """Compare the answer to a question. Raises InvalidTokenError, InvalidPageError."""
        payload = self._rules.signatures.check(parse_unverified(text), typ=AUDIT_HEAD)
        now = self._clock.wall()
        try:
            issued_at, expires_at = check_moment(payload["iat"]), check_moment(payload["exp"])
            is_ours = (payload["iss"], payload["aud"]) == (self._rules.issuer, PAGE_AUDIENCE)
            claim = parse_claim(payload["audit"])
        except (KeyError, TypeError, ValueError, InvalidRequestError) as error:
            raise InvalidPageError(
                "the answer about the audit trail is malformed", reason="malformed_answer"
            ) from error
        is_current = issued_at - self._rules.leeway <= now < expires_at + self._rules.leeway
        if not is_ours or not is_current:
            raise InvalidPageError(
                "the answer about the audit trail is old, or of another issuer",
                reason="answer_refused",
            )
        self._compare(claim, issued_at, asked=asked)

    async def run(self) -> None:
        """Ask for what is in doubt, until cancelled."""
        failures = 0
        while True:
            await self._doubts.wait()
            failures = 0 if await self.ask_once() else failures + 1
            await asyncio.sleep(
                new_backoff(failures, longest=_LONGEST_BACKOFF) if failures else _PAUSE
            )

    async def ask_once(self) -> bool:
        """Ask the oldest question, if there is one. Return False if there was no good answer."""
        if not self.witness.questions:
            self._doubts.clear()
            return True
        # It stays on the list until an answer has taken it off.
        asked = self.witness.questions[0]
        try:
            self.take_answer(await self._fetcher.fetch_audit_head(self._url, asked), asked)
        except (FetchError, InvalidTokenError, InvalidPageError) as error:
            _log.debug("the issuer did not say what its audit trail holds: %s", error)
            return False
        return True

    def _compare(self, claim: AuditClaim, issued_at: int, *, asked: int | None) -> None:
        self._told_on = self._clock.monotonic()
        resets = len(self.witness.resets)
        problem = self.witness.compare(claim, issued_at, asked=asked)
        if len(self.witness.resets) > resets:
            _log.warning("a reset of the issuer's audit trail was declared")
        if self.witness.questions:
            self._doubts.set()
        if problem is not None:
            self._warn(problem)

    def _warn(self, problem: str) -> None:
        _log.error("the issuer's audit trail was changed: %s", problem)
        if self._on_problem is None:
            return
        try:
            self._on_problem(problem)
        except Exception:  # noqa: BLE001 - it is the user's, and the follower must go on
            _log.exception("on_audit_problem failed")
