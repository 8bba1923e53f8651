"""The ledger's one connection and its one question (`sql/queries/ledger.sql`).

A connection of its own: a pooled one would cost a second round trip to be given back. `synchronous_commit=off` on it alone: a crash of
Postgres may forget the last moments of counting, never a revocation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.exchange import Verdict
from tokensvc.core.limit import Quota
from tokensvc.store.pool import AWAY, unavailable
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    from tokensvc.core.ledger import Question
    from tokensvc.store.pool import Database

_SQL = load_queries("ledger")
_SETTINGS: Final = {
    "synchronous_commit": "off",
    "plan_cache_mode": "force_generic_plan",  # planning anew for each batch would cost more than carrying it out
    "jit": "off",
    "lock_timeout": "500",  # others wait behind a batch: not for long
}
_TIMEOUT: Final = 2.0


_NO_DIGEST: Final = bytes(32)


class LedgerConnection:
    """Asks Postgres about batches, one at a time; connects when it must."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._statement: PreparedStatement | None = None
        self._failovers = 0

    async def judge(
        self, counts: Mapping[Question, int]
    ) -> tuple[dict[Question, Verdict], dict[str, int]]:
        """Return the verdict on each question whose key exists, and how many requests of each key are admitted and have been counted.

        `counts`: how often each question is asked. Raises UnavailableError; whether the batch has been counted is then unknown.
        """
        asked = list(counts)
        if self._failovers != self._database.failovers:
            self.close()
        try:
            statement = self._statement or await self._prepare()
            rows = await statement.fetch(
                b"".join([question.digest or _NO_DIGEST for question in asked]),
                [number if question.counts else 0 for question, number in counts.items()],
                _none_if_empty([question.key_id for question in asked]),
                _none_if_empty([question.demand for question in asked]),
                timeout=_TIMEOUT,
            )
        except AWAY as error:
            self.close()
            raise unavailable(error) from error
        except BaseException:
            self.close()
            raise
        verdicts: dict[Question, Verdict] = {}
        admitted: dict[str, int] = {}
        for row in rows:
            question, key_id, account_id, capabilities, refusal, watermark, at, number, *quota = row
            verdicts[asked[question - 1]] = Verdict(
                key_id,
                account_id,
                tuple(capabilities),
                refusal,
                watermark,
                at,
                Quota._make(quota),
            )
            admitted[key_id] = number
        return verdicts, admitted

    def close(self) -> None:
        """Cut the connection; the next question opens another."""
        connection, self._connection, self._statement = self._connection, None, None
        if connection is not None:
            connection.terminate()

    async def _prepare(self) -> PreparedStatement:
        self._connection = await self._database.connect_apart(**_SETTINGS)
        self._failovers = self._database.failovers
        self._statement = await self._connection.prepare(_SQL["judge"], timeout=_TIMEOUT)
        return self._statement


def _none_if_empty(values: list[str | None]) -> list[str | None] | None:
    return values if any(value is not None for value in values) else None
