"""What a database is made of, as Postgres's catalog has it, to compare two databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncpg

# The table of the migrations themselves belongs to the runner, not to the schema.
_OURS: Final = "relnamespace = 'public'::regnamespace and relname not like 'schema_migrations%'"
_QUERIES: Final = {
    "relations": f"""
        select relname, relkind::text, relpersistence::text, reloptions from pg_class where {_OURS}
    """,
    "columns": f"""
        select relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
            pg_get_expr(adbin, adrelid)
        from pg_class join pg_attribute on attrelid = pg_class.oid
            left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where {_OURS} and relkind in ('r', 'v') and attnum > 0 and not attisdropped
    """,
    "constraints": f"""
        select relname, conname, pg_get_constraintdef(pg_constraint.oid)
        from pg_class join pg_constraint on conrelid = pg_class.oid where {_OURS}
    """,
    "indexes": f"""
        select relname, pg_get_indexdef(pg_class.oid) from pg_class
        where {_OURS} and relkind = 'i'
    """,
    "views": f"""
        select relname, pg_get_viewdef(pg_class.oid) from pg_class where {_OURS} and relkind = 'v'
    """,
    "triggers": f"""
        select relname, pg_get_triggerdef(pg_trigger.oid)
        from pg_class join pg_trigger on tgrelid = pg_class.oid where {_OURS} and not tgisinternal
    """,
    "functions": """
        select proname, pg_get_functiondef(oid) from pg_proc
        where pronamespace = 'public'::regnamespace
    """,
}
# These differ from database to database.
_CHANCE: Final = {"created_at", "epoch", "tag"}


async def read_catalog(connection: asyncpg.Connection) -> dict[str, list[Any]]:
    """Return what there is, by kind, sorted; the order of columns does not count.

    `rows` holds the rows that the schema begins with.
    """
    catalog = {
        kind: sorted((tuple(row) for row in await connection.fetch(query)), key=str)
        for kind, query in _QUERIES.items()
    }
    rows = []
    for name, kind, *_ in catalog["relations"]:
        if kind == "r":
            found = await connection.fetch(f'select to_jsonb(t) as row from "{name}" t')
            rows += [
                (name, {column: row["row"][column] for column in row["row"].keys() - _CHANCE})
                for row in found
            ]
    catalog["rows"] = sorted(rows, key=str)
    return catalog
