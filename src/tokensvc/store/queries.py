"""Named SQL statements: `sql/queries/<table>.sql`.

A file has one block per statement, which begins with `-- name: verb_noun(argument, ...)`. The
arguments are $1, $2 and so on.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\(([^)]*)\)$", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"\$(\d+)")
_PACKAGE: Final = Path(__file__).parent.parent


def sql_root() -> Path:
    """Return the folder `sql`: inside the installed package, else beside `src` in a checkout."""
    packaged = _PACKAGE / "sql"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "sql"


@cache
def load_queries(table: str) -> dict[str, str]:
    """Return the statements of one table by name. Raises ValueError as `parse_queries` does."""
    return parse_queries((sql_root() / "queries" / f"{table}.sql").read_text("utf-8"), table)


def parse_queries(text: str, table: str) -> dict[str, str]:
    """Return the statements in the file of one table by name.

    Raises ValueError if a name stands twice, or if its arguments are not those of the statement.
    """
    marks = list(_NAME.finditer(text))
    queries: dict[str, str] = {}
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        name, statement = mark[1], text[mark.end() : end].strip()
        named = len([argument for argument in mark[2].split(",") if argument.strip()])
        used = max((int(number) for number in _PLACEHOLDER.findall(statement)), default=0)
        if name in queries or used != named:
            raise ValueError(
                f"{table}.sql: {name} stands twice, or names {named} arguments and uses {used}"
            )
        queries[name] = statement
    return queries
