"""One exchange from the first asking to a token or a reason: a generator that says what to do next and is told what came of it.

It does no I/O and knows no clock, so `TokenSource` and `ThreadedTokenSource` follow the same rules:
- the key is read; a key that was refused a moment ago is not sent again;
- refused, it is read once more, and if another one is found there, that one is tried;
- busy or away, the issuer is asked again after what Retry-After says plus full jitter, a few times, within `patience` seconds in all.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from tokensvc.client.answer import Answer, NoAnswer, judge
from tokensvc.client.errors import Failure
from tokensvc.client.plan import HeldToken
from tokensvc.core.api_key import ApiKey

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRIES: Final = 4
_FIRST_JITTER: Final = 0.5  # seconds, doubling


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom the token is for and what it allows; None means the issuer's default and all that the key has."""

    audience: str | None
    scope: str | None


@dataclass(frozen=True, slots=True)
class ReadKey:
    """To do: read the API key. Reply: ApiKey, or Failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """To do: send the key to the issuer's token endpoint. Reply: Answer, or NoAnswer."""

    key: ApiKey
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """To do: wait. Reply: None."""

    seconds: float


Step: TypeAlias = ReadKey | Ask | Wait
Reply: TypeAlias = ApiKey | Failure | Answer | NoAnswer | None
Flow: TypeAlias = Generator[Step, Reply, HeldToken | Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: `timeout` for one answer, `total` for all of an exchange."""

    timeout: float
    total: float


def run_exchange(
    *, patience: Patience, started_on: float, rejected: Failure | None, chance: Callable[[], float]
) -> Flow:
    """Yield what to do, return what came of it. `rejected`: the last refusal of a key. `chance`: a random number between 0 and 1."""
    key = yield from _read_key()
    if isinstance(key, Failure):
        return key
    if rejected is not None and rejected.key == key and started_on < rejected.until:
        return rejected
    deadline, now, tries, is_second_key = started_on + patience.total, started_on, 0, False
    while True:
        answer = yield from _ask(key, min(patience.timeout, deadline - now))
        outcome = judge(answer, key=key, chance=chance())
        if isinstance(outcome, HeldToken) or outcome.kind == "refused":
            return outcome
        if outcome.kind == "key_rejected":
            other = key if is_second_key else (yield from _read_key())
            if isinstance(other, Failure) or other == key:
                return outcome
            key, is_second_key, now = other, True, answer.came_on
            continue
        tries += 1
        pause = plan_pause(
            outcome, tries=tries, now=answer.came_on, deadline=deadline, chance=chance()
        )
        if pause is None:
            return outcome
        yield Wait(seconds=pause)
        now = answer.came_on + pause


def plan_pause(
    failure: Failure, *, tries: int, now: float, deadline: float, chance: float
) -> float | None:
    """Return the seconds to wait before asking again; None to give up: tried often enough, or it would take too long."""
    if tries >= _TRIES:
        return None
    asked_for = max(0.0, failure.until - now)
    pause = asked_for + chance * _FIRST_JITTER * 2.0 ** (tries - 1)
    return pause if now + pause < deadline else None


def build_form(wanted: Wanted, expires_in: int | None) -> Mapping[str, str]:
    """Return the form of an exchange."""
    form = {
        "audience": wanted.audience,
        "scope": wanted.scope,
        "expires_in": None if expires_in is None else str(expires_in),
    }
    return {name: value for name, value in form.items() if value is not None}


def parse_wanted(audience: str | None, scope: str | None) -> Wanted:
    """Return what is wanted, with the scope in one order whatever order it was written in. Raises ValueError."""
    if audience == "" or (scope is not None and not scope.split()):
        raise ValueError(
            "audience and scope are not empty; leave them out for the default audience and all capabilities"
        )
    return Wanted(audience, None if scope is None else " ".join(sorted(set(scope.split()))))


def _read_key() -> Generator[Step, Reply, ApiKey | Failure]:
    return cast("ApiKey | Failure", (yield ReadKey()))


def _ask(key: ApiKey, seconds: float) -> Generator[Step, Reply, Answer | NoAnswer]:
    return cast("Answer | NoAnswer", (yield Ask(key=key, seconds=seconds)))
