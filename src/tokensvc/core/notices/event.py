"""The one table of events: their names, what they are about, who may know, and what is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

EventName = Literal[
    "key.created",
    "key.rotated",
    "key.disabled",
    "key.enabled",
    "key.revoked",
    "key.deleted",
    "key.leaked",
    "key.expiring",
    "key.idle",
    "key.new_network",
    "key.limit_80",
    "key.limit_100",
    "key.unusual_use",
    "key.used_in_grace",
    "key.used_after_end",
    "account.limit_80",
    "account.limit_100",
    "account.suspended",
    "account.resumed",
    "account.deleted",
    "endpoint.created",
    "endpoint.deleted",
    "endpoint.disabled",
    "follower.lagging",
    "signing_key.rotated",
    "signing_key.overdue",
    "signing_key.revoked",
    "denylist.went_back",
]
# What only the endpoint itself is told; nobody subscribes to it.
OwnEventName = Literal["notice.test", "notice.confirm"]

TEST: Final[OwnEventName] = "notice.test"
CONFIRM: Final[OwnEventName] = "notice.confirm"
EVENT_NAMES: Final[tuple[EventName, ...]] = get_args(EventName)

# These are of no account, so only who is told of the whole service hears of them.
_OF_SERVICE: Final = ("signing_key.", "denylist.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """What an event means.

    `text`: the sentence in a mail; `{subject}` is what it is about, in words. `operations`: the
    acts in the audit trail that are this event; none if something else notices it.
    """

    text: str
    operations: tuple[str, ...] = ()


EVENTS: Final[dict[EventName | OwnEventName, EventFacts]] = {
    "key.created": EventFacts(text="{subject} was created", operations=("keys.create",)),
    "key.rotated": EventFacts(
        text="{subject} was rotated and has a successor",
        operations=("keys.rotate", "keys.rotate-self"),
    ),
    "key.disabled": EventFacts(text="{subject} was disabled", operations=("keys.disable",)),
    "key.enabled": EventFacts(text="{subject} was enabled again", operations=("keys.enable",)),
    "key.revoked": EventFacts(text="{subject} was revoked for good", operations=("keys.revoke",)),
    "key.deleted": EventFacts(text="{subject} was deleted", operations=("keys.delete",)),
    "key.leaked": EventFacts(
        text="{subject} was found in a public place", operations=("leaks.report",)
    ),
    "key.expiring": EventFacts(text="{subject} expires soon"),
    "key.idle": EventFacts(text="{subject} was not used for a long time"),
    "key.new_network": EventFacts(text="{subject} was used from a network for the first time"),
    "key.limit_80": EventFacts(text="{subject} has used 80 % of its tokens of today"),
    "key.limit_100": EventFacts(text="{subject} has used all its tokens of today"),
    "key.unusual_use": EventFacts(text="{subject} is used far more than in the last seven days"),
    "key.used_in_grace": EventFacts(
        text="{subject} is still used although it has a successor, and ends soon"
    ),
    "key.used_after_end": EventFacts(
        text="{subject} is still used although it has ended", operations=("key.used_after_end",)
    ),
    "account.limit_80": EventFacts(text="{subject} has used 80 % of its tokens of today"),
    "account.limit_100": EventFacts(text="{subject} has used all its tokens of today"),
    "account.suspended": EventFacts(
        text="{subject} was suspended", operations=("accounts.suspend",)
    ),
    "account.resumed": EventFacts(
        text="{subject} is no longer suspended", operations=("accounts.resume",)
    ),
    "account.deleted": EventFacts(text="{subject} was deleted", operations=("accounts.delete",)),
    "endpoint.created": EventFacts(
        text="{subject} is now told of events too", operations=("notice-endpoints.create",)
    ),
    "endpoint.deleted": EventFacts(
        text="{subject} was removed and gets no more notices",
        operations=("notice-endpoints.delete",),
    ),
    "endpoint.disabled": EventFacts(
        text="{subject} is disabled and gets no more notices",
        operations=("notice-endpoints.disable",),
    ),
    "follower.lagging": EventFacts(text="{subject} has not applied the latest revocations"),
    "signing_key.rotated": EventFacts(
        text="{subject} was made or activated by a rotation", operations=("signing-keys.rotate",)
    ),
    "signing_key.overdue": EventFacts(text="{subject} should have been rotated by now"),
    "signing_key.revoked": EventFacts(
        text="{subject} was revoked", operations=("signing-keys.revoke",)
    ),
    "denylist.went_back": EventFacts(
        text="the database had lost a part of {subject}; what was lost is written again"
    ),
    TEST: EventFacts(text="this is a test, as it was asked for"),
    CONFIRM: EventFacts(text="somebody wants notices to be sent to this address"),
}
_BY_OPERATION: Final = {
    operation: name for name, facts in EVENTS.items() for operation in facts.operations
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """An event that is to be told.

    `account_id`: whose it is, None for the service itself. `at`: None for now. `once`: only the
    first event with this text is told. `endpoint_id`: the one endpoint that is told, None for all
    that want to know. `detail` holds no secret.
    """

    name: EventName | OwnEventName
    subject: str
    account_id: str | None
    detail: dict[str, Any]
    at: datetime | None = None
    once: str | None = None
    endpoint_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An event as it is told. `subject_number` counts the events of the subject, from 1."""

    number: int
    id: str
    at: datetime
    name: str
    account_id: str | None
    subject: str
    subject_number: int
    detail: dict[str, Any]


def find_event(operation: str) -> EventName | OwnEventName | None:
    """Return the event that an act in the audit trail is, None if nobody is told of it."""
    return _BY_OPERATION.get(operation)


def may_accounts_know(name: str) -> bool:
    """Tell whether an event may be of an account."""
    return not name.startswith(_OF_SERVICE)


def parse_events(names: Iterable[str], *, of_account: bool) -> list[str]:
    """Return the names that an endpoint subscribes to, sorted; none stands for all.

    Raises InvalidInputError for a name that is none, and for one that no account is told of.
    """
    wanted = sorted(set(names))
    for name in wanted:
        if name not in EVENT_NAMES:
            raise InvalidInputError(
                f"{name[:80]!r} is no event; the events are {', '.join(EVENT_NAMES)}",
                pointer="/events",
            )
        if of_account and not may_accounts_know(name):
            raise InvalidInputError(
                f"{name} is about the service itself: no account is told of it", pointer="/events"
            )
    return wanted
