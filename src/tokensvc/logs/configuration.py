"""Structured logs: one JSON object a line on stderr, whoever wrote it, with everything that looks like a secret masked.

The line of a request is written on a short path of its own: there is one for every exchange.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog
from aiohttp.http_exceptions import HttpProcessingError

from tokensvc.logs.line_writer import LineWriter

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

# API keys (any prefix), JWTs, passwords in URLs. The last net, not the first: nothing hands a secret to the log on purpose.
_SECRETS: Final = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Za-z]{1,7}-[0-9A-Za-z]{28,34}(?![0-9A-Za-z-])"
    r"|eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]*)?"
    r"|(?<=://)[^/@\s]+(?=@)"
)
_MASK: Final = "[masked]"
_MAX_LENGTH: Final = 8192
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)  # others are text of the client
_quote: Final = json.encoder.encode_basestring_ascii


class _Sink:
    """Where lines go, and from which level on."""

    writer: LineWriter | None = None
    level: int = logging.INFO


def mask_secrets(text: str) -> str:
    """Return `text` with whatever looks like a key, a token or a password replaced."""
    return _SECRETS.sub(_MASK, text)


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send all logging, ours and the libraries', through one chain to `stream`, stderr if none is given."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    flush_logs()
    _Sink.writer, _Sink.level = (
        LineWriter(stream or sys.stderr),
        logging.getLevelNamesMapping()[level.upper()],
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask,
                _put_first,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.getLogger("aiohttp.server").addFilter(_hide_malformed)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def flush_logs() -> None:
    """Write now what has been logged."""
    if _Sink.writer is not None:
        _Sink.writer.flush()


def log_request(
    request_id: str,
    method: str,
    route: str,
    status: int,
    seconds: float,
    facts: dict[str, object],
    *,
    quiet: bool,
) -> None:
    """Write the line of a request, if `quiet` only at debug. What a client wrote must have been masked; `facts` are ours."""
    writer = _Sink.writer
    if writer is None or _Sink.level > (logging.DEBUG if quiet else logging.INFO):
        return
    more = "".join(
        [
            f', "{name}": {_quote(value) if type(value) is str else json.dumps(value)}'
            for name, value in facts.items()
        ]
    )
    writer.write(
        f'{{"timestamp": "{_stamp()}", "level": "{"debug" if quiet else "info"}", "event": "request", "request_id": "{request_id}", '
        f'"method": "{method if method in _METHODS else "OTHER"}", "route": "{route}", "status": {status}, '
        f'"milliseconds": {seconds * 1000:.2f}{more}}}'
    )


def _stamp() -> str:
    now = time.time()
    return f"{_stamp_of_second(int(now))}.{int(now % 1 * 1_000_000):06d}Z"


@functools.lru_cache(maxsize=2)
def _stamp_of_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if _Sink.writer is not None:
            try:
                _Sink.writer.write(self.format(record))
            except Exception:  # noqa: BLE001 - as every handler of logging
                self.handleError(record)


def _hide_malformed(record: logging.LogRecord) -> bool:
    """Cut down what aiohttp says of a request that it could not parse: it would quote the header, credentials and all."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = (
            "malformed request: %s",
            (type(error).__name__,),
            None,
        )
    return True


def _put_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Begin every line with what eyes look for."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if name != "_record":
            event[name] = _masked(value)
    return event


def _masked(value: Any) -> Any:  # noqa: ANN401 - whatever was logged
    if isinstance(value, str):
        return mask_secrets(value)[:_MAX_LENGTH]
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    return value
