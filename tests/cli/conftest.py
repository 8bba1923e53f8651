"""Running commands in this process."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from click.testing import CliRunner
from testbed.leaks import find_secrets

from tokensvc.cli.root import root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result
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
