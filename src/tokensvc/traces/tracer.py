"""The spans of requests, of the ledger's batches, and of the statements that Postgres carries out.

A batch answers many requests, and no trace can have many parents. So its span belongs to the trace
of the first of its requests, and has a link to each of them; and each of them has a link to it.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tokensvc import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from asyncpg.connection import LoggedQuery

# As many as a batch may have requests.
_MOST_LINKS: Final = 256
_CLOSE_SECONDS: Final = 2.0
_FAULTS: Final = 500  # from this status on, it was not the client's fault

_FIRST_WORD: Final = re.compile(r"(?:\s|--.*\n)*(\w+)", re.ASCII)
_NO_TRACE: Final = Context()
_propagator: Final = TraceContextTextMapPropagator()

_T = TypeVar("_T")

RequestSpan: TypeAlias = Span


class Tracer:
    """Makes the spans of one process. `provider` decides what is sampled, and where it is sent."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tokensvc", __version__)

    def close(self) -> None:
        """Send what has not been sent, unless that takes long: the process is leaving."""
        # OpenTelemetry would wait for half a minute for a collector that is away.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_CLOSE_SECONDS)

    def trace_request(
        self, headers: Mapping[str, str], method: str, route: str
    ) -> AbstractContextManager[RequestSpan]:
        """Return the span of a request, within the trace that its client names by `traceparent`.

        It is open for the length of a block.
        """
        return self._tracer.start_as_current_span(
            f"{method} {route}",
            # A request goes on with the trace of its client or begins its own, whatever trace is
            # open here.
            context=_propagator.extract(headers) if "traceparent" in headers else _NO_TRACE,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
            record_exception=False,  # it has become an answer, or the client has gone
            set_status_on_exception=False,
        )

    @staticmethod
    def end_request(span: RequestSpan, status: int, facts: Mapping[str, object]) -> None:
        """Note how a request ended, and the facts of its log line, which hold no secret."""
        if not span.is_recording():
            return
        span.set_attribute("http.response.status_code", status)
        for name, value in facts.items():
            if isinstance(value, str | int | float):
                span.set_attribute(f"tokensvc.{name}", value)
        if status >= _FAULTS:
            span.set_status(StatusCode.ERROR)

    @staticmethod
    def find_traceparent() -> str | None:
        """Return the name of the span that is open, as the header `traceparent` has it.

        None if nothing is open that is sent (W3C Trace Context, section 3.2).
        """
        context = trace.get_current_span().get_span_context()
        if not context.trace_flags.sampled:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @staticmethod
    def find_span() -> RequestSpan | None:
        """Return the span of the request that is being answered, None if it is not traced."""
        span = trace.get_current_span()
        return span if span.is_recording() else None

    async def trace_batch(self, judging: Awaitable[_T], spans: Sequence[RequestSpan]) -> _T:
        """Await the judgement of a batch. `spans`: those of its requests that are traced."""
        if not spans:
            return await judging
        with self._open_span(
            "ledger batch",
            context=trace.set_span_in_context(spans[0]),
            attributes={"tokensvc.batch.traced_requests": len(spans)},
            links=[Link(span.get_span_context()) for span in spans],
        ) as batch:
            context = batch.get_span_context()
            for span in spans:
                if span.is_recording():  # its client may have gone
                    span.add_link(context)
            return await judging

    async def trace_statement(self, text: str, asking: Awaitable[_T]) -> _T:
        """Await the answer of Postgres to a prepared statement, which asyncpg does not note."""
        if not _is_traced():
            return await asking
        with self._open_span(
            name_statement(text), kind=SpanKind.CLIENT, attributes=_describe(text)
        ):
            return await asking

    @contextmanager
    def _open_span(self, name: str, **options: Any) -> Iterator[Span]:  # noqa: ANN401 - its own
        """Open a span for the block. It tells an error by its type: the text may quote a value."""
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False, **options
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def note_query(self, query: LoggedQuery) -> None:
        """Make the span of a statement that has been carried out for a request."""
        if not _is_traced():
            return
        now = time.time_ns()
        span = self._tracer.start_span(
            name_statement(query.query),
            kind=SpanKind.CLIENT,
            attributes=_describe(query.query),
            start_time=now - int(query.elapsed * 1e9),
        )
        if query.exception is not None:
            span.set_status(StatusCode.ERROR, type(query.exception).__name__)
        span.end(now)


def _is_traced() -> bool:
    """Tell whether this is done for a request. What a process asks by itself is in no trace."""
    return trace.get_current_span().get_span_context().trace_flags.sampled


def name_statement(text: str) -> str:
    """Return the name of the span of a statement: its first word, behind what is commented."""
    found = _FIRST_WORD.match(text)
    return f"postgres {found[1].lower() if found else 'statement'}"


def _describe(text: str) -> dict[str, str]:
    """Return the attributes of a statement: its text, and never its values."""
    return {"db.system.name": "postgresql", "db.query.text": text}


def build_tracer() -> Tracer:
    """Return the tracer that sends by OTLP over HTTP. OpenTelemetry reads `OTEL_*` itself."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    given = OTELResourceDetector().detect().attributes
    named = {"service.name": "tokensvc", "service.version": __version__}
    provider = TracerProvider(
        resource=Resource.create({**named, **given}),
        span_limits=SpanLimits(max_links=_MOST_LINKS),
        shutdown_on_exit=False,  # `close` does it
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)
