"""The password of the database is replaced while a service runs."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from tests.factories import make_settings
from tests.integration.things import patiently

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.database import open_primary


class Login:
    """A role of its own for the service, and the file with its URL."""

    def __init__(self, connection, url, path, hosts):
        parts = urlsplit(url)
        self.connection, self.path = connection, path
        self.role = f"login_of_{parts.path.strip('/')}"
        query = parts.query.replace("&port", f"{hosts}&port")
        self.rest = f"{parts.path}?{query}"

    def write(self, password, rest=None):
        self.path.write_text(f"postgresql://{self.role}:{password}@{rest or self.rest}\n")

    async def alter(self, password):
        """Give the role another password, and cut what it has open."""
        await self.connection.execute(f"alter role {self.role} password '{password}'")
        await self.connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1",
            self.role,
        )


@pytest.fixture(params=["", "%2C%2Fnowhere"], ids=["one host", "two hosts"])
async def login(request, connection, database_url, tmp_path, monkeypatch):
    path = tmp_path / "url"
    monkeypatch.setenv("TOKENSVC_DATABASE_URL_FILE", str(path))
    made = Login(connection, database_url, path, request.param)
    await connection.execute(f"create role {made.role} login password 'one'")
    made.write("one")
    yield made
    await made.alter("")
    await connection.execute(f"drop owned by {made.role}; drop role {made.role}")


@pytest.fixture
async def database(login, tmp_path):
    url = login.path.read_text().strip()
    settings = make_settings(database_url=url, data_dir=tmp_path, keys_dir=tmp_path)
    opened = await open_primary(settings, url, max_size=2)
    yield opened
    await opened.close()


async def ask(database):
    async with database.connection() as connection:
        return await connection.fetchval("select 42")


async def ask_anew(database):
    """Ask again and again: whoever lends a connection may not have heard yet that it was cut."""
    return await patiently(lambda: ask(database))


async def test_a_new_password_is_read_when_the_old_one_is_refused(login, database, logs):
    assert await ask(database) == 42
    login.write("two%20")
    await login.alter("one")  # connections are made anew, and the old password is still good
    assert await ask_anew(database) == 42
    assert logs.find("login_read_again") == []
    await login.alter("two ")
    assert await ask_anew(database) == 42
    assert len(logs.find("login_read_again")) == 1
    apart = await database.connect_apart()
    await apart.close()


async def test_a_password_that_comes_late_is_found_as_soon_as_it_is_there(login, database):
    assert await ask(database) == 42
    await login.alter("two")
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await ask(database)
    login.write("two")
    assert await ask_anew(database) == 42


async def test_only_user_and_password_are_read_again(login, database, logs):
    assert await ask(database) == 42
    await login.alter("two")
    login.write("two", login.rest.replace("/test_", "/other_", 1))
    with pytest.raises(UnavailableError):
        await ask(database)
    login.path.write_text("")
    with pytest.raises(UnavailableError):
        await ask(database)
    assert logs.find("login_not_read_again")
