"""What Postgres's driver raises while Postgres is away, and what we make of it."""

from __future__ import annotations

import asyncpg

from tokensvc.core.errors import UnavailableError

# Postgres cannot do it now. Everything else is a fault of ours and must be seen as one.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    # The password was changed, or the database is not there yet: that may be put right later.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # The connection broke in the middle of an answer.
    asyncpg.InternalClientError,
)


class NoPrimaryError(OSError):
    """Hosts answer, and none of them may be written to; `reason` says why."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def unavailable(error: BaseException) -> UnavailableError:
    """Return what callers see when Postgres is away; the reason is for the log."""
    name = error.reason if isinstance(error, NoPrimaryError) else type(error).__name__
    return UnavailableError(
        "the database does not answer right now; try again", reason=f"database_{name}"
    )
