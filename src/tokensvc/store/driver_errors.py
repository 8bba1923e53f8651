"""What Postgres's driver raises while Postgres is away, and what we make of it."""

from __future__ import annotations

from typing import Final

import asyncpg

from tokensvc.core.errors import DatabaseRefusedError, UnavailableError
from tokensvc.store.connection_failure import explain_failure

# Postgres cannot do it now. Everything else is a fault of ours and must be seen as one.
AWAY: Final = (
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
    # Functions of ours raise it while a backup is being restored.
    asyncpg.ObjectNotInPrerequisiteStateError,
    # The password was changed, or the database is not there yet: that may be put right later.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # Tables, functions and grants are missing while a backup is restored.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidColumnReferenceError,  # `on conflict` before the key is made
    asyncpg.InsufficientPrivilegeError,
    # A restore has replaced the tables and functions that a statement was prepared for. Postgres
    # may report that as an internal error.
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.InternalServerError,
    # The connection broke in the middle of an answer.
    asyncpg.InternalClientError,
)


# The reason if other sessions have all connections. One may be free a moment later.
NO_CONNECTION_LEFT: Final = f"database_{asyncpg.TooManyConnectionsError.__name__}"


class NoPrimaryError(OSError):
    """Hosts answer, and none of them may be written to; `reason` says why."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def unavailable(error: BaseException, setting: str = "TOKENSVC_DATABASE_URL") -> UnavailableError:
    """Return what callers see when Postgres is away; reason and detail are for operators.

    `setting`: where the URL of this database is.
    """
    name = error.reason if isinstance(error, NoPrimaryError) else type(error).__name__
    failure = explain_failure(error, setting)
    kind = DatabaseRefusedError if failure.is_refusal else UnavailableError
    return kind(
        "the database does not answer right now; try again",
        reason=f"database_{name}",
        detail=failure.sentence,
    )


def not_initialised() -> UnavailableError:
    """Return what callers see while the database is empty or is being restored."""
    return UnavailableError(
        "the database is not initialised, or a backup is being restored; try again",
        reason="database_not_initialised",
    )


def was_rolled_back(error: BaseException) -> bool:
    """Tell whether Postgres itself says that a statement failed, so it has changed nothing.

    A fatal error may come after the commit: a connection may be cut while a synchronous standby is
    waited for. After a lost connection or a timeout nothing is known at all.
    """
    return (
        isinstance(error, asyncpg.PostgresError)
        and not isinstance(error, asyncpg.PostgresConnectionError)
        # `severity` is in the language of the server, and this one is not.
        and getattr(error, "severity_en", None) == "ERROR"
    )
