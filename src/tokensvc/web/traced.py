"""A request that is traced: its span stands around all that is done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.logs.request_line import METHODS, NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.traces.tracer import Tracer

_OTHER: Final = "_OTHER"  # what OpenTelemetry calls a method that is text of the client


async def answer_traced(
    tracer: Tracer,
    route: str,
    answer: Callable[[Any, Any], Awaitable[Any]],
    request: Any,  # noqa: ANN401 - a web.Request or a PlainRequest
    act: Callable[[Any, str, dict[str, object]], Awaitable[Any]],
) -> Any:  # noqa: ANN401 - a web.StreamResponse or a WholeAnswer
    """Return what `answer` makes of a request and `act`, within a span."""
    noted: dict[str, object] = {}

    def act_traced(
        request: Any,  # noqa: ANN401 - as above
        request_id: str,
        facts: dict[str, object],
    ) -> Awaitable[Any]:
        nonlocal noted
        noted = facts
        facts["traceparent"] = tracer.find_traceparent()
        return act(request, request_id, facts)

    method = request.method if request.method in METHODS else _OTHER
    with tracer.trace_request(request.headers, method, route) as span:
        status = NO_ANSWER
        try:
            response = await answer(request, act_traced)
            status = response.status
        finally:
            tracer.end_request(span, status, noted)
        return response
