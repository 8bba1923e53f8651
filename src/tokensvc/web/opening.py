"""Opening the service of one process: as soon as Postgres answers, and together with the others.

Postgres is tried again until it answers, once a second at most.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from tokensvc.core.errors import StartRefusedError, UnavailableError
from tokensvc.issuer.database import open_primary
from tokensvc.issuer.start import initialise, new_pause
from tokensvc.logs.logger import get_logger
from tokensvc.web.admin_port import build_admin_app
from tokensvc.web.app import build_app
from tokensvc.web.shortcut import Shortcut

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings
    from tokensvc.web.limit_log import LimitLog
    from tokensvc.web.shared_start import SharedStart

_LOOK_SECONDS: Final = 0.1
_TOGETHER_SECONDS: Final = 5.0  # how long a worker waits for the others

_log = get_logger(__name__)


class Opening:
    """Opens the service of one process. `greet` shows the admin key of the very first start.

    `opened`: the application of the service once it is open, `opened_admin` that of the port of the
    operations, if they have one of their own, and `shortcut` the short way into the former.
    """

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        start: SharedStart,
        greet: Callable[[NewKey], None],
        limited: LimitLog,
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._start = start
        self._greet = greet
        self._limited = limited
        self.opened: web.AppRunner | None = None
        self.opened_admin: web.AppRunner | None = None
        self.shortcut: Shortcut | None = None

    async def open(self) -> web.AppRunner:
        """Return the service, open, when it is time to take requests.

        Raises StartRefusedError if the service can never be opened like this.
        """
        await self._prepare()
        opened = await self._open_service()
        self._start.note_open()
        # The workers begin together. But one that hangs must not keep the others from serving.
        for _ in range(int(_TOGETHER_SECONDS / _LOOK_SECONDS)):
            if self._start.is_serving or self._start.are_all_open:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return opened

    async def _prepare(self) -> None:
        """Return when database and keys are prepared, by this worker or by another one."""
        while not self._start.is_prepared:
            if not self._start.take_turn():
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            try:
                if not self._start.is_prepared:  # or another worker was faster
                    await self._initialise()
                    self._start.note_prepared()
            except UnavailableError as error:
                _log.warning("waiting_for_database", reason=error.reason, detail=error.detail)
                # While it keeps the turn: so the workers together ask no more often than one.
                await asyncio.sleep(new_pause())
            finally:
                self._start.end_turn()

    async def _initialise(self) -> None:
        # A pool of its own, because the workers are not forked with connections.
        database = await open_primary(self._settings, self._database_url, max_size=2)
        try:
            await initialise(database, self._settings, self._greet, default_wait=float("inf"))
        finally:
            await database.close()

    async def _open_service(self) -> web.AppRunner:
        while True:
            try:
                return await self._open_once()
            except UnavailableError as error:
                _log.warning("waiting_for_database", reason=error.reason, detail=error.detail)
            except StartRefusedError as error:
                if not self._start.is_serving:
                    raise
                # Others serve, so one that takes the place of a dead worker must not end them all.
                _log.error("waiting_for_a_better_start", reason=error.message)
            await asyncio.sleep(new_pause())

    async def _open_once(self) -> web.AppRunner:
        # An application that failed to start cannot be started again, so each attempt makes one.
        app = build_app(self._settings, self._database_url, self._limited)
        runner = web.AppRunner(app, access_log=None)
        try:
            await runner.setup()
        except BaseException:
            await runner.cleanup()
            raise
        server = cast("web.Server", runner.server)
        self.shortcut = Shortcut(app, server.request_handler)
        server.request_handler = self.shortcut.answer
        if self._settings.admin_port is not None:
            admin_app = build_admin_app(app)
            self.opened_admin = web.AppRunner(admin_app, access_log=None)
            await self.opened_admin.setup()
            admin_server = cast("web.Server", self.opened_admin.server)
            shortcut = Shortcut(admin_app, admin_server.request_handler)
            admin_server.request_handler = shortcut.answer
        self.opened = runner
        return runner

    async def close(self) -> None:
        """Close what was opened."""
        for runner in (self.opened_admin, self.opened):
            if runner is not None:
                await runner.cleanup()
