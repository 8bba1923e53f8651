"""The ledger's one connection, and the statement that judges a batch (`sql/queries/ledger.sql`).

The connection is apart from the pool, because to give back a pooled one costs a second round trip.
It alone has `synchronous_commit=off`: if Postgres crashes, the last moments of counting may be
forgotten, but never a revocation.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from tokensvc.core.errors import ClockError, UnavailableError
from tokensvc.core.exchange import Verdict
from tokensvc.core.limit import Quota
from tokensvc.store.driver_errors import AWAY, not_initialised, unavailable
from tokensvc.store.queries import load_queries
from tokensvc.traces.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from asyncpg.prepared_stmt import PreparedStatement

    from tokensvc.core.ledger import Expectation, Question
    from tokensvc.store.pool import Database

_SQL = load_queries("ledger")
_SETTINGS: Final = {
    "synchronous_commit": "off",
    # To plan each batch anew would cost more than to carry it out.
    "plan_cache_mode": "force_generic_plan",
    # A batch concerns some rows of large tables, and an index finds each. The planner expects many
    # more, and from some thousand keys on it would read whole tables for every batch.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
# A request waits for the ledger for 2.5 s at most (decision 0009), and a batch ends before that.
_TIMEOUT: Final = 2.0
_LOCK_SECONDS: Final = 0.5
_IDLE: Final = 0.05  # seconds after which a connection may have been closed unnoticed
_NO_DIGEST: Final = bytes(32)  # what stands in the place of a digest if a token is shown


class LedgerConnection:
    """Asks Postgres about batches, one at a time; connects when it must.

    A batch waits `lock_seconds` at most for a row, because others wait behind it.
    """

    def __init__(self, database: Database, *, lock_seconds: float = _LOCK_SECONDS) -> None:
        self._database = database
        self._settings = _SETTINGS | {"lock_timeout": f"{lock_seconds * 1000:.0f}"}
        self._connection: asyncpg.Connection | None = None
        self._statement: PreparedStatement | None = None
        self._failovers = 0
        self._answered_on = 0.0

    async def judge_batch(
        self, counts: Mapping[Question, int], expect: Callable[[], Expectation]
    ) -> tuple[dict[Question, Verdict], dict[str, int]]:
        """Return the verdict on each question whose key exists, and the admissions of each key.

        `counts`: how often each question is asked. The admissions, by key id, have been counted.
        `expect` is called just before Postgres is asked, and what it raises is raised. Raises
        ClockError or UnavailableError for a database that is not what is expected: nothing has been
        counted then. After any other UnavailableError that is unknown.
        """
        asked = list(counts)
        try:
            statement = await self._find_statement() or await self._prepare()
            arguments = _build_arguments(counts, expect())  # now: to connect may take seconds
            asking = statement.fetch(*arguments, timeout=_TIMEOUT)
            if Tracing.tracer is not None:
                asking = Tracing.tracer.trace_statement(_SQL["judge"], asking)
            rows = await asking
        except AWAY as error:
            # Whether the batch was counted is unknown, and an answer may still come: so nothing
            # more is asked on this connection.
            self.close()
            raise unavailable(error) from error
        except asyncpg.PostgresError as error:
            # If the statement itself has refused the batch, the connection is still good.
            build_refusal = _REFUSALS.get(error.sqlstate)
            if build_refusal is None:
                self.close()
                raise
            refusal = build_refusal()
            raise refusal from error
        except UnavailableError:  # what `expect` raises
            raise
        except BaseException:
            # A call that is cancelled may leave an answer behind as well.
            self.close()
            raise
        self._answered_on = time.monotonic()
        return _read(rows, asked)

    def close(self) -> None:
        """Cut the connection; the next batch opens another."""
        connection, self._connection, self._statement = self._connection, None, None
        if connection is not None:
            connection.terminate()

    async def _find_statement(self) -> PreparedStatement | None:
        """Return the statement of the connection, None if there is no connection that still holds.

        While nothing has been sent, nothing can have been counted, so another connection may be
        opened. A batch that was sent is never sent again.
        """
        if self._connection is None:
            return None
        if time.monotonic() - self._answered_on > _IDLE:
            for _ in range(3):  # the event loop needs three turns to notice that it was closed
                await asyncio.sleep(0)
        if self._connection.is_closed() or self._failovers != self._database.failovers:
            self.close()
        return self._statement

    async def _prepare(self) -> PreparedStatement:
        self._connection = await self._database.connect_apart(**self._settings)
        # A connection from before a failover may lead to the server that is no primary any more.
        self._failovers = self._database.failovers
        self._statement = await self._connection.prepare(_SQL["judge"], timeout=_TIMEOUT)
        return self._statement


def _behind() -> UnavailableError:
    return UnavailableError(
        "the database has lost revocations, which are being written again; try again",
        reason="database_behind",
    )


# What the statement raises itself, before anything is counted.
_REFUSALS: Final[Mapping[str | None, Callable[[], UnavailableError]]] = {
    "TS001": ClockError,
    "TS002": not_initialised,
    "TS003": _behind,
}


def _build_arguments(counts: Mapping[Question, int], expected: Expectation) -> tuple[Any, ...]:
    """Return what `judge_exchanges_2` is given."""
    seen = expected.seen
    # One text of all digests, each 32 bytes long: an array of them takes longer to encode.
    return (
        b"".join([question.digest or _NO_DIGEST for question in counts]),
        [number if question.counts else 0 for question, number in counts.items()],
        _none_if_empty([question.key_id for question in counts]),
        _none_if_empty([question.demand for question in counts]),
        expected.at,
        None if seen is None else seen.seq,
        None if seen is None else seen.tag,
    )


def _none_if_empty(values: list[str | None]) -> list[str | None] | None:
    """Return None for a list of nothing but None: it costs no time to encode."""
    return values if any(value is not None for value in values) else None


def _read(
    rows: Iterable[asyncpg.Record], asked: Sequence[Question]
) -> tuple[dict[Question, Verdict], dict[str, int]]:
    verdicts: dict[Question, Verdict] = {}
    admitted: dict[str, int] = {}
    for row in rows:
        # By position, which is faster than by name: in the order of sql/queries/ledger.sql.
        (question, key_id, account_id, capabilities, refusal, audiences, claims, watermark, at,
            ahead, number, *quota) = row  # fmt: skip
        verdicts[asked[question - 1]] = Verdict(
            key_id,
            account_id,
            tuple(capabilities),
            refusal,
            watermark,
            at,
            Quota._make(quota),
            None if ahead is None else tuple(ahead),
            None if audiences is None else tuple(audiences),
            claims,
        )
        admitted[key_id] = number
    return verdicts, admitted
