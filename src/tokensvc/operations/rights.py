"""The one place that decides whether a caller may call an operation, and whose things it sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.capability import ADMIN, READ
from tokensvc.core.errors import InsufficientAuthenticationError, InsufficientScopeError
from tokensvc.core.granting import Grantor

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.actor import Actor
    from tokensvc.core.identifier import AccountId, KeyId
    from tokensvc.operations.operation import Operation

FRESH_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls, and what they may.

    `actor`: as the audit trail keeps them. `key_id` and `account_id` are None for people at the
    machine of the service, who may do everything. `shown_at`: when the API key itself was shown;
    None if that is just now. `by_key`: the API key itself was shown, not a token.
    """

    actor: Actor
    capabilities: frozenset[str]
    key_id: KeyId | None = None
    account_id: AccountId | None = None
    shown_at: datetime | None = None
    by_key: bool = False

    @classmethod
    def of_host(cls, actor: Actor) -> Principal:
        """Return a person at the machine of the service."""
        return cls(actor=actor, capabilities=frozenset({ADMIN}))

    @property
    def is_admin(self) -> bool:
        """Whether everything is allowed."""
        return ADMIN in self.capabilities

    @property
    def key_reader_of(self) -> AccountId | None:
        """The account whose things alone may be seen, None for all."""
        return None if {ADMIN, READ} & self.capabilities else self.account_id

    @property
    def key_owner_of(self) -> AccountId | None:
        """The account whose keys alone may be changed, None for all."""
        return None if self.is_admin else self.account_id

    @property
    def grantor(self) -> Grantor | None:
        """The key that stands for what this caller gives to keys; None at the machine itself."""
        return None if self.key_id is None else Grantor(self.key_id, self.capabilities)


def may_call(operation: Operation, principal: Principal) -> bool:
    """Tell whether the capabilities of a caller suffice."""
    return not operation.needs or not principal.capabilities.isdisjoint(operation.needs)


def check_call(operation: Operation, principal: Principal, now: datetime | None) -> None:
    """Raise InsufficientScopeError or InsufficientAuthenticationError unless the call is allowed.

    `now`: Postgres's clock; None if the operation need not be fresh.
    """
    if not may_call(operation, principal):
        # Each row of the table names the least capability last.
        raise InsufficientScopeError(operation.needs[-1], one_of=operation.needs)
    if operation.fresh and not is_fresh(principal, now):
        raise InsufficientAuthenticationError(int(FRESH_FOR.total_seconds()))


def is_fresh(principal: Principal, now: datetime | None) -> bool:
    """Tell whether the API key was shown not long ago."""
    shown_at = principal.shown_at
    return shown_at is None or (now is not None and now - shown_at <= FRESH_FOR)


def list_allowed(operations: tuple[Operation, ...], principal: Principal) -> list[str]:
    """Return the names of the operations that a caller may call."""
    return [operation.name for operation in operations if may_call(operation, principal)]
