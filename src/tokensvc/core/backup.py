"""What stands on the first line of a backup. Behind that line is an archive of pg_dump."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from tokensvc.core.errors import InvalidInputError

MOST_BYTES: Final = 4096  # of the first line
_MARK: Final = "tokensvc_backup"
_FORM: Final = 1
_NO_BACKUP: Final = "this file was not made by `tokensvc backup`"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """What a backup says of itself. All of it, and the archive, are of one moment.

    `version`: of tokensvc. `made_at`: by Postgres's clock. `postgres`, `pg_dump`: the major
    versions of the server and of the program. `migration`: the newest one. The rest is the head of
    the audit trail; the hash is in hex.
    """

    version: str
    made_at: datetime
    postgres: int
    pg_dump: int
    migration: str
    audit_number: int
    audit_hash: str
    audit_epoch: str


def build_first_line(facts: BackupFacts) -> bytes:
    """Return the first line, with its end."""
    content = {_MARK: _FORM, **asdict(facts), "made_at": facts.made_at.isoformat()}
    return json.dumps(content).encode() + b"\n"


def parse_first_line(line: bytes) -> BackupFacts:
    """Return what a first line says. Raises InvalidInputError if it is not one of ours."""
    try:
        content = json.loads(line)
        form = content.pop(_MARK)
        content["made_at"] = datetime.fromisoformat(content["made_at"])
        facts = BackupFacts(**content) if form == _FORM else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInputError(_NO_BACKUP) from error
    if facts is None:
        raise InvalidInputError(f"{_NO_BACKUP}, or by a newer version of it")
    return facts
