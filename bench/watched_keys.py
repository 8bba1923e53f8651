"""The keys of a watched load, and what they were given."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from testbed.keys import add_keys_to

from tokensvc.core.api_key import parse_api_key
from tokensvc.store.primary import connect

PER_MINUTE, PER_DAY = 30, 60  # of the keys with limits: half have the one, half the other
_GOOD, _LIMITED, _DOOMED = 40, 10, 1500


class Issued(NamedTuple):
    """A token that was given to `key`, asked for on `asked_on` (monotonic clock)."""

    text: str
    key: str
    claims: dict[str, Any]
    asked_on: float


class Refused(NamedTuple):
    """An exchange that gave no token; status 0 if there was no answer."""

    status: int
    text: str

    @property
    def took_too_long(self) -> bool:
        """Whether there was no answer in time, of a service or of Postgres."""
        return self.status == 0 or "does not answer right now" in self.text


class Acknowledged(NamedTuple):
    """A revocation, and the tokens that it covers; `key` must get none any more."""

    kind: str
    value: str
    tokens: tuple[Issued, ...]
    key: str | None
    on: float

    @property
    def age(self) -> float:
        """Seconds since the acknowledgement."""
        return time.monotonic() - self.on


class Window(NamedTuple):
    """A minute or a day, by number, in which a key gets so many tokens at most."""

    length: str
    number: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """API keys by what becomes of them. `caller` may introspect."""

    caller: str
    good: list[str]
    limited: list[str]
    doomed: deque[str]

    def find_window(self, key: str, iat: int) -> Window:
        """Return the window in which a token of a limited key is counted."""
        if key in self.limited[::2]:
            return Window("minute", iat // 60, PER_MINUTE)
        return Window("day", iat // 86_400, PER_DAY)


async def new_keys(url: str, doomed: int = _DOOMED) -> Keys:
    """Make the keys. `doomed`: how many there are to be revoked, some three in a second."""
    caller, *keys = await add_keys_to(url, 1 + _GOOD + _LIMITED + doomed)
    good, limited = keys[:_GOOD], keys[_GOOD : _GOOD + _LIMITED]
    connection = await connect(url)
    for change, named in (
        ("capabilities = array['tokensvc:introspect']", [caller]),
        (f"per_minute = {PER_MINUTE}", limited[::2]),
        (f"per_day = {PER_DAY}", limited[1::2]),
    ):
        digests = [parse_api_key(key).digest for key in named]
        await connection.execute(f"update api_key set {change} where digest = any ($1)", digests)
    await connection.close()
    left = deque(keys[_GOOD + _LIMITED :])
    return Keys(caller=caller, good=good, limited=limited, doomed=left)


def read_token(text: str, key: str, asked_on: float) -> Issued:
    """Return a token with its claims, which nobody has verified."""
    payload = text.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return Issued(text, key, claims, asked_on)
