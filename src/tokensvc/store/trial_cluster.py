"""A Postgres for a moment, in a folder that is gone afterwards."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_FAST: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@asynccontextmanager
async def lend_trial_cluster(bin_dir: Path) -> AsyncIterator[str]:
    """Lend the URL of an empty database. Raises StartRefusedError."""
    with _lend_folder() as folder:
        postgres = EmbeddedPostgres(
            folder, bin_dir=bin_dir, options=_FAST, elsewhere=folder / "home"
        )
        try:
            yield await asyncio.to_thread(postgres.start)
        finally:
            await asyncio.to_thread(postgres.stop)


@contextmanager
def _lend_folder() -> Iterator[Path]:
    """Lend a new folder that Postgres, as a user of its own, can pass through."""
    with tempfile.TemporaryDirectory(prefix="tokensvc-trial-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
