"""The URLs of the hosts, and their new password when it was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from tokensvc.core.errors import StartRefusedError
from tokensvc.logs.logger import get_logger
from tokensvc.store.database_url import drop_login, parse_database_url

if TYPE_CHECKING:
    from collections.abc import Callable

LOGIN_REFUSED: Final = asyncpg.InvalidAuthorizationSpecificationError

_log = get_logger(__name__)


class HostUrls:
    """One URL for each host.

    `setting`: where they come from. `read_again` returns what stands there now; it is None if that
    cannot have changed. Raises StartRefusedError for a URL that is none of Postgres.
    """

    def __init__(self, url: str, setting: str, read_again: Callable[[], str] | None) -> None:
        self.present = parse_database_url(url, setting=setting)
        self._setting = setting
        self._read_again = read_again

    def renew_login(self) -> bool:
        """Read user and password again, after they were refused; tell whether they are new.

        Hosts and database stay as they were at the start, so that never one half of the connections
        leads to another database.
        """
        if self._read_again is None:
            return False
        try:
            urls = parse_database_url(self._read_again(), setting=self._setting)
        except StartRefusedError as error:
            _log.warning("login_not_read_again", detail=error.message)
            return False
        if urls == self.present or [*map(drop_login, urls)] != [*map(drop_login, self.present)]:
            return False
        self.present = urls
        _log.info("login_read_again", setting=self._setting)
        return True
