"""Events of the audit trail as a file: a table for people, or lines of JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS: Final = (
    "number", "at", "operation", "subject", "actor", "account", "address", "request_id", "detail",
    "hash",
)  # fmt: skip
# A spreadsheet takes what begins like this for a formula, and anybody chooses names.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_csv(events: Iterable[Any]) -> str:
    """Return a table with a line of names (RFC 4180).

    A text like a formula gets a quote before it.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for event in events:
        values = event.model_dump(mode="json")
        writer.writerow([_write_cell(values[name]) for name in _COLUMNS])
    return text.getvalue()


def write_lines(events: Iterable[Any]) -> str:
    """Return a line of JSON for each event, as the operation answers it."""
    return "".join(f"{event.model_dump_json()}\n" for event in events)


def _write_cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text
