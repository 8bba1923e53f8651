"""Migrations are applied once, in order, by one process, and never over what is not known."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.issuer.database import check_schema
from tokensvc.issuer.start import apply_migrations
from tokensvc.store.migrate import Migration, find_missing, load_migrations, migrate, one_at_a_time
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect

UP = "-- migrate:up\n"


def new_migration(version, statements):
    return Migration(version=version, name=f"{version}_added.sql", statements=statements)


async def test_a_fresh_database_is_migrated_once(new_database_url, settings):
    database = await open_database(await asyncio.to_thread(new_database_url, "empty"), max_size=2)
    with pytest.raises(
        StartRefusedError,
        match=r"lacks \d+ migration\(s\), first 0001_schema.sql; run: tokensvc init",
    ):
        await check_schema(database)
    names = [migration.name for migration in load_migrations()]
    assert await apply_migrations(database, settings) == names
    assert await apply_migrations(database, settings) == []
    await check_schema(database)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select version, checksum, applied_at from schema_migrations order by version"
        )
    assert [row["version"] for row in rows] == [name[:4] for name in names]
    assert all(len(row["checksum"]) == 64 and row["applied_at"] is not None for row in rows)
    await database.close()


async def test_a_migration_that_was_edited_after_it_was_applied_is_refused(connection):
    added = new_migration("9000", "create table added (id int);")
    await migrate(connection, [*load_migrations(), added])
    edited = replace(added, statements=f"{added.statements}\n-- a late thought")
    for act in (migrate, find_missing):
        with pytest.raises(StartRefusedError, match=r"9000_added\.sql was edited after") as caught:
            await act(connection, [*load_migrations(), edited])
        assert "new migration" in caught.value.message


@pytest.mark.parametrize("versions", [["0001"], ["0001", "0002", "0003", "0004"], ["0002"]])
async def test_a_database_from_before_the_first_release_has_to_be_made_anew(connection, versions):
    await connection.execute("delete from schema_migrations")
    await connection.executemany(
        "insert into schema_migrations values ($1, 'another', clock_timestamp())",
        [(version,) for version in versions],
    )
    for act in (migrate, find_missing):
        with pytest.raises(StartRefusedError, match="a trial version before the first") as caught:
            await act(connection, load_migrations())
        assert "\n" not in caught.value.message
        for way_out in (".tokensvc/", "TOKENSVC_DATA_DIR", "TOKENSVC_DATABASE_URL"):
            assert way_out in caught.value.message


async def test_f30_the_release_before_runs_on_a_database_that_a_later_one_has_migrated(connection):
    later = new_migration("9000", "create table added (id int);")
    await migrate(connection, [*load_migrations(), later])
    assert await migrate(connection, load_migrations()) == []


async def test_of_several_migrators_at_once_one_does_the_work(new_database_url, settings):
    url = await asyncio.to_thread(new_database_url, "empty")
    databases = [await open_database(url, max_size=2) for _ in range(5)]
    applied = await asyncio.gather(
        *(apply_migrations(database, settings) for database in databases)
    )
    names = [migration.name for migration in load_migrations()]
    assert sorted(applied, key=len) == [[]] * 4 + [names]
    for database in databases:
        await database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(connection):
    good = new_migration("9000", "create table whole (id int);")
    broken = new_migration("9001", "create table half (id int); select 1 / 0;")
    migrations = [*load_migrations(), good, broken]
    with pytest.raises(Exception, match="division by zero"):
        await migrate(connection, migrations)
    assert await connection.fetchval(
        "select to_regclass('whole') is not null and to_regclass('half') is null"
    )
    assert await find_missing(connection, migrations) == [broken]


async def test_a_migration_may_take_longer_than_a_statement_usually_may(connection):
    await connection.execute("set statement_timeout = '200ms'")
    slow = new_migration("9000", "select pg_sleep(0.4); create table slow (id int);")
    assert await migrate(connection, [*load_migrations(), slow]) == ["9000_added.sql"]
    assert await connection.fetchval("show statement_timeout") == "200ms"


@pytest.fixture
def sql(tmp_path):
    """An empty folder `sql`."""
    for folder in ("migrations", "functions"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_a_file_that_is_no_migration_is_refused(sql, subtests):
    (sql / "migrations" / "0001_first.sql").write_text(f"{UP}select 1;\n")
    (sql / "migrations" / "README.md").write_text("not looked at")
    first = Migration(version="0001", name="0001_first.sql", statements="select 1;\n")
    assert load_migrations(sql) == [first]
    for name, text in {
        "1_short.sql": UP,
        "0002-hyphen.sql": UP,
        "0002_unmarked.sql": "select 1;",
        "0002_marked_late.sql": f"select 1;\n{UP}",
    }.items():
        with subtests.test(msg=name):
            path = sql / "migrations" / name
            path.write_text(text)
            with pytest.raises(
                StartRefusedError, match=rf"{name} is no migration: it must be named NNNN_noun.sql"
            ):
                load_migrations(sql)
            path.unlink()


def test_a_function_stands_where_it_is_loaded_and_counts_in_the_checksum(sql):
    path, function = sql / "migrations" / "0001_first.sql", sql / "functions" / "one.sql"
    path.write_text(f"{UP}select 1;\n-- load: functions/one.sql\nselect 3;\n")
    with pytest.raises(StartRefusedError, match=r"0001_first.sql loads functions/one.sql, which"):
        load_migrations(sql)
    function.write_text(r"select '\1';" + "\n")
    (before,) = load_migrations(sql)
    assert before.statements == "select 1;\nselect '\\1';\n\nselect 3;\n"
    function.write_text("select 2;\n")
    (after,) = load_migrations(sql)
    assert after.checksum != before.checksum


async def test_the_start_lock_is_polled_and_let_go_even_after_a_failure(database_url, connection):
    other = await connect(database_url)
    order, tasks = [], []

    async def second():
        async with one_at_a_time(other):
            order.append("second")

    async def first():
        async with one_at_a_time(connection):
            tasks.append(asyncio.create_task(second()))
            await asyncio.sleep(0.15)
            waiting = await connection.fetchval(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            )
            assert waiting == 0
            order.append("first")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await first()
    await asyncio.wait_for(tasks[0], 3)
    assert order == ["first", "second"]
    await other.close()
