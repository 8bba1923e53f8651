"""Where the lines of this process go, and from which level on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokensvc.logs.line_writer import LineWriter


class Output:
    """The one output of this process; `writer` is None until logs are configured."""

    writer: LineWriter | None = None
    level: int = logging.INFO


def flush_logs() -> None:
    """Write now what has been logged."""
    if Output.writer is not None:
        Output.writer.flush()
