"""What the driver raises, in a sentence for operators: what the server said, and what mends it.

A refusal is an answer: Postgres runs, and waiting alone does not mend it.
"""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple

import asyncpg
from asyncpg.exceptions import ClientConfigurationError


class ConnectionFailure(NamedTuple):
    """Why Postgres cannot be used. `is_refusal`: it answers, but takes no session."""

    sentence: str
    is_refusal: bool


class _Refusal(NamedTuple):
    """One kind of refusal: the error, words of its text, and the way out."""

    kind: type[BaseException]
    words: str
    way_out: str


_ROLES: Final = "docs/operations.md has the lines that make role and database"
# The first one that fits is taken, so a more special one stands before a more general one: a wrong
# password is an invalid authorization as well, and an empty text is found in every message.
_REFUSALS: Final = (
    _Refusal(
        asyncpg.InvalidPasswordError,
        "",
        "Correct user and password in the URL, or set it: alter role NAME password '...'",
    ),
    _Refusal(
        asyncpg.InvalidAuthorizationSpecificationError,
        "pg_hba.conf",
        "Postgres's file pg_hba.conf needs a line for this host, role and database (with or "
        "without TLS, as sslmode says)",
    ),
    _Refusal(
        asyncpg.InvalidAuthorizationSpecificationError,
        "",
        f"Correct the role in the URL, or: create role NAME login password '...'. {_ROLES}",
    ),
    _Refusal(
        asyncpg.InvalidCatalogNameError,
        "",
        f"Correct the database in the URL, or: create database NAME owner ROLE. {_ROLES}",
    ),
    _Refusal(
        asyncpg.InsufficientPrivilegeError,
        "for database",
        "As its owner: grant connect on database NAME to ROLE",
    ),
    _Refusal(
        asyncpg.ProtocolViolationError,
        "startup parameter",
        "PgBouncer needs ignore_startup_parameters as docs/operations.md has it",
    ),
    _Refusal(
        asyncpg.ProtocolViolationError, "no such", "The pooler knows neither; correct the URL"
    ),
    _Refusal(asyncpg.UndefinedObjectError, "configuration parameter", "Correct options in the URL"),
    _Refusal(ClientConfigurationError, "", "Correct the URL, or the PG* variables"),
    _Refusal(asyncpg.InterfaceError, "authentication method", "Use scram-sha-256 in pg_hba.conf"),
    _Refusal(
        ssl.SSLCertVerificationError,
        "",
        "Name the file of its authority in the URL, sslrootcert=FILE, or sslrootcert=system for "
        "those that this machine trusts",
    ),
    _Refusal(
        ConnectionError, "rejected SSL", "It has no TLS: let it have TLS, or take away sslmode"
    ),
)


def explain_failure(error: BaseException, setting: str) -> ConnectionFailure:
    """Return why Postgres cannot be used, in a sentence that names `setting`, where the URL is."""
    said = _read_message(error)
    for refusal in _REFUSALS:
        if isinstance(error, refusal.kind) and refusal.words in said:
            return ConnectionFailure(f"{setting}: {said}. {refusal.way_out}", is_refusal=True)
    return ConnectionFailure(f"{setting}: {said}", is_refusal=False)


def _read_message(error: BaseException) -> str:
    """Return what was said, on one line."""
    match error:
        case asyncpg.PostgresError():
            return f"Postgres says: {error.args[0] if error.args else type(error).__name__}"
        case ssl.SSLCertVerificationError():
            return f"the certificate of Postgres cannot be trusted ({error.verify_message})"
        case TimeoutError() if not str(error):
            return "Postgres did not answer in time"
        case OSError(strerror=str(said)):
            return said
        case _:
            return " ".join(str(error).split()) or type(error).__name__
