"""The steps of one exchange, as a generator: it says what to do next and is told what came of it.

It does no I/O and knows no clock. Its rules are:

- The API key is read first. A key that was rejected a moment ago is not sent again.
- When the key is rejected, it is read once more. If that brings another key, that one is tried.
- When the issuer is busy or unavailable, it is asked again a few times, within a number of seconds
  in all. Each pause is what Retry-After says, and a random time on top.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from tokensvc.client._failure import Failure
from tokensvc.client._plan import HeldToken
from tokensvc.client._response import ExchangeResponse, NoResponse, judge
from tokensvc.core.api_key import ApiKey

_MOST_TRIES: Final = 4
_FIRST_JITTER: Final = 0.5  # seconds; doubles with each try


@dataclass(frozen=True, slots=True)
class ReadKey:
    """Step: read the API key. The reply is an ApiKey or a Failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Step: send the key to the token endpoint. The reply is ExchangeResponse or NoResponse."""

    key: ApiKey
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Step: wait. The reply is None."""

    seconds: float


Step: TypeAlias = ReadKey | Ask | Wait
Reply: TypeAlias = ApiKey | Failure | ExchangeResponse | NoResponse | None
Flow: TypeAlias = Generator[Step, Reply, HeldToken | Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an exchange may take, in seconds: `timeout` for one response, `total` for all."""

    timeout: float
    total: float


def run_exchange(
    *, patience: Patience, started_on: float, rejected: Failure | None, chance: Callable[[], float]
) -> Flow:
    """Yield the steps of an exchange, and return the token or why there is none.

    `rejected` is the last failure that rejected a key. `chance` returns a random number (0 to 1).
    """
    key = yield from _read_key()
    if isinstance(key, Failure):
        return key
    if rejected is not None and rejected.key == key and started_on < rejected.until:
        return rejected
    # From here on `now` is what the responses say: no clock is read in these steps.
    deadline, now, tries, is_second_key = started_on + patience.total, started_on, 0, False
    while True:
        response = yield from _ask(key, min(patience.timeout, deadline - now))
        outcome = judge(response, key=key, chance=chance())
        if isinstance(outcome, HeldToken) or outcome.kind == "refused":
            return outcome
        if outcome.kind == "key_rejected":
            # There is no time left for a second key if the answer came at the last moment.
            is_last = is_second_key or response.came_on >= deadline
            other = key if is_last else (yield from _read_key())
            if isinstance(other, Failure) or other == key:
                return outcome
            key, is_second_key, now = other, True, response.came_on
            continue
        tries += 1
        pause = plan_pause(
            outcome, tries=tries, now=response.came_on, deadline=deadline, chance=chance()
        )
        if pause is None:
            return outcome
        yield Wait(seconds=pause)
        now = response.came_on + pause


def plan_pause(
    failure: Failure, *, tries: int, now: float, deadline: float, chance: float
) -> float | None:
    """Return the seconds to wait before the issuer is asked again.

    None means that the exchange is given up, after enough tries or because the pause would end
    after `deadline`.
    """
    if tries >= _MOST_TRIES:
        return None
    asked_for = max(0.0, failure.until - now)
    pause = asked_for + chance * _FIRST_JITTER * 2.0 ** (tries - 1)
    return pause if now + pause < deadline else None


def _read_key() -> Generator[Step, Reply, ApiKey | Failure]:
    return cast("ApiKey | Failure", (yield ReadKey()))


def _ask(key: ApiKey, seconds: float) -> Generator[Step, Reply, ExchangeResponse | NoResponse]:
    return cast("ExchangeResponse | NoResponse", (yield Ask(key=key, seconds=seconds)))
