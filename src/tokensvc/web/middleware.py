"""Around every request: an id, one log line, and the error map."""

from __future__ import annotations

import asyncio
import functools
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from tokensvc.core.authorization import find_scheme
from tokensvc.core.errors import (
    InvalidClientError,
    InvalidSubjectTokenError,
    InvalidTokenError,
    TokensvcError,
    UnavailableError,
)
from tokensvc.issuer.identifier_stock import IdentifierStock
from tokensvc.issuer.metrics import REQUEST_SECONDS
from tokensvc.logs.logger import get_logger
from tokensvc.logs.masking import mask_secrets
from tokensvc.logs.request_line import NO_ANSWER, log_request
from tokensvc.traces.tracing import Tracing
from tokensvc.web.app_keys import (
    CHALLENGE,
    FACTS,
    IN_FLIGHT,
    REFUSALS,
    REQUEST_ID,
    SERVICE,
    TURNS,
)
from tokensvc.web.client_address import find_network
from tokensvc.web.problems import build_answer
from tokensvc.web.traced import answer_traced
from tokensvc.web.whole_answer import COMMON_FIELDS, WholeAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Handler
    from prometheus_client import Histogram

    from tokensvc.web.in_flight import InFlight
    from tokensvc.web.plain_request import PlainRequest

    AnyRequest = web.Request | PlainRequest
    Act = Callable[[Any, str, dict[str, object]], Awaitable[web.StreamResponse | WholeAnswer]]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# The refusals that do not say what is wrong with a credential.
_SILENT: Final = (InvalidClientError, InvalidSubjectTokenError, InvalidTokenError)
# The statuses that say: the client has to change something.
_REFUSALS: Final = range(400, 500)
_QUIET: Final = frozenset({"/livez", "/readyz"})

_log = get_logger(__name__)


def _new_request_ids() -> list[str]:
    # These are 64 ids of 16 digits each.
    text = secrets.token_hex(64 * 8)
    return [text[at : at + 16] for at in range(0, len(text), 16)]


_request_ids: Final = IdentifierStock(_new_request_ids)


def note(request: web.Request, **facts: object) -> None:
    """Add facts to the log line of this request: ids, reasons, counts, and never a secret."""
    request[FACTS].update(facts)


@web.middleware
async def handle_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into its answer, and write the one log line of the request."""
    around = Around(request.app[IN_FLIGHT], _find_route(request))
    return await around.answer(request, functools.partial(_handle, handler))


async def _handle(
    handler: Handler, request: web.Request, request_id: str, facts: dict[str, object]
) -> web.StreamResponse:
    request[FACTS] = facts
    request[REQUEST_ID] = request_id
    if request.method != "POST":  # what anybody may ask as often as they like
        await request.app[TURNS].take()
    return await handler(request)


class Around(NamedTuple):
    """What stands around the requests of one route, which is the path as it was registered."""

    in_flight: InFlight
    route: str

    def answer(self, request: AnyRequest, act: Act) -> Awaitable[web.StreamResponse]:
        """Return what `act` answers. Turn every error into its answer, and write the log line.

        `act` gets the request, its id, and a dict of facts for its log line.
        """
        if Tracing.tracer is None or self.route in _QUIET:
            return self._answer(request, act)
        return answer_traced(Tracing.tracer, self.route, self._answer, request, act)

    async def _answer(self, request: AnyRequest, act: Act) -> web.StreamResponse:
        asked_on = time.monotonic()
        given = request.headers.get("X-Request-Id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            request_id = mask_secrets(given)
        else:
            request_id = _request_ids.take()
        facts: dict[str, object] = {}
        # An answer of aiohttp's, or a WholeAnswer, which is all that aiohttp asks of one.
        response: Any
        held = None
        with self.in_flight:
            try:
                response = await act(request, request_id, facts)
            except asyncio.CancelledError:
                facts["reason"] = "cancelled"
                self._finish(request, request_id, NO_ANSWER, asked_on, facts)
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours must be answered too
                response, facts["reason"], held = _refuse(error, request, request_id, asked_on)
            # Now the error is gone, and with it all that was needed to judge the request: a flood
            # waits for thousands of refusals.
            if held is not None:
                try:
                    await held
                except UnavailableError as full:
                    response, facts["reason"] = _answer(full, request, request_id)
        if type(response) is WholeAnswer:
            response.request_id = request_id
        else:
            response.headers.update({"X-Request-Id": request_id, **COMMON_FIELDS})
        if self.in_flight.is_draining:
            response.force_close()
        self._finish(request, request_id, response.status, asked_on, facts)
        return response  # type: ignore[no-any-return]

    def _finish(
        self,
        request: AnyRequest,
        request_id: str,
        status: int,
        asked_on: float,
        facts: dict[str, object],
    ) -> None:
        """Write the log line of a request, and note how long it took."""
        route, seconds = self.route, time.monotonic() - asked_on
        _duration(route, status).observe(seconds)
        is_quiet = route in _QUIET
        log_request(request_id, request.method, route, status, seconds, facts, quiet=is_quiet)


def _refuse(
    error: Exception, request: AnyRequest, request_id: str, asked_on: float
) -> tuple[WholeAnswer, str, Awaitable[None] | None]:
    """Return the answer that an error becomes, the reason, and what must be over before it is sent.

    That is None if the answer may be sent at once.
    """
    # In this order, because nearly all errors are ours, and the second check is a slow one.
    if not isinstance(error, TokensvcError) and not isinstance(error, web.HTTPException):
        _log.exception("request_failed", request_id=request_id, exc_info=error)
    answer, reason = _answer(error, request, request_id)
    # The application that only says "starting" holds nothing back.
    if answer.status not in _REFUSALS or REFUSALS not in request.app:
        return answer, reason, None
    held = request.app[REFUSALS].hold(
        find_network(request, request.app[SERVICE].settings.trusted_proxy_hops),
        asked_on,
        is_silent=isinstance(error, _SILENT),
        is_late=isinstance(error, TokensvcError) and error.is_late,
    )
    return answer, reason, held


def _find_route(request: web.Request) -> str:
    """Return the path as it was registered, so that metrics and logs know only few paths."""
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else resource.canonical


@functools.cache  # routes and statuses are few
def _duration(route: str, status: int) -> Histogram:
    return REQUEST_SECONDS.labels(route, str(status))


def _answer(error: Exception, request: AnyRequest, request_id: str) -> tuple[WholeAnswer, str]:
    def find_challenge() -> str:
        tried = find_scheme(request.headers.getall("Authorization", []))
        return request.get(CHALLENGE) or tried

    return build_answer(
        error, path=request.path, request_id=request_id, find_challenge=find_challenge
    )
