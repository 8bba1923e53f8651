"""A failure of Postgres becomes a sentence; a refusal says whose fault it is and what mends it."""

from __future__ import annotations

import re
import ssl

import asyncpg
import pytest
from asyncpg.exceptions import ClientConfigurationError

from tokensvc.store.connection_failure import explain_failure

SETTING = "TOKENSVC_DATABASE_URL"


def certificate_error():
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (asyncpg.InvalidPasswordError('failed for user "me"'), 'says: failed for user "me". Corr'),
        (
            asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry for host"),
            "pg_hba.conf needs a line",
        ),
        (
            asyncpg.InvalidAuthorizationSpecificationError('role "x" does not exist'),
            "create role NAME login",
        ),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), "create database NAME"),
        (
            asyncpg.InsufficientPrivilegeError('permission denied for database "x"'),
            "grant connect on database",
        ),
        (
            asyncpg.ProtocolViolationError("unsupported startup parameter: lock_timeout"),
            "ignore_startup_parameters",
        ),
        (
            asyncpg.UndefinedObjectError('unrecognized configuration parameter "x"'),
            "Correct options in the URL",
        ),
        (ClientConfigurationError("root certificate file does not exist"), "Correct the URL"),
        (asyncpg.InterfaceError("unsupported authentication method gss"), "scram-sha-256"),
        (certificate_error(), r"cannot be trusted \(self-signed certificate\).*sslrootcert"),
        (ConnectionError("server rejected SSL upgrade"), "has no TLS"),
    ],
)
def test_a_refusal_says_what_the_server_said_and_the_way_out(error, said):
    failure = explain_failure(error, SETTING)
    assert failure.is_refusal
    assert re.search(said, failure.sentence)
    assert failure.sentence.startswith(f"{SETTING}: ")
    assert "\n" not in failure.sentence


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "Connect call failed"),
        (TimeoutError(), "did not answer in time"),
        (OSError("first\nsecond"), "first second"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), "starting up"),
        (asyncpg.UndefinedTableError('relation "x" does not exist'), "does not exist"),
        (asyncpg.InterfaceError(""), "InterfaceError"),
    ],
)
def test_what_may_pass_by_itself_is_no_refusal(error, said):
    failure = explain_failure(error, SETTING)
    assert (failure.is_refusal, said in failure.sentence) == (False, True)
