"""Opens the database for one command, and says who acts."""

from __future__ import annotations

import asyncio
import getpass
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokensvc.cli.folder import load_command_settings
from tokensvc.cli.output import print_message
from tokensvc.cli.process_limits import forbid_core_dumps
from tokensvc.cli.target import check_is_host
from tokensvc.core.actor import Actor
from tokensvc.core.errors import StartRefusedError, UnavailableError
from tokensvc.core.primary import WAYS_OUT
from tokensvc.issuer.database import check_schema
from tokensvc.logs.logger import configure_logs_on_use
from tokensvc.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tokensvc.core.primary import PrimaryProblem
    from tokensvc.issuer.database import Database

_PATIENCE_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.1

_NO_SERVICE: Final = (
    "there is no service here: neither its data in this folder or one above it, nor a database in "
    "TOKENSVC_DATABASE_URL. Name a service that runs (--url, TOKENSVC_URL, --profile), or go to "
    "its folder, or make one here: tokensvc init"
)

T = TypeVar("T")


def actor() -> Actor:
    """Return who acts: the user at the command line."""
    try:
        return Actor.command_line(getpass.getuser())
    except (KeyError, OSError):
        return Actor.command_line("unknown")


class Session:
    """The database, open for one command, and the loop that its calls run in.

    `needs_schema`: refuse a database whose schema is not up to date. `may_make`: make an embedded
    Postgres, in this folder, if there is no database. `changes`: the command may
    change something, so it is refused while several hosts take writes; one that only reads gets a
    warning. `is_checked`: False for a command that takes the database as it is, or away. Raises
    StartRefusedError, UnavailableError.
    """

    def __init__(
        self,
        *,
        needs_schema: bool = True,
        may_make: bool = False,
        changes: bool = True,
        is_checked: bool = True,
    ) -> None:
        # Many commands open the master key, and each may get it by the environment.
        forbid_core_dumps()
        self.settings = load_settings() if may_make else load_command_settings()
        level = self.settings.log_level
        configure_logs_on_use("warning" if level == "info" else level)
        # What was opened before an error is closed again; without an error `close` does it.
        with ExitStack() as stack:
            url = stack.enter_context(lend_database_url(self.settings, may_make=may_make))
            self._runner = stack.enter_context(asyncio.Runner())
            self.database = self.run(_open(self.settings, url))
            stack.callback(lambda: self.run(self.database.close()))
            if is_checked:
                self.run(
                    _check(self.database, self.settings, needs_schema=needs_schema, changes=changes)
                )
            self._stack = stack.pop_all()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call of the database returns."""
        return self._runner.run(call)

    def check_changes(self) -> None:
        """Raise UnavailableError while several hosts take writes: nothing must be changed."""
        self.run(_check(self.database, self.settings, needs_schema=False, changes=True))

    def close(self) -> None:
        """Close the database."""
        self._stack.close()


def run_use_case(
    use_case: Callable[[Database, Settings], Coroutine[Any, Any, T]],
    *,
    needs_schema: bool = True,
    may_make: bool = False,
    changes: bool = True,
) -> T:
    """Return what `use_case` returns, which works on the database of this machine.

    `needs_schema`, `may_make`, `changes`: as of Session. Raises StartRefusedError,
    UnavailableError, and what the use case raises.
    """
    check_is_host()
    opened = Session(needs_schema=needs_schema, may_make=may_make, changes=changes)
    with closing(opened) as session:
        return session.run(use_case(session.database, session.settings))


def has_database(settings: Settings) -> bool:
    """Tell whether there is a database to ask. None is made for the question."""
    from tokensvc.issuer.database import embedded_postgres  # noqa: PLC0415

    return settings.database_url is not None or embedded_postgres(settings).exists


@contextmanager
def lend_database_url(
    settings: Settings, workers: int = 1, *, may_make: bool = False
) -> Iterator[str]:
    """Lend the URL of the database in the settings, else that of the embedded one.

    The embedded one is started if no other process has done so. `workers`: how many processes of
    the service are going to use it. `may_make`: make it if there is none. Raises StartRefusedError.
    """
    from tokensvc.issuer.database import embedded_postgres  # noqa: PLC0415 - not needed for --help

    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    postgres = embedded_postgres(settings, workers)
    if not may_make and not postgres.exists:
        raise StartRefusedError(_NO_SERVICE)
    try:
        yield postgres.start()
    finally:
        postgres.stop()


async def check_schema_patiently(database: Database, patience: float = _PATIENCE_SECONDS) -> None:
    """Check the schema; try again for a while if other sessions have all connections of Postgres.

    The connection that is got stays open for the command. Raises UnavailableError after `patience`
    seconds, and what `check_schema` raises.
    """
    from tokensvc.issuer.database import NO_CONNECTION_LEFT  # noqa: PLC0415

    deadline_on = time.monotonic() + patience
    while True:
        try:
            await check_schema(database)
        except UnavailableError as error:
            if error.reason != NO_CONNECTION_LEFT:
                raise
            if time.monotonic() >= deadline_on:
                raise UnavailableError(
                    "other sessions have all connections of Postgres; "
                    "docs/operations.md says how to keep one for commands",
                    reason=error.reason,
                ) from error
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _open(settings: Settings, url: str) -> Database:
    from tokensvc.issuer.database import open_primary  # noqa: PLC0415

    return await open_primary(settings, url, max_size=2, is_command=True)


async def _check(
    database: Database, settings: Settings, *, needs_schema: bool, changes: bool
) -> None:
    if settings.database_url is not None:
        _check_primary(await database.ask_hosts(), changes=changes)
    if needs_schema:
        await check_schema_patiently(database)


def _check_primary(problem: PrimaryProblem | None, *, changes: bool) -> None:
    """Raise UnavailableError unless it is clear which host takes the writes of this command."""
    if problem is None:
        return
    if problem.kind == "two_primaries" and not changes:
        print_message(f"warning: {problem.detail}. Stop the other one")
        return
    raise UnavailableError(
        f"{problem.detail}, so nothing is done. {WAYS_OUT[problem.kind]}", reason=problem.kind
    )
