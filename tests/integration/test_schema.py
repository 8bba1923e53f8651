from __future__ import annotations

import asyncio
import re

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.issuer.start import apply_migrations, check_schema
from tokensvc.store import queries
from tokensvc.store.migrate import Migration, find_missing, load_migrations, migrate, one_at_a_time
from tokensvc.store.pool import connect, open_database

TABLES = sorted(path.stem for path in (queries.sql_root() / "queries").glob("*.sql"))
EVERY_QUERY = [(table, name) for table in TABLES for name in queries.load_queries(table)]


async def test_every_query_prepares_on_the_schema(connection, subtests):
    assert len(EVERY_QUERY) > 40
    for table, name in EVERY_QUERY:
        with subtests.test(msg=f"{table}.{name}"):
            await connection.prepare(queries.load_queries(table)[name])


def test_every_query_names_its_columns_and_asks_the_right_clock(subtests):
    migrations = {
        path.name: path.read_text() for path in (queries.sql_root() / "migrations").glob("*.sql")
    }
    texts = migrations | {
        f"{table}.{name}": queries.load_queries(table)[name] for table, name in EVERY_QUERY
    }
    for name, text in texts.items():
        with subtests.test(msg=name):
            statements = re.sub(r"--.*", "", text)
            if name not in migrations:
                assert not re.search(r"\bselect\s+(\w+\.)?\*", statements, re.IGNORECASE)
            # now() is the start of the transaction: before the locks were taken
            assert not re.search(
                r"\bnow\(\)|current_timestamp|localtimestamp|transaction_timestamp",
                statements,
                re.IGNORECASE,
            )


def test_a_query_file_that_contradicts_itself_is_refused(tmp_path, monkeypatch, subtests):
    monkeypatch.setattr(queries, "sql_root", lambda: tmp_path)
    (tmp_path / "queries").mkdir()
    bad = {
        "twice": "-- name: find(id)\nselect $1;\n-- name: find(id)\nselect $1;\n",
        "lacking": "-- name: find(id)\nselect $1, $2;\n",
        "unused": "-- name: find(id, name)\nselect $1;\n",
    }
    for table, text in bad.items():
        with subtests.test(msg=table):
            (tmp_path / "queries" / f"{table}.sql").write_text(text)
            with pytest.raises(ValueError, match=rf"{table}\.sql: find stands twice, or names"):
                queries.load_queries(table)


async def test_a_fresh_database_is_migrated_once(new_database_url):
    database = await _open(new_database_url, migrated=False)
    with pytest.raises(
        StartRefusedError,
        match=r"lacks \d+ migration\(s\), first 0001_core.sql; run: tokensvc init",
    ):
        await check_schema(database)
    names = [migration.name for migration in load_migrations()]
    assert await apply_migrations(database) == names
    assert await apply_migrations(database) == []
    await check_schema(database)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select version, checksum, applied_at from schema_migrations order by version"
        )
    assert [row["version"] for row in rows] == [name[:4] for name in names]
    assert all(len(row["checksum"]) == 64 and row["applied_at"] is not None for row in rows)
    await database.close()


async def test_a_migration_that_was_edited_after_its_release_is_refused(connection):
    edited = [
        Migration(m.version, m.name, m.statements + "\n-- a late thought")
        for m in load_migrations()
    ]
    for act in (migrate, find_missing):
        with pytest.raises(
            StartRefusedError, match=r"0001_core.sql was edited after it had been applied"
        ) as caught:
            await act(connection, edited)
        assert "new migration" in caught.value.message


async def test_of_several_migrators_at_once_one_does_the_work(new_database_url):
    url = await asyncio.to_thread(new_database_url, False)
    databases = [await open_database(url, max_size=2) for _ in range(5)]
    applied = await asyncio.gather(*(apply_migrations(database) for database in databases))
    assert sorted(applied, key=len) == [[]] * 4 + [
        [migration.name for migration in load_migrations()]
    ]
    for database in databases:
        await database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(connection):
    broken = Migration("9001", "9001_broken.sql", "create table half (id int); select 1 / 0;")
    good = Migration("9000", "9000_good.sql", "create table whole (id int);")
    with pytest.raises(Exception, match="division by zero"):
        await migrate(connection, [*load_migrations(), good, broken])
    assert await connection.fetchval(
        "select to_regclass('whole') is not null and to_regclass('half') is null"
    )
    assert [m.name for m in await find_missing(connection, [*load_migrations(), good, broken])] == [
        "9001_broken.sql"
    ]


async def test_a_migration_may_take_longer_than_a_statement_usually_may(connection):
    await connection.execute("set statement_timeout = '200ms'")
    slow = Migration("9000", "9000_slow.sql", "select pg_sleep(0.4); create table slow (id int);")
    assert await migrate(connection, [*load_migrations(), slow]) == ["9000_slow.sql"]
    assert await connection.fetchval("show statement_timeout") == "200ms"


def test_a_file_that_is_no_migration_is_refused(tmp_path, subtests):
    good = tmp_path / "0001_first.sql"
    good.write_text("-- migrate:up\nselect 1;\n")
    (tmp_path / "README.md").write_text("not looked at")
    assert [(m.version, m.statements) for m in load_migrations(tmp_path)] == [
        ("0001", "select 1;\n")
    ]
    for name, text in {
        "1_short.sql": "-- migrate:up\n",
        "0002-hyphen.sql": "-- migrate:up\n",
        "0002_unmarked.sql": "select 1;",
        "0002_marked_late.sql": "select 1;\n-- migrate:up\n",
    }.items():
        with subtests.test(msg=name):
            path = tmp_path / name
            path.write_text(text)
            with pytest.raises(
                StartRefusedError, match=rf"{name} is no migration: it must be named NNNN_noun.sql"
            ):
                load_migrations(tmp_path)
            path.unlink()


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
            assert (
                await connection.fetchval(
                    "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                )
                == 0
            )
            order.append("first")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await first()
    await asyncio.wait_for(tasks[0], 3)
    assert order == ["first", "second"]
    await other.close()


async def _open(new_database_url, *, migrated):
    return await open_database(await asyncio.to_thread(new_database_url, migrated), max_size=2)
