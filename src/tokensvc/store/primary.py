"""Connecting to the primary, which may be any of several hosts.

All hosts are asked at once and say whether they take writes, and on which timeline. So neither a
dead host delays the others, nor does the order of the hosts in the URL matter: an old primary that
came back takes writes as well, and it is passed over like a standby (`core/primary.py`).
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from tokensvc.core.primary import (
    PrimaryChoice,
    PrimaryProblem,
    Standing,
    decide_primary,
    describe_problem,
)
from tokensvc.store.database_url import split_hosts
from tokensvc.store.driver_errors import NoPrimaryError
from tokensvc.store.standing import ask_hosts, load_standing
from tokensvc.store.timelines import Timelines

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_TIMEOUT: Final = 3.0
_CONNECT_TIMEOUT: Final = 2.0
_FRESH_SECONDS: Final = 1.0
_REPEAT_SECONDS: Final = 60.0
_SERVER_SETTINGS: Final = {
    "application_name": "tokensvc",
    "lock_timeout": "1000",
    "statement_timeout": "2500",
    "idle_in_transaction_session_timeout": "5000",
    "synchronous_commit": "on",  # an acknowledged revocation is durable, whatever the default is
    "timezone": "UTC",
    # The ledger reads state after it has waited for locks.
    "default_transaction_isolation": "read committed",
}
_POOL_OPTIONS: Final = ("loop", "connection_class", "record_class")
_FAILURES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_log = structlog.get_logger(__name__)


class Hosts:
    """The hosts of a URL, and which of them is the primary.

    `timelines`: what was seen so far.
    """

    def __init__(self, url: str, timelines: Timelines) -> None:
        self._urls = list(dict.fromkeys(split_hosts(url)))  # each host once
        self._timelines = timelines
        self._silent: set[str] = set()
        self._failures: list[Exception] = []
        self._asking: asyncio.Task[PrimaryChoice] | None = None
        self._choice: PrimaryChoice | None = None
        self._url: str | None = None  # where the primary is
        self._chosen_on = 0.0
        self._logged: tuple[PrimaryProblem | None, float] = (None, 0.0)

    @property
    def are_several(self) -> bool:
        """Whether there is more than one host, so that there may be two primaries."""
        return len(self._urls) > 1

    @property
    def choice(self) -> PrimaryChoice | None:
        """What was found the last time, None if nobody was asked yet."""
        return self._choice

    @property
    def problem(self) -> PrimaryProblem | None:
        """What was wrong the last time with the hosts that take writes; None if nothing was."""
        choice = self._choice
        if choice is None or choice.problem is None:
            return None
        detail = describe_problem(choice, self._timelines.seen)
        return PrimaryProblem(kind=choice.problem, detail=detail)

    async def find_primary(self, *, afresh: bool = False) -> PrimaryChoice:
        """Ask all hosts at once which of them is the primary; it takes two seconds at most.

        All who ask at the same time share one answer, and unless `afresh` it may be a second old.
        """
        is_fresh = time.monotonic() - self._chosen_on < _FRESH_SECONDS
        if self._choice is not None and self._choice.primary and is_fresh and not afresh:
            return self._choice
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # Who gives up does not stop it: the others wait for it, and the next one may use it.
        return await asyncio.shield(self._asking)

    async def connect(
        self,
        server_settings: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - what asyncpg's pool passes
    ) -> asyncpg.Connection:
        """Connect to the primary.

        Raises NoPrimaryError if there is none among the hosts that answer; if no host answers,
        what the last one raised.
        """
        settings = {**_SERVER_SETTINGS, **(server_settings or {})}
        passed = {name: options[name] for name in _POOL_OPTIONS if name in options}
        if not self.are_several:
            return await self._connect_to(self._urls[0], server_settings=settings, **passed)
        for afresh in (False, True):
            choice = await self.find_primary(afresh=afresh)
            if choice.primary is None or self._url is None:
                break
            try:
                return await self._connect_to(
                    self._url, choice.primary, server_settings=settings, **passed
                )
            except _FAILURES:
                if afresh:
                    raise
        raise self._build_failure(choice)

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _connect_to(
        self,
        url: str,
        expected: Standing | None = None,
        **options: Any,  # noqa: ANN401 - asyncpg's own
    ) -> asyncpg.Connection:
        """Connect to one host. Raises NoPrimaryError unless it is the primary.

        `expected`: what the host said when all were asked. If its server was restarted since, the
        others must be asked again.
        """
        connection: asyncpg.Connection = await asyncpg.connect(
            url, timeout=_CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, **options
        )
        try:
            self._check(await load_standing(connection, url), url, expected)
            await connection.set_type_codec(
                "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _check(self, standing: Standing, url: str, expected: Standing | None) -> None:
        """Raise NoPrimaryError unless this server is the primary."""
        if expected is None:
            choice = self._take({url: standing})
            if choice.primary is None:
                raise self._build_failure(choice)
        elif standing != expected:
            raise NoPrimaryError("the host is not what it was", reason="no_primary")

    async def _ask(self) -> PrimaryChoice:
        """Ask all hosts, and take over what follows from their answers."""
        answers = await ask_hosts(self._urls, self._silent, self._timelines.seen)
        late = (TimeoutError, asyncio.CancelledError)
        self._silent = {url for url, answer in answers.items() if isinstance(answer, late)}
        self._failures = [one for one in answers.values() if isinstance(one, Exception)]
        return self._take({url: one for url, one in answers.items() if isinstance(one, Standing)})

    def _take(self, standings: Mapping[str, Standing]) -> PrimaryChoice:
        """Decide which server is the primary, remember it, and tell what is wrong."""
        choice = decide_primary(standings.values(), self._timelines.recall())
        self._timelines.remember(choice)
        self._choice, self._chosen_on = choice, time.monotonic()
        self._url = next((url for url, one in standings.items() if one == choice.primary), None)
        self._log_problem(choice)
        return choice

    def _log_problem(self, choice: PrimaryChoice) -> None:
        """Log a problem when it begins, and once a minute while it lasts."""
        problem = self.problem
        logged, on = self._logged
        if problem is None:
            self._logged = (None, 0.0)
        elif problem != logged or self._chosen_on - on > _REPEAT_SECONDS:
            self._logged = (problem, self._chosen_on)
            used = None if choice.primary is None else choice.primary.host
            _log.error(problem.kind, detail=problem.detail, used=used)

    def _build_failure(self, choice: PrimaryChoice) -> Exception:
        """Return why there is no connection."""
        if choice.problem is not None:
            detail = describe_problem(choice, self._timelines.seen)
            return NoPrimaryError(detail, reason=choice.problem)
        if self._failures:
            return self._failures[-1]
        return NoPrimaryError("all hosts that answer are standbys", reason="no_primary")


async def connect(
    url: str, *, server_settings: Mapping[str, str] | None = None
) -> asyncpg.Connection:
    """Connect to the primary among the hosts of `url`, without any memory. Raises as `Hosts`."""
    return await Hosts(url, Timelines()).connect(server_settings)
