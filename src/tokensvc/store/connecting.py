"""Connecting to one host, with the settings that every session of ours has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from tokensvc.store.host_state import load_host_state
from tokensvc.traces.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.primary import HostState

COMMAND_TIMEOUT: Final = 3.0
SERVER_SETTINGS: Final = {
    "application_name": "tokensvc",
    # A lock is waited for less long than a statement may last, and that less than COMMAND_TIMEOUT.
    "lock_timeout": "1000",
    # Postgres gives up before we do (COMMAND_TIMEOUT), so that a connection need not be cut.
    "statement_timeout": "2500",
    # A process that hangs in a transaction must not keep its locks for long: others wait for them.
    "idle_in_transaction_session_timeout": "5000",
    "synchronous_commit": "on",  # an acknowledged revocation is durable, whatever the default is
    # Our statements are short. To compile one takes 20 ms, and the first of a session 100 ms; yet
    # Postgres would do so for each look of a process while nobody has counted the rows of a table.
    "jit": "off",
    "timezone": "UTC",
    # The ledger reads state after it has waited for locks.
    "default_transaction_isolation": "read committed",
}
_CONNECT_TIMEOUT: Final = 2.0
_JSONB_VERSION: Final = b"\x01"  # the first byte of the binary form
_WHOLE: Final = "select database_is_whole()"


async def connect_to_host(
    url: str,
    check_host_state: Callable[[HostState], None],
    **options: Any,  # noqa: ANN401 - asyncpg's own
) -> asyncpg.Connection:
    """Connect to the one host of `url`.

    `check_host_state` is given what the server says of itself, and raises if it must not be used.
    Raises that, OSError while a backup is being restored, and what the driver raises.
    """
    connection: asyncpg.Connection = await asyncpg.connect(
        url, timeout=_CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, **options
    )
    try:
        # Asked on this very connection: the address may lead to another server than a moment ago.
        check_host_state(await load_host_state(connection, url))
        await _check_whole(connection)
        # The driver reads composite values in the binary form only, and some hold JSON.
        await connection.set_type_codec(
            "jsonb",
            encoder=_encode_json,
            decoder=_decode_json,
            schema="pg_catalog",
            format="binary",
        )
    except BaseException:
        # Nobody else knows of this connection, so it is cut here even if the caller was cancelled.
        connection.terminate()
        raise
    if Tracing.tracer is not None:
        connection.add_query_logger(Tracing.tracer.note_query)
    return connection


def _encode_json(value: object) -> bytes:
    return _JSONB_VERSION + json.dumps(value).encode("utf-8")


def _decode_json(data: bytes) -> object:
    return json.loads(data[len(_JSONB_VERSION) :])


async def _check_whole(connection: asyncpg.Connection) -> None:
    """Raise OSError while a backup is being restored: what is written then would disturb it.

    An empty database passes, so that the first start can make the schema.
    """
    try:
        is_whole = await connection.fetchval(_WHOLE)
    except asyncpg.UndefinedFunctionError:
        return
    if not is_whole:
        raise OSError("a backup is being restored into the database")
