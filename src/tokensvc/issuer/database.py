"""The database as the rooms above may see it: opened here, handed to use cases, never queried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.pool import Database, open_database

if TYPE_CHECKING:
    from tokensvc.settings import Settings

__all__ = ["Database", "embedded_postgres", "open_database"]


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """Return the zero-setup Postgres of these settings, not started yet."""
    return EmbeddedPostgres(settings.data_dir, bin_dir=settings.postgres_bin_dir)
