"""A row of the table: one thing that can be done, and who may do it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tokensvc.core.capability import ADMIN, KEYS, READ

if TYPE_CHECKING:
    from datetime import date

    from tokensvc.operations.model import Model

Method = Literal["GET", "POST", "PATCH", "DELETE"]

# Who may call: whoever holds one of these capabilities.
ADMINS: Final = (ADMIN,)
READERS: Final = (ADMIN, READ)
KEY_OWNERS: Final = (ADMIN, KEYS)  # with KEYS: only things of the caller's account
KEY_READERS: Final = (ADMIN, READ, KEYS)
ANYBODY: Final[tuple[str, ...]] = ()  # whoever shows a good credential

_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that can be done.

    `name`: the subject and a verb. `path`: its parameters, in braces, are fields of `request`.
    `needs`: the caller holds one of these capabilities. `fresh`: the caller has shown its API key
    within the last ten minutes. `request`: everything that the caller says, wherever it stands in
    an HTTP request. `status`: of the answer if all is well. `idempotent_by_key`: the caller may
    name its request with `Idempotency-Key`, and repeating it creates nothing. `has_version`: the
    answer has an `ETag`. `checks_version`: it obeys `If-Match` although its answer has no `ETag`.
    `is_open`: nobody need show a credential, and one that is shown is not looked at. `is_bulk`: the
    body may be a megabyte. `takes_list`: the body may be a bare list, which becomes this field.
    `is_for_holders`: it belongs to everybody who holds an API key, as asking for tokens does.
    `deprecated_on`, `ends_on`: the day from which on nobody should call it (RFC 9745), and the day
    on which it will be gone (RFC 8594).
    """

    name: str
    method: Method
    path: str
    summary: str
    needs: tuple[str, ...]
    request: type[Model]
    response: type[Model]
    fresh: bool = False
    status: int = 200
    idempotent_by_key: bool = False
    has_version: bool = False
    checks_version: bool = False
    is_open: bool = False
    is_bulk: bool = False
    takes_list: str | None = None
    is_for_holders: bool = False
    deprecated_on: date | None = None
    ends_on: date | None = None

    @property
    def subject(self) -> str:
        """What it is about: `keys`, `signing-keys`."""
        return self.name.partition(".")[0]

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def is_public(self) -> bool:
        """Whether it is answered where tokens are, even if operations have a port of their own."""
        return self.is_open or self.is_for_holders

    @property
    def obeys_if_match(self) -> bool:
        """Whether the caller may name the version of the thing that it is ready to change."""
        is_versioned = self.has_version or self.checks_version
        return self.changes and bool(self.path_parameters) and is_versioned

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The fields of the request that stand in the path."""
        return tuple(_PARAMETER.findall(self.path))
