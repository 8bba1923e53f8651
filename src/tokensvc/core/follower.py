"""Followers as the issuer knows them.

A follower names itself. The cursor in its next request tells what it has applied. Only a follower
that shows a token proves who it is: it is known by the id of its API key and by its name. The
others can call themselves anything, so nothing is decided by what they say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tokensvc.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from datetime import datetime

FollowerState = Literal["current", "lagging", "silent"]

# A follower that runs asks at least every 30 s.
_SILENT_AFTER: Final = timedelta(seconds=60)
_NAME: Final = re.compile(r"[A-Za-z0-9._:@/+-]{1,100}", re.ASCII)


class FollowerId(NamedTuple):
    """Who a follower is. `key_id` is empty if it has not proved its name by a token."""

    key_id: str
    name: str

    def __str__(self) -> str:
        """Return the name as operators see it."""
        return f"{self.key_id}/{self.name}" if self.key_id else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerRecord:
    """What a follower has applied by the moment `at`, and when it asked last.

    `seq`: up to where it has applied the feed, whose end is `head_seq`. `behind_since`: when the
    first revocation that it lacks was made, None if it lacks none.
    """

    id: FollowerId
    seq: int
    seen_at: datetime
    head_seq: int
    behind_since: datetime | None
    at: datetime

    @property
    def authenticated(self) -> bool:
        """Whether it has proved who it is."""
        return bool(self.id.key_id)

    @property
    def state(self) -> FollowerState:
        """Whether it has applied everything; silent if it has not asked for a minute."""
        if self.at - self.seen_at > _SILENT_AFTER:
            return "silent"
        return "current" if self.seq >= self.head_seq else "lagging"

    @property
    def lag_seconds(self) -> float:
        """How long ago the first revocation that it lacks was made."""
        if self.behind_since is None:
            return 0.0
        return max(0.0, (self.at - self.behind_since).total_seconds())


def parse_follower_name(text: str) -> str:
    """Return `text` if a follower may call itself that. Raises InvalidRequestError."""
    if not _NAME.fullmatch(text):
        raise InvalidRequestError(
            "follower must be a name of 1 to 100 letters, digits and . _ : @ / + -"
        )
    return text
