"""Followers as the issuer knows them: by the name that they give themselves, and by what they ask after."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from tokensvc.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

FollowerState = Literal["current", "lagging", "silent"]

RECENT: Final = timedelta(seconds=60)  # a follower that lives asks at least every 30 s
_NAME = re.compile(r"[A-Za-z0-9._:@/+-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerRecord:
    """What a follower has applied (`seq` of `head_seq`), when it asked last, and since when it lacks something."""

    name: str
    seq: int
    authenticated: bool
    seen_at: datetime
    head_seq: int
    behind_since: datetime | None
    at: datetime

    @property
    def state(self) -> FollowerState:
        """Silent if it has not asked for a minute, else current or lagging."""
        if self.at - self.seen_at > RECENT:
            return "silent"
        return "current" if self.seq >= self.head_seq else "lagging"

    @property
    def lag_seconds(self) -> float:
        """How long ago the first entry was made that it has not applied."""
        return (
            0.0
            if self.behind_since is None
            else max(0.0, (self.at - self.behind_since).total_seconds())
        )


def parse_follower_name(text: str) -> str:
    """Return `text` if a follower may call itself that. Raises InvalidRequestError."""
    if not _NAME.fullmatch(text):
        raise InvalidRequestError(
            "follower must be a name of 1 to 100 letters, digits and . _ : @ / + -"
        )
    return text


def find_laggards(followers: Iterable[FollowerRecord], seq: int) -> list[FollowerRecord]:
    """Return those that were heard of lately and have not applied `seq` yet."""
    return [follower for follower in followers if follower.state != "silent" and follower.seq < seq]
