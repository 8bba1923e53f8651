"""The master key: where it comes from, its rotation, and the services that run meanwhile."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta

import pytest
from tests.factories import NOW, make_settings
from tests.integration.things import ACTOR, age_signing_keys
from tests.rows import list_events

from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.errors import InvalidInputError, StartRefusedError, UnavailableError
from tokensvc.core.private_key import new_private_key
from tokensvc.core.sealing import new_master_key, unseal
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.master_key import (
    find_configured,
    load_master_key,
    read_master_key,
    rotate_master_key,
)
from tokensvc.issuer.signing.new_keys import build_record
from tokensvc.issuer.signing.rotation import Urgency, rotate_once
from tokensvc.settings import load_settings
from tokensvc.store import keyfile
from tokensvc.store.signing_key import insert_signing_key, list_signing_keys


def text_of(key):
    return base64.b64encode(key.secret).decode()


def environment(settings, **more):
    return {
        "TOKENSVC_KEYS_DIR": str(settings.keys_dir),
        "TOKENSVC_DATA_DIR": str(settings.data_dir),
        **more,
    }


async def test_a_new_master_key_opens_everything_and_the_old_one_nothing(
    database, settings, started
):
    path = await rotate_master_key(database, settings, to=None, actor=ACTOR)
    assert path == settings.master_key_path
    new = await load_master_key(database, settings)
    assert new.secret != started.master_key.secret
    old = path.with_name("master.key.old")
    assert (path.stat().st_mode & 0o777, old.stat().st_mode & 0o777) == (0o600, 0o600)
    with pytest.raises(StartRefusedError, match="the master key does not open signing key"):
        await load_master_key(database, settings.model_copy(update={"master_key_file": old}))
    (event,) = await list_events(database, AuditFilter(subject="master_key"), most=5)
    assert (event.operation, event.detail) == ("master-key.rotate", {"signing_keys": 2})


async def test_no_key_is_sealed_again_if_one_of_them_cannot_be_opened(
    database, settings, started, connection
):
    before = await connection.fetch("select kid, sealed_private_key from signing_key order by kid")
    await connection.execute(
        "insert into signing_key"
        " (kid, alg, public_jwk, sealed_private_key, created_at, active_at)"
        " select 'junk', alg, public_jwk, sealed_private_key, created_at, null"
        " from signing_key limit 1"
    )
    with pytest.raises(StartRefusedError):
        await rotate_master_key(database, settings, to=None, actor=ACTOR)
    await connection.execute("delete from signing_key where kid = 'junk'")
    after = await connection.fetch("select kid, sealed_private_key from signing_key order by kid")
    assert after == before
    assert (await load_master_key(database, settings)).secret == started.master_key.secret


async def test_f17_a_thousand_keys_are_all_sealed_again(database, settings, started):
    async with database.transaction() as connection:
        for _ in range(998):  # besides the two that the start has made
            key = new_private_key("ES256")
            made = build_record(key, "ES256", started.master_key, created_at=NOW, active_at=None)
            await insert_signing_key(connection, made)
    await rotate_master_key(database, settings, to=None, actor=ACTOR)
    new = await load_master_key(database, settings)
    async with database.connection() as connection:
        records = await list_signing_keys(connection)
    assert len(records) == 1000
    for r in records:
        unseal(r, new)


@pytest.mark.parametrize(
    ("killed_in", "is_undone"),
    [
        ("tokensvc.issuer.audit.append_audit_events", True),  # before the commit
        ("tokensvc.issuer.signing.master_key.promote_next_master_key", False),  # after it
    ],
)
async def test_f17_a_rotation_that_was_killed_is_whole_or_undone_at_the_next_start(
    killed_in, is_undone, database, settings, started, monkeypatch
):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(killed_in, die)
        with pytest.raises(KeyboardInterrupt):
            await rotate_master_key(database, settings, to=None, actor=ACTOR)
    assert keyfile.next_path(settings.master_key_path).exists()
    loaded = await load_master_key(database, settings)
    assert (loaded.secret == started.master_key.secret) == is_undone
    await rotate_master_key(database, settings, to=None, actor=ACTOR)
    assert not keyfile.next_path(settings.master_key_path).exists()


async def test_of_two_rotations_at_once_none_harms_what_the_other_did(database, settings, started):
    results = await asyncio.gather(
        *(rotate_master_key(database, settings, to=None, actor=ACTOR) for _ in range(2)),
        return_exceptions=True,
    )
    assert [result for result in results if not isinstance(result, BaseException)], results
    assert all(
        isinstance(result, StartRefusedError)
        for result in results
        if isinstance(result, BaseException)
    )
    assert (await load_master_key(database, settings)).secret != started.master_key.secret
    assert not keyfile.next_path(settings.master_key_path).exists()


async def test_a_service_that_runs_goes_on_and_seals_new_keys_under_the_new_one(
    database, settings, started, connection
):
    mirror = Mirror(database, settings, started.master_key)
    await mirror.refresh_once()
    await rotate_master_key(database, settings, to=None, actor=ACTOR)
    await mirror.refresh_once()
    signer = mirror.signers.find("ES256", mirror.postgres_clock.now)
    await age_signing_keys(connection, timedelta(days=40))
    plan = await rotate_once(
        database, settings, started.master_key, actor=ACTOR
    )  # with the master key of before
    assert plan is not None
    await mirror.refresh_once()
    assert mirror.signers.find("ES256", mirror.postgres_clock.now).kid == plan.kid != signer.kid
    await load_master_key(database, settings)
    await revoke_signing_key_now(database, settings, started.master_key, plan.kid, actor=ACTOR)
    await load_master_key(database, settings)


async def test_a_service_whose_master_key_cannot_be_read_again_says_so_and_signs_on_for_a_while(
    database, settings, started, tmp_path
):
    given = settings.model_copy(update={"master_key": None, "master_key_file": tmp_path / "given"})
    keyfile.write_master_key(tmp_path / "given", started.master_key, replace=False)
    mirror = Mirror(database, given, started.master_key)
    await mirror.refresh_once()
    await rotate_master_key(database, given, to=tmp_path / "handed over", actor=ACTOR)
    await mirror.refresh_once()  # what is open stays open
    moved = given.model_copy(update={"master_key_file": tmp_path / "handed over"})
    master_key = await load_master_key(database, moved)
    await rotate_once(database, moved, master_key, actor=ACTOR, urgency=Urgency(asked=True))
    with pytest.raises(StartRefusedError, match="the master key does not open"):
        await mirror.refresh_once()
    with pytest.raises(StartRefusedError):
        await rotate_once(
            database,
            given,
            started.master_key,
            actor=ACTOR,
            urgency=Urgency(at_once=True, force=True),
        )
    async with database.connection() as mine:
        assert len(await list_signing_keys(mine)) == 3
    mirror.postgres_clock.renew(mirror.postgres_clock.at, mirror.postgres_clock.on - 100)
    with pytest.raises(UnavailableError):
        mirror.signers.find("ES256", mirror.postgres_clock.now)


async def test_the_master_key_comes_from_the_environment(database, settings, started):
    given = load_settings(environment(settings, TOKENSVC_MASTER_KEY=text_of(started.master_key)))
    assert (await load_master_key(database, given)).secret == started.master_key.secret
    assert text_of(started.master_key) not in repr(given)
    with pytest.raises(InvalidInputError, match="--to"):
        await rotate_master_key(database, given, to=None, actor=ACTOR)
    with pytest.raises(StartRefusedError, match="TOKENSVC_MASTER_KEY does not hold a master key"):
        read_master_key(make_settings(master_key="junk"))


async def test_the_master_key_comes_from_the_credential_folder(
    database, settings, started, tmp_path
):
    credential = tmp_path / "tokensvc-master-key"
    credential.write_text(text_of(started.master_key) + "\n")
    credential.chmod(0o440)  # as systemd shows it to a service
    given = load_settings(environment(settings, CREDENTIALS_DIRECTORY=str(tmp_path)))
    assert (given.is_credential, given.master_key_path) == (True, credential)
    assert (await load_master_key(database, given)).secret == started.master_key.secret
    with pytest.raises(InvalidInputError, match="--to"):
        await rotate_master_key(database, given, to=None, actor=ACTOR)
    explicit = load_settings(
        environment(
            settings,
            CREDENTIALS_DIRECTORY=str(tmp_path),
            TOKENSVC_MASTER_KEY=text_of(new_master_key()),
        )
    )
    assert (explicit.is_credential, find_configured(explicit) == started.master_key) == (
        False,
        False,
    )
    other = load_settings(environment(settings, CREDENTIALS_DIRECTORY=str(tmp_path / "none")))
    assert other.master_key_path == settings.master_key_path


def test_two_sources_contradict_each_other(tmp_path):
    with pytest.raises(
        StartRefusedError, match="TOKENSVC_MASTER_KEY and TOKENSVC_MASTER_KEY_FILE contradict"
    ):
        load_settings({"TOKENSVC_MASTER_KEY": "x", "TOKENSVC_MASTER_KEY_FILE": str(tmp_path)})


async def test_a_new_file_is_never_written_over_an_old_one(database, settings, started, tmp_path):
    del started
    taken = tmp_path / "taken"
    taken.write_text("something")
    with pytest.raises(StartRefusedError, match="cannot be made"):
        await rotate_master_key(database, settings, to=taken, actor=ACTOR)
    assert taken.read_text() == "something"
