"""The one tracer of this process. Nothing here imports OpenTelemetry unless traces are wanted."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tokensvc.core.errors import StartRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.traces.tracer import Tracer


class Tracing:
    """`tracer` is None while nothing is traced; whatever could be traced looks at this alone."""

    tracer: Tracer | None = None


def check_tracing(*, is_wanted: bool) -> None:
    """Raise StartRefusedError if traces are wanted and OpenTelemetry is not installed."""
    if is_wanted and find_spec("opentelemetry") is None:
        raise StartRefusedError(
            "TOKENSVC_TRACES=otlp needs the otel extra; run: pip install 'tokensvc[otel]'"
        )


@contextmanager
def tracing(*, is_wanted: bool) -> Iterator[None]:
    """Trace this process within the block, and send at its end what has not been sent.

    It must begin in the very process that serves: what sends the spans is a thread.
    """
    if not is_wanted:
        yield
        return
    from tokensvc.traces.tracer import build_tracer  # noqa: PLC0415 - few services trace

    Tracing.tracer = tracer = build_tracer()
    try:
        yield
    finally:
        Tracing.tracer = None
        tracer.close()
