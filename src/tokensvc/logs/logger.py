"""The logger of a module.

structlog is imported with the first line that is written. Most commands write none, and to import
it takes them longer than to do their work.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class Logger:
    """Hands the lines of a module to structlog. An event is a name; facts stand beside it."""

    __slots__ = ("_logger", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger: BoundLogger | None = None

    def debug(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - as structlog
        """Write what helps who looks for a fault."""
        self._open().debug(event, **facts)

    def info(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write what happens."""
        self._open().info(event, **facts)

    def warning(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write what somebody should look at."""
        self._open().warning(event, **facts)

    def error(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write what has failed."""
        self._open().error(event, **facts)

    def critical(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write what ends the process."""
        self._open().critical(event, **facts)

    def exception(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write what has failed, with the exception that is being handled."""
        self._open().exception(event, **facts)

    def _open(self) -> BoundLogger:
        # A process that runs several commands, one after the other, configures its logs for each.
        for handler in logging.getLogger().handlers[:]:
            if isinstance(handler, FirstLine):
                handler.configure()
        if self._logger is None:
            # The reason for this module.
            from tokensvc.logs.plain_structlog import structlog  # noqa: PLC0415

            self._logger = structlog.get_logger(self._name)
        return self._logger


def get_logger(name: str) -> Logger:
    """Return the logger of the module `name`."""
    return Logger(name)


def configure_logs_on_use(level: str) -> None:
    """As `configure_logs`, but not before the first line from `level` on: for commands."""
    root = logging.getLogger()
    root.handlers[:] = [FirstLine(level)]
    root.setLevel(level.upper())


class FirstLine(logging.Handler):
    """Takes the first line of the process, ours or that of a library, and configures the logs."""

    def __init__(self, log_level: str) -> None:
        super().__init__()
        self._log_level = log_level

    def configure(self) -> None:
        """Let everything be logged as the service does it. This handler is gone then."""
        from tokensvc.logs.configuration import configure_logs  # noqa: PLC0415 - as structlog

        configure_logs(self._log_level)

    def emit(self, record: logging.LogRecord) -> None:
        """Configure the logs, and hand the line on."""
        self.configure()
        logging.getLogger().handle(record)
