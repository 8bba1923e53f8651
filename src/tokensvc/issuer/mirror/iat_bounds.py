"""Keeps the limit of `iat` ahead of Postgres's clock, and a floor under later watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.errors import UnavailableError
from tokensvc.logs.logger import get_logger
from tokensvc.store.issuance import raise_iat_floor, raise_iat_limit

if TYPE_CHECKING:
    from tokensvc.core.iat_limit import IatBounds
    from tokensvc.issuer.postgres_clock import PostgresClock
    from tokensvc.store.pool import Database

_log = get_logger(__name__)


async def keep_iat_bounds(
    database: Database, postgres_clock: PostgresClock, bounds: IatBounds
) -> None:
    """Write what has to be written, after `postgres_clock` was renewed with these `bounds`.

    What cannot be written now is tried again; meanwhile tokens are issued up to the limit.
    """
    known, now, on = postgres_clock.iat_limit, postgres_clock.at, postgres_clock.on
    # What this process remembers is compared before the bounds that were just read are noted.
    lacking, run = known.find_lacking(bounds), bounds.run
    known.note_limit(bounds.limit, on)
    wanted = known.find_wanted(now, is_believed=not postgres_clock.is_blocked)
    try:
        # Without a run the table of the floor is empty, as after a crash or on a new primary. So
        # what is known must become the floor.
        if lacking is not None or run is None:
            async with database.connection() as connection:
                run = await raise_iat_floor(connection, lacking)
        known.note_run(run)
        if wanted is not None:
            async with database.connection() as connection:
                known.note_limit(await raise_iat_limit(connection, wanted), on)
    except UnavailableError as error:
        _log.warning("iat_limit_not_raised", reason=error.reason)
