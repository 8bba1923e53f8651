"""Running commands in this process."""

from __future__ import annotations

import json
import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from click.testing import CliRunner
from testbed.leaks import find_secrets

from tokensvc.cli.root import root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result
    from testbed.processes import ServiceProcess
    from tests.databases import Databases


class Cli:
    """Runs commands. `cli("key list --account", account)` returns click's result.

    The first argument is split as a shell does it, further arguments are taken as they are.
    `code` is the exit code that is expected, None if any will do.
    """

    def __call__(
        self,
        line: str,
        *more: str,
        stdin: str = "",
        code: int | None = 0,
        **environment: str | None,
    ) -> Result:
        arguments = [*shlex.split(line), *more]
        result = CliRunner().invoke(
            root, arguments, input=stdin, env=environment, prog_name="tokensvc"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert code in (None, result.exit_code), result.output
        assert "Traceback" not in result.output
        return result

    def json(
        self, line: str, *more: str, stdin: str = "", code: int = 0, **environment: str | None
    ) -> Any:
        """Return what a command prints with `-o json`."""
        result = self(line, *more, "-o", "json", stdin=stdin, code=code, **environment)
        return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def _no_profiles_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def offline_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Commands in an empty folder, with a database URL that leads nowhere."""
    monkeypatch.setenv("TOKENSVC_DATABASE_URL", "nowhere")
    monkeypatch.chdir(tmp_path)
    return Cli()


@pytest.fixture
def cli(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Commands on a fresh, migrated database, in an empty folder."""
    monkeypatch.setenv("TOKENSVC_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield Cli()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@dataclass(frozen=True, kw_only=True)
class Served:
    """A database that a service serves which the tests of a module share."""

    database_url: str
    url: str


@pytest.fixture(scope="module")
def served(
    new_shared_process: Callable[..., ServiceProcess],
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """A module whose commands work on this database has a `database_url` that says so."""
    database_url = databases.take("started")
    keys = tmp_path_factory.mktemp("served") / "keys"
    databases.copy_master_key(keys)
    process = new_shared_process(
        TOKENSVC_DATABASE_URL=database_url,
        TOKENSVC_KEYS_DIR=str(keys),
        TOKENSVC_DRAIN_SECONDS="1",
    )
    process.wait_until_ready()
    yield Served(database_url=database_url, url=process.url)
    databases.drop(database_url)


@pytest.fixture
def ready(cli: Cli, databases: Databases) -> Cli:
    """As `cli`, with the database and the keys as `tokensvc init` leaves them."""
    databases.copy_master_key(Path("keys"))
    return cli


@pytest.fixture
def account(cli: Cli) -> str:
    """The id of an account."""
    made: str = cli.json("account create Orders")["id"]
    return made


@pytest.fixture
def key(cli: Cli, account: str) -> dict[str, Any]:
    """A key as `key create -o json` prints it."""
    made: dict[str, Any] = cli.json(
        "key create --name ci --capability orders:read --capability orders:write",
        "--account",
        account,
    )
    assert find_secrets(made["key"]) == [made["key"]]
    return made
