"""What every command that works on the database shares: settings, a connection, the name of who acts."""

from __future__ import annotations

import asyncio
import getpass
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from tokensvc.issuer.start import check_schema
from tokensvc.logs.configuration import configure_logs
from tokensvc.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tokensvc.issuer.database import Database

T = TypeVar("T")


def actor() -> str:
    """Return who acts, for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


def operate(act: Callable[[Database, Settings], Awaitable[T]], *, check: bool = True) -> T:
    """Open the database, run `act` on it, close. `check`: refuse a database whose schema is not up to date."""
    settings = load_settings()
    configure_logs("warning" if settings.log_level == "info" else settings.log_level)
    with database_url(settings) as url:
        return asyncio.run(_run(act, settings, url, check=check))


def has_database(settings: Settings) -> bool:
    """Tell whether there is a database to ask, without making one."""
    from tokensvc.issuer.database import embedded_postgres  # noqa: PLC0415

    return settings.database_url is not None or embedded_postgres(settings).exists


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Lend the URL of the database: the one of the settings, or the embedded one, started if nobody else has done so."""
    from tokensvc.issuer.database import embedded_postgres  # noqa: PLC0415 - not needed for --help

    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    postgres = embedded_postgres(settings)
    try:
        yield postgres.start()
    finally:
        postgres.stop()


async def _run(
    act: Callable[[Database, Settings], Awaitable[T]], settings: Settings, url: str, *, check: bool
) -> T:
    from tokensvc.issuer.database import open_database  # noqa: PLC0415

    database = await open_database(url, max_size=2, direct_url=settings.direct_url)
    try:
        if check:
            await check_schema(database)
        return await act(database, settings)
    finally:
        await database.close()
