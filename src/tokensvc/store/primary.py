"""Connecting to the primary, which may be any of several hosts.

All hosts are asked at once and say whether they take writes, and on which timeline. So neither a
dead host delays the others, nor does the order of the hosts in the URL matter: an old primary that
came back takes writes as well, and it is passed over like a standby (`core/primary.py`).
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from tokensvc.core.primary import (
    HostState,
    PrimaryChoice,
    PrimaryProblem,
    decide_primary,
    describe_problem,
)
from tokensvc.logs.logger import get_logger
from tokensvc.store.connecting import SERVER_SETTINGS, connect_to_host
from tokensvc.store.connection_failure import explain_failure
from tokensvc.store.driver_errors import NoPrimaryError
from tokensvc.store.host_state import ask_hosts
from tokensvc.store.host_urls import LOGIN_REFUSED, HostUrls
from tokensvc.store.timelines import Timelines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tokensvc.core.primary import SeenTimelines

_FRESH_SECONDS: Final = 1.0
_REPEAT_SECONDS: Final = 60.0
_POOL_OPTIONS: Final = ("loop", "connection_class", "record_class")
_FAILURES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_log = get_logger(__name__)


class Hosts:
    """The hosts of a URL, and which of them is the primary.

    `timelines`: what was seen so far. `setting`: where the URL comes from. `read_again` returns the
    URL as it is there now; it is asked when Postgres refuses the login. Raises StartRefusedError
    for a URL that is none of Postgres.
    """

    def __init__(
        self,
        url: str,
        timelines: Timelines,
        setting: str = "TOKENSVC_DATABASE_URL",
        read_again: Callable[[], str] | None = None,
    ) -> None:
        self._urls = HostUrls(url, setting, read_again)
        self.setting = setting
        self._timelines = timelines
        self._silent: set[str] = set()
        self._failures: list[Exception] = []
        self._asking: asyncio.Task[PrimaryChoice] | None = None
        self._choice: PrimaryChoice | None = None
        self._url: str | None = None  # where the primary is
        self._chosen_on = 0.0
        self._problem_log = _ProblemLog()

    @property
    def count(self) -> int:
        """How many there are; if more than one, there may be two primaries."""
        return len(self._urls.present)

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
        # A pool opens many connections at once: they need not all ask.
        is_fresh = time.monotonic() - self._chosen_on < _FRESH_SECONDS
        if self._choice is not None and self._choice.primary and is_fresh and not afresh:
            return self._choice
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # A caller that gives up does not stop it: others wait for it, and the next may use it.
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
        settings = {**SERVER_SETTINGS, **(server_settings or {})}
        passed = {name: options[name] for name in _POOL_OPTIONS if name in options}
        # With one host there is nothing to choose: the connection itself says whether it will do.
        if self.count == 1:
            try:
                return await self._connect_to(self._urls.present[0], None, settings, **passed)
            except LOGIN_REFUSED:
                if not self._urls.renew_login():
                    raise
            return await self._connect_to(self._urls.present[0], None, settings, **passed)
        # The first answer may be a second old. If its host has failed since, all are asked again.
        for afresh in (False, True):
            choice = await self.find_primary(afresh=afresh)
            if choice.primary is None or self._url is None:
                break
            try:
                return await self._connect_to(self._url, choice.primary, settings, **passed)
            except _FAILURES:
                if afresh:
                    raise
        raise _build_failure(choice, self._timelines.seen, self._failures, self.setting)

    async def find_url(self) -> str:
        """Return the URL of the primary alone. Raises as `connect`."""
        choice = await self.find_primary(afresh=True)
        if choice.primary is None or self._url is None:
            raise _build_failure(choice, self._timelines.seen, self._failures, self.setting)
        return self._url

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _connect_to(
        self,
        url: str,
        expected: HostState | None,
        settings: Mapping[str, str],
        **options: Any,  # noqa: ANN401 - asyncpg's own
    ) -> asyncpg.Connection:
        """Connect to one host. Raises NoPrimaryError unless it is the primary, or OSError.

        `expected`: what the host said when all were asked. If its server was restarted since, the
        others must be asked again.
        """
        check = functools.partial(self._check, url, expected)
        return await connect_to_host(url, check, server_settings=settings, **options)

    def _check(self, url: str, expected: HostState | None, state: HostState) -> None:
        """Raise NoPrimaryError unless this server is the primary."""
        if expected is None:
            choice = self._take({url: state})
            if choice.primary is None:
                raise _build_failure(choice, self._timelines.seen, self._failures, self.setting)
        elif state != expected:
            raise NoPrimaryError("the host is not what it was", reason="no_primary")

    async def _ask(self) -> PrimaryChoice:
        """Ask all hosts, and take over what follows from their answers."""
        answers = await ask_hosts(self._urls.present, self._silent, self._timelines.seen)
        is_refused = any(isinstance(one, LOGIN_REFUSED) for one in answers.values())
        if is_refused and self._urls.renew_login():
            answers = await ask_hosts(self._urls.present, (), self._timelines.seen)
        # Both mean that the host said nothing in time; the next round hardly waits for it.
        late = (TimeoutError, asyncio.CancelledError)
        self._silent = {url for url, answer in answers.items() if isinstance(answer, late)}
        self._failures = [one for one in answers.values() if isinstance(one, Exception)]
        return self._take({url: one for url, one in answers.items() if isinstance(one, HostState)})

    def _take(self, states: Mapping[str, HostState]) -> PrimaryChoice:
        """Decide which server is the primary, remember it, and tell what is wrong."""
        # First what other processes have seen: one of them may know of a promotion already.
        choice = decide_primary(states.values(), self._timelines.recall())
        self._timelines.remember(choice)
        self._choice, self._chosen_on = choice, time.monotonic()
        self._url = next((url for url, one in states.items() if one == choice.primary), None)
        self._problem_log.note(self.problem, choice, on=self._chosen_on)
        return choice


class _ProblemLog:
    """Logs a problem when it begins, and once a minute while it lasts."""

    def __init__(self) -> None:
        self._logged: PrimaryProblem | None = None
        self._logged_on = 0.0

    def note(self, problem: PrimaryProblem | None, choice: PrimaryChoice, *, on: float) -> None:
        """Take what was found at the moment `on`; None if nothing is wrong."""
        is_due = problem != self._logged or on - self._logged_on > _REPEAT_SECONDS
        if problem is not None and is_due:
            self._logged_on = on
            used = None if choice.primary is None else choice.primary.host
            _log.error(problem.kind, detail=problem.detail, used=used)
        self._logged = problem


def _build_failure(
    choice: PrimaryChoice, seen: SeenTimelines, failures: Sequence[Exception], setting: str
) -> Exception:
    """Return why there is no connection."""
    if choice.problem is not None:
        return NoPrimaryError(describe_problem(choice, seen), reason=choice.problem)
    if failures:
        # A host that is away may come back, so one that refuses is not the last word.
        return min(failures, key=lambda error: explain_failure(error, setting).is_refusal)
    return NoPrimaryError("all hosts that answer are standbys", reason="no_primary")


async def connect(
    url: str, *, server_settings: Mapping[str, str] | None = None
) -> asyncpg.Connection:
    """Connect to the primary among the hosts of `url`, without any memory. Raises as `Hosts`."""
    return await Hosts(url, Timelines()).connect(server_settings)
