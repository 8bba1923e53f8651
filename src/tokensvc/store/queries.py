"""Named SQL: `sql/queries/<table>.sql`, blocks that begin with `-- name: verb_noun(argument, ...)`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

_NAME = re.compile(r"^-- name: (\w+)\(([^)]*)\)$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$(\d+)")
_PACKAGE: Final = Path(__file__).parent.parent


def sql_root() -> Path:
    """Return the folder `sql`: inside the installed package, else beside `src` in a checkout."""
    packaged = _PACKAGE / "sql"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "sql"


@cache
def load_queries(table: str) -> dict[str, str]:
    """Return the statements of one table by name. Raises ValueError if a name stands twice or its arguments do not match."""
    text = (sql_root() / "queries" / f"{table}.sql").read_text("utf-8")
    marks = list(_NAME.finditer(text))
    queries: dict[str, str] = {}
    for mark, end in zip(marks, [*(m.start() for m in marks[1:]), len(text)], strict=True):
        name, arguments, statement = (
            mark[1],
            [a for a in mark[2].split(",") if a.strip()],
            text[mark.end() : end].strip(),
        )
        highest = max((int(number) for number in _PLACEHOLDER.findall(statement)), default=0)
        if name in queries or highest != len(arguments):
            raise ValueError(
                f"{table}.sql: {name} stands twice, or names {len(arguments)} arguments and uses {highest}"
            )
        queries[name] = statement
    return queries
