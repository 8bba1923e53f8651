"""All logging, ours and that of libraries, as JSON lines on stderr."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final, TextIO

from tokensvc.logs.line_writer import LineWriter
from tokensvc.logs.masking import mask_event
from tokensvc.logs.output import Output, flush_logs
from tokensvc.logs.plain_structlog import structlog
from tokensvc.traces.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger


def _add_traceparent(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the span that a line belongs to, if there is one."""
    if Tracing.tracer is not None and (text := Tracing.tracer.find_traceparent()) is not None:
        event.setdefault("traceparent", text)
    return event


# What every line gets, whoever wrote it.
_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_traceparent,
    structlog.processors.format_exc_info,
    mask_event,
)


def configure_logs(
    level: str,
    stream: TextIO | None = None,
    *,
    count_lost: Callable[[int], object] | None = None,
) -> None:
    """Send all logging from `level` on to `stream`, to stderr if none is given.

    `count_lost` is told how many lines could not be written, whenever that happens.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # What waits in the writer before this one must not be lost.
    flush_logs()
    Output.writer = LineWriter(stream or sys.stderr, count_lost=count_lost)
    Output.level = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger("aiohttp.server").addFilter(_hide_malformed)
    root = logging.getLogger()
    root.handlers[:] = [_build_handler()]
    root.setLevel(level.upper())


def _build_handler() -> logging.Handler:
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask_event,
                _put_first,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    return handler


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if Output.writer is not None:
            try:
                Output.writer.write(self.format(record))
            except Exception:  # noqa: BLE001 - as every handler of logging
                self.handleError(record)


def _hide_malformed(record: logging.LogRecord) -> bool:
    """Shorten what aiohttp says of a request that it could not parse.

    It would quote the header, with the credentials in it.
    """
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - slow for commands

    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = "malformed request: %s", (type(error).__name__,)
        record.exc_info = None
    return True


def _put_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Begin every line with what readers look for first."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}
