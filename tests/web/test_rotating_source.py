"""Token sources whose key rotates itself in its file, with a real service."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from tests.integration.things import list_acts, make_key

from tokensvc.client import ThreadedTokenSource, TokenSource, _key_rotation
from tokensvc.client._key_file import try_lock

MONTH = 30 * 86_400


@pytest.fixture
async def key(database, started):
    del started
    return await make_key(database)


@pytest.fixture
def path(tmp_path, key):
    """The file of a key that is due."""
    file = tmp_path / "key"
    file.write_text(key.key.text)
    age(file)
    return file


def age(file):
    os.utime(file, (time.time() - MONTH - 1,) * 2)


async def use(settings, path):
    source = TokenSource(issuer=settings.issuer_url, api_key=path, rotate_every="30d")
    async with source:
        return await source.get_token()


@pytest.mark.usefixtures("client")
async def test_a_key_that_is_due_is_replaced_in_its_file(settings, database, path, key):
    assert await use(settings, path)
    text = path.read_text().strip()
    assert text != key.key.text
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir() if "key" in entry.name) == [
        ".key.lock",
        "key",
        "keys",
    ]
    assert await use(settings, path)  # with the new key, which is not due
    assert path.read_text().strip() == text
    acts = await list_acts(database, key.listed.record.id)
    assert acts == ["keys.create", "keys.rotate-self"]


async def test_it_is_replaced_also_where_the_operations_have_a_port_of_their_own(
    settings, new_client, path, key, unused_tcp_port_factory
):
    await new_client(settings.model_copy(update={"admin_port": unused_tcp_port_factory()}))
    assert await use(settings, path)
    assert path.read_text().strip() != key.key.text


@pytest.mark.usefixtures("client")
async def test_a_source_without_an_event_loop_does_it_too(settings, path, key):
    def run():
        with ThreadedTokenSource(
            issuer=settings.issuer_url, api_key=path, rotate_every="4w"
        ) as source:
            source.get_token()

    await asyncio.to_thread(run)
    assert path.read_text().strip() != key.key.text


@pytest.mark.usefixtures("client")
async def test_a_crash_between_answer_and_write_costs_nothing(
    settings, database, path, key, monkeypatch
):
    def crash(*_):
        raise OSError("the machine stops")

    with monkeypatch.context() as patched:
        patched.setattr(_key_rotation, "replace", crash)
        await use(settings, path)
    assert path.read_text() == key.key.text
    assert await use(settings, path)
    assert path.read_text().strip() != key.key.text
    assert (await list_acts(database, key.listed.record.id)).count("keys.rotate-self") == 1
    assert await use(settings, path)


@pytest.mark.usefixtures("client")
async def test_of_several_one_rotates_the_key(settings, database, path, key):
    await asyncio.gather(*(use(settings, path) for _ in range(5)))
    assert path.read_text().strip() != key.key.text
    assert (await list_acts(database, key.listed.record.id)).count("keys.rotate-self") == 1
    age(path)
    with try_lock(path) as is_alone:
        assert is_alone
        text = path.read_text()
        assert await use(settings, path)
        assert path.read_text() == text


@pytest.mark.usefixtures("client")
async def test_what_cannot_be_written_is_not_rotated(settings, database, path, key, monkeypatch):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(_key_rotation, "prepare", refuse)
    assert await use(settings, path)
    assert path.read_text() == key.key.text
    assert await list_acts(database, key.listed.record.id) == ["keys.create"]


@pytest.mark.usefixtures("client")
async def test_a_key_that_may_not_rotate_itself_goes_on_as_it_is(settings, database, tmp_path):
    fixed = await make_key(database, self_rotation=False)
    file = tmp_path / "fixed"
    file.write_text(fixed.key.text)
    age(file)
    assert await use(settings, file)
    assert file.read_text() == fixed.key.text


@pytest.mark.parametrize("every", ["", "30", "0d", "d", "30m", "-1d"])
def test_a_time_that_means_nothing_is_refused(tmp_path, every):
    with pytest.raises(ValueError, match='like "30d"'):
        TokenSource(issuer="https://a.example", api_key=tmp_path / "key", rotate_every=every)


def test_only_a_key_in_a_file_can_be_replaced(monkeypatch):
    monkeypatch.setenv("TOKENSVC_API_KEY", "x")
    with pytest.raises(ValueError, match="needs a file"):
        TokenSource(issuer="https://a.example", rotate_every="30d")
