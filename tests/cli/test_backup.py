"""`tokensvc backup` and `tokensvc restore`."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from tokensvc.store.primary import connect


@pytest.fixture
def former(database_url, databases):
    """The names of databases that are dropped at the end."""
    names: list[str] = []
    yield names
    for name in names:
        databases.drop(urlsplit(database_url)._replace(path=f"/{name}").geturl())


async def execute(url, statement):
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


def test_a_backup_is_written_proved_and_restored(ready, database_url, former):
    account = ready.json("account create Orders")["id"]
    create = f"key create --capability a --account {account} --name"
    kept, revoked = (ready.json(f"{create} {name}")["id"] for name in ("kept", "revoked"))
    made = ready("backup monday")
    assert "the master key is not in it" in made.stderr
    assert ready("backup monday", code=5).stderr.startswith("tokensvc: monday exists already")

    checked = ready.json("restore monday --check")
    assert checked["status"] == "can be restored"
    assert checked["audit_hash"] in made.stdout

    ready("key revoke --yes", revoked)
    ready("key delete --yes", kept)
    asyncio.run(execute(database_url, "delete from denylist where value <> ''"))
    restored = ready("restore monday --yes")
    assert f"  tokensvc key revoke {revoked}\n  tokensvc key delete {kept}" in restored.stderr
    former.append(restored.stdout.split("former database")[1].split()[0])
    assert ready.json("key show", kept)["state"] == "active"
    assert ready.json("audit verify")["status"] == "whole"
    again = ready.json("restore monday --yes")
    former.append(again["former_database"])
    assert again["by_hand"] == []


def test_what_is_no_backup_is_refused_and_a_file_must_be_there(ready, tmp_path):
    (tmp_path / "x").write_text("x")
    assert "was not made by" in ready("restore x --yes", code=5).stderr
    assert "was not made by" in ready("restore x --check", code=5).stderr
    ready("restore nothing", code=2)
