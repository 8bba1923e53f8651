"""The line of a request, put together by hand because there is one for every exchange."""

from __future__ import annotations

import functools
import json
import logging
import time
from datetime import UTC, datetime
from typing import Final

from tokensvc.logs.output import Output

# Every other method is text of the client.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# What is said of a request whose client did not wait for the answer. It is never sent.
NO_ANSWER: Final = 499
_quote: Final = json.encoder.encode_basestring_ascii


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
    """Write the line of a request; a `quiet` one is written only at level debug.

    `seconds` is how long the answer took. `request_id` must have been masked; `route` and `facts`
    are our own words.
    """
    writer = Output.writer
    if writer is None or Output.level > (logging.DEBUG if quiet else logging.INFO):
        return
    more = "".join(
        [
            # Most values are texts, and `_quote` is what `json.dumps` comes to for one.
            f', "{name}": {_quote(value) if type(value) is str else json.dumps(value)}'
            for name, value in facts.items()
        ]
    )
    writer.write(
        f'{{"timestamp": "{_format_now()}", "level": "{"debug" if quiet else "info"}", '
        f'"event": "request", "request_id": "{request_id}", '
        f'"method": "{method if method in METHODS else "OTHER"}", "route": "{route}", '
        f'"status": {status}, "milliseconds": {seconds * 1000:.2f}{more}}}'
    )


def _format_now() -> str:
    now = time.time()
    return f"{_format_second(int(now))}.{int(now % 1 * 1_000_000):06d}Z"


@functools.lru_cache(maxsize=2)  # many lines are written in the same second
def _format_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
