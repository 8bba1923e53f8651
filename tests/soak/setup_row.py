"""The set-ups that people have, one a row: what is special about each, and what must come of it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
ROLE: Final = "create role {name} login password 'a b/c@d%e'"
DATABASE: Final = "create database {name} owner {name}"


class SetUp(NamedTuple):
    """One set-up. In every text, `{name}` is the role and the database of the row.

    `refused`: a pattern for the one line of a start that is refused; if empty, it becomes ready.
    `said`: what stands in the output or the log of one that becomes ready. `sql`: what the
    administrator has run, `inside`: in the database of the row. `address`: host and parameters of
    the URL. `settings`: of the service; with TOKENSVC_DATABASE_URL empty, its Postgres is embedded.
    `before`: commands of the shell that the service is started behind. `as_uid`: who runs it.
    `files`: what is in its folder, by name; a name that ends with .utf16 is written like that.
    """

    name: str
    refused: str = ""
    said: str = ""
    sql: Sequence[str] = (ROLE, DATABASE)
    inside: Sequence[str] = ()
    user: str = "{name}:a%20b%2Fc%40d%25e"
    address: str = "{host}/{name}"
    settings: Mapping[str, str] = NOTHING
    arguments: Sequence[str] = ()
    files: Mapping[str, str] = NOTHING
    before: str = ""
    as_uid: int | None = None
