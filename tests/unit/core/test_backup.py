from __future__ import annotations

import pytest
from tests.factories import NOW

from tokensvc.core.backup import BackupFacts, build_first_line, parse_first_line
from tokensvc.core.errors import InvalidInputError

FACTS = BackupFacts(
    version="1.0",
    made_at=NOW,
    postgres=15,
    pg_dump=16,
    migration="0016",
    audit_number=7,
    audit_hash="ab",
    audit_epoch="cd",
)


def test_a_first_line_says_what_it_was_made_of():
    line = build_first_line(FACTS)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert parse_first_line(line) == FACTS


@pytest.mark.parametrize(
    "line",
    [b"", b"PGDMP\x01", b"[]", b"{}", b"\xff", b"7", b'{"tokensvc_backup": 1}',
     build_first_line(FACTS).replace(b'"postgres"', b'"other"'),
     build_first_line(FACTS).replace(b"2026", b"soon")],
)  # fmt: skip
def test_another_first_line_is_refused(line):
    with pytest.raises(InvalidInputError, match="was not made by"):
        parse_first_line(line)


def test_a_form_that_is_not_known_yet_is_refused():
    newer = build_first_line(FACTS).replace(b'backup": 1', b'backup": 2')
    with pytest.raises(InvalidInputError, match="newer version"):
        parse_first_line(newer)
