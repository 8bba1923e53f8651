"""The database as the rooms above may see it: opened here, handed to use cases, never queried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.store.driver_errors import NO_CONNECTION_LEFT
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.pool import Database, open_database

if TYPE_CHECKING:
    from tokensvc.settings import Settings

_CONNECTIONS_BESIDE_POOL: Final = 6  # the ledger, the listener, and what a start needs for a moment
_CONNECTIONS_OF_COMMANDS: Final = 40
_LEAST_CONNECTIONS: Final = 100  # the service may come after a command has started Postgres

__all__ = ["NO_CONNECTION_LEFT", "Database", "embedded_postgres", "open_database"]


def embedded_postgres(settings: Settings, workers: int = 1) -> EmbeddedPostgres:
    """Return the zero-setup Postgres of these settings, not started yet.

    It takes more connections than `workers` processes of the service can open, so that a command
    always gets one.
    """
    most = _CONNECTIONS_OF_COMMANDS + workers * (settings.pool_size + _CONNECTIONS_BESIDE_POOL)
    return EmbeddedPostgres(
        settings.data_dir,
        bin_dir=settings.postgres_bin_dir,
        options=[f"max_connections={max(_LEAST_CONNECTIONS, most)}"],
    )
