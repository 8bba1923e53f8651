"""The schema: one page says what the migrations make, what has landed is frozen, queries fit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from contextlib import asynccontextmanager

import pytest
from tests.integration.catalog import read_catalog

from tokensvc.store import queries
from tokensvc.store.migrate import load_statements
from tokensvc.store.primary import connect

SQL = queries.sql_root()
TABLES = sorted(path.stem for path in (SQL / "queries").glob("*.sql"))
EVERY_QUERY = {
    f"{table}.{name}": text
    for table in TABLES
    for name, text in queries.load_queries(table).items()
}
MIGRATIONS = sorted((SQL / "migrations").glob("*.sql"))
FUNCTIONS = sorted((SQL / "functions").glob("*.sql"))
# now() is the start of the transaction: before the locks were taken.
WRONG_CLOCK = re.compile(
    r"\bnow\(\)|current_timestamp|localtimestamp|transaction_timestamp|statement_timestamp",
    re.IGNORECASE,
)


@pytest.fixture
async def page(new_database_url):
    """A connection to a database that was made from the page."""
    opened = await connect(await asyncio.to_thread(new_database_url, "empty"))
    await opened.execute(load_statements(SQL / "schema.sql", SQL))
    yield opened
    await opened.close()


async def test_the_page_and_the_migrations_make_the_same(page, connection, subtests):
    expected, made = await read_catalog(connection), await read_catalog(page)
    assert all(expected[kind] for kind in expected)
    for kind in expected:
        with subtests.test(msg=kind):
            assert made[kind] == expected[kind], "sql/schema.sql is not what the migrations make"


async def test_no_difference_of_the_page_is_overlooked(connection, subtests):
    before = await read_catalog(connection)
    for change, kind in {
        "alter table account add column extra text": "columns",
        "alter table api_key_usage alter column count type int": "columns",
        "alter table audience alter column alg set default 'RS256'": "columns",
        "alter table account alter column tier drop not null": "columns",
        "alter table account_window reset (fillfactor)": "relations",
        "alter table iat_floor set logged": "relations",
        "create table extra (id int)": "relations",
        "alter table account drop constraint account_id_form": "constraints",
        "alter table account drop constraint account_id_form, "
        "add constraint account_id_form check (id ~ '^acct')": "constraints",
        "drop index denylist_value_idx": "indexes",
        "create or replace view listed_tier as select name, description, key_per_minute, "
        "key_per_day, account_per_minute, account_per_day, created_at from tier "
        "where name <> 'x'": "views",
        "create or replace function window_start(counted timestamptz, present timestamptz, "
        "length interval) returns timestamptz language sql as 'select present'": "functions",
        "create trigger quiet before update on tier for each row "
        "execute function suppress_redundant_updates_trigger()": "triggers",
        "update tier set key_per_day = 1": "rows",
    }.items():
        with subtests.test(msg=change):
            async with _undone(connection):
                await connection.execute(change)
                after = await read_catalog(connection)
                assert after[kind] != before[kind]
    assert await read_catalog(connection) == before


def test_what_has_landed_is_as_it_was():
    assert find_thawed(SQL) == []


def test_a_change_of_what_has_landed_is_noticed(tmp_path):
    root = tmp_path / "sql"
    shutil.copytree(SQL, root)
    changed, gone = root / "migrations" / MIGRATIONS[0].name, root / "functions" / FUNCTIONS[0].name
    landed = "restore it, and put the change into a new migration, or into a new function"
    changed.write_text(changed.read_text() + "-- a late thought\n")
    gone.unlink()
    (root / "migrations" / "9000_new.sql").write_text("-- migrate:up\n")
    assert find_thawed(root) == [
        f"sql/functions/{gone.name} has landed: {landed} with a new name",
        f"sql/migrations/{changed.name} has landed: {landed} with a new name",
        "sql/migrations/9000_new.sql is new: run `make freeze-sql` before it lands",
    ]


def find_thawed(root):
    """Return a sentence for each file that is not what sql/checksums.txt says."""
    lines = (root / "checksums.txt").read_text().splitlines()
    frozen = {name: checksum for checksum, name in (line.split("  ") for line in lines)}
    present = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("migrations", "functions")
        for path in (root / folder).glob("*.sql")
    }
    landed = "restore it, and put the change into a new migration, or into a new function"
    return [
        f"sql/{name} has landed: {landed} with a new name"
        if name in frozen
        else f"sql/{name} is new: run `make freeze-sql` before it lands"
        for name in sorted(frozen.keys() | present.keys())
        if frozen.get(name) != present.get(name)
    ]


def test_a_function_is_made_once_by_the_file_of_its_name_and_nothing_is_replaced(subtests):
    texts = {path.name: path.read_text() for path in [*MIGRATIONS, *FUNCTIONS]}
    for path in FUNCTIONS:
        with subtests.test(msg=path.name):
            assert re.findall(r"^create function (\w+)", texts[path.name], re.MULTILINE) == [
                path.stem
            ]
            line = f"-- load: functions/{path.name}"
            loading = [name for name, text in texts.items() if line in text.splitlines()]
            assert len(loading) == 1, loading
    for name, text in texts.items():
        with subtests.test(msg=name):
            # A view keeps its columns, as Postgres sees to, so the release before can use it too.
            assert not re.search(r"create or replace (?!view)", text.lower()), "it has landed"
            if name[0].isdigit():
                assert "create function" not in text.lower(), "a function has a file of its own"


async def test_every_query_prepares_on_the_schema(connection, subtests):
    assert len(EVERY_QUERY) > 40
    for name, text in EVERY_QUERY.items():
        with subtests.test(msg=name):
            await connection.prepare(text)


def test_every_query_says_what_it_reads_and_asks_the_right_clock(subtests):
    files = {path.name: path.read_text() for path in [*MIGRATIONS, *FUNCTIONS, SQL / "schema.sql"]}
    for name, text in (files | EVERY_QUERY).items():
        with subtests.test(msg=name):
            statements = re.sub(r"--.*", "", text)
            assert not WRONG_CLOCK.search(statements)
            if name in EVERY_QUERY:
                stars = re.findall(r"(?:select|returning|,)\s*(?:\w+\.)?\*", statements)
                of_views = re.findall(
                    r"select \*(?:, clock_timestamp\(\) as at)? from listed_\w+", statements
                )
                assert len(stars) == len(of_views), "a list of columns, or a view that holds one"


async def test_what_is_looked_up_is_found_by_an_index(connection, subtests):
    for setting in ("seqscan", "hashjoin", "mergejoin", "bitmapscan"):
        await connection.execute(f"set enable_{setting} = off")
    await connection.execute("set plan_cache_mode = force_generic_plan")
    for name in (
        "account.find", "account.lock", "api_key.find", "api_key.lock",
        "api_key.find_id_by_digest", "denylist.find_ended", "audience.find", "tier.lock",
        "denylist.list_of", "denylist.read_after", "denylist.is_revoked", "denylist.find_tag",
    ):  # fmt: skip
        with subtests.test(msg=name):
            await connection.execute(f"prepare asked as {EVERY_QUERY[name]}")
            count = await connection.fetchval(
                "select cardinality(parameter_types) from "
                "pg_prepared_statements where name = 'asked'"
            )
            nulls = ", ".join(["null"] * count)
            plan = await connection.fetchval(f"explain (format json) execute asked ({nulls})")
            scans = [node for node in _nodes(json.loads(plan)) if "Relation Name" in node]
            reading = [node for node in scans if node["Node Type"] != "ModifyTable"]
            assert reading
            assert all("Index Cond" in node for node in reading), plan
            await connection.execute("deallocate asked")


@pytest.mark.parametrize(
    "text",
    [
        "-- name: find(id)\nselect $1;\n-- name: find(id)\nselect $1;\n",
        "-- name: find(id)\nselect $1, $2;\n",
        "-- name: find(id, name)\nselect $1;\n",
    ],
    ids=["twice", "lacking", "unused"],
)
def test_a_query_file_that_contradicts_itself_is_refused(text):
    with pytest.raises(ValueError, match=r"table\.sql: find stands twice, or names"):
        queries.parse_queries(text, "table")


@asynccontextmanager
async def _undone(connection):
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


def _nodes(plan):
    """Return all nodes of a plan."""
    if isinstance(plan, list):
        return [node for part in plan for node in _nodes(part)]
    if not isinstance(plan, dict):
        return []
    return [plan, *(node for value in plan.values() for node in _nodes(value))]
