"""When a token is used, refreshed and waited for. Pure: facts and `now`, in seconds of one monotonic clock.

    sent_on ............ refresh_on ............ wait_on ............ ends_on
            use it       use it; one caller      all wait for a       no token
                         has it refreshed        new one, it is
                                                 the way out

Life counts from the moment the request was sent, so it ends here before it ends at the issuer, whatever the wall clocks say.
Not here: what the issuer's answers mean (`answer`), how often it is asked (`flow`), and asking it (`source`, `threaded`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokensvc.client.errors import Failure

_EARLY: Final = 0.8  # of the life
_JITTER: Final = 0.1  # of that, to either side
_MARGIN: Final = 15.0  # seconds before the end from which all wait; half the life of short tokens
_CLEAR: Final = 0.88  # of the time before all wait: with jitter still before its end
_DROP_PAUSE: Final = 5.0  # a second refusal within this is not the token's fault: another token would only cost quota
_FINAL: Final = ("key_rejected", "key_unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """A token and its three moments. Its text never shows in `repr`."""

    text: str = field(repr=False)
    refresh_on: float
    wait_on: float
    ends_on: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What is known of one audience and scope: the token, why there is no newer one, when one was last dropped."""

    token: HeldToken | None = None
    failure: Failure | None = None
    dropped_on: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a caller does: have the token refreshed or not, wait for that so many seconds, and what it has if that brings nothing."""

    refresh: bool
    wait: float
    token: HeldToken | None
    failure: Failure | None


def build_held_token(text: str, *, expires_in: float, sent_on: float, chance: float) -> HeldToken:
    """Return the token with its moments. `chance`: 0 to 1, where in its jitter the refresh falls."""
    until_wait = expires_in - min(_MARGIN, expires_in / 2)
    early = min(_EARLY * expires_in, _CLEAR * until_wait)
    return HeldToken(
        text=text,
        refresh_on=sent_on + early * (1 + _JITTER * (2 * chance - 1)),
        wait_on=sent_on + until_wait,
        ends_on=sent_on + expires_in,
    )


def plan_use(slot: Slot, now: float) -> Plan:
    """Return what a caller that needs a token at `now` does.

    While a failure says when to ask again, nobody asks. A failure of the key says so only as long as there is a token to go on with:
    without one, the key may have been mended at any moment.
    """
    token = slot.token if slot.token is not None and now < slot.token.ends_on else None
    rests = (
        slot.failure is not None
        and now < slot.failure.until
        and (token is not None or slot.failure.kind not in _FINAL)
    )
    if token is None:
        return Plan(
            refresh=not rests, wait=math.inf, token=None, failure=slot.failure if rests else None
        )
    wait = (token.ends_on - now) / 2 if now >= token.wait_on else 0.0
    return Plan(
        refresh=now >= token.refresh_on and not rests, wait=wait, token=token, failure=slot.failure
    )


def put_outcome(slot: Slot, outcome: HeldToken | Failure) -> Slot:
    """Return the slot after an exchange. A failure leaves the token where it is."""
    if isinstance(outcome, HeldToken):
        return replace(slot, token=outcome, failure=None)
    return replace(slot, failure=outcome)


def drop_token(slot: Slot, text: str, now: float) -> tuple[Slot, bool]:
    """Return the slot after a relying party refused the token `text`, and whether the request is worth repeating.

    Only the token that was refused is dropped, and only one every few seconds: a relying party that refuses every token would otherwise
    eat the key's quota. If another token has come meanwhile, it is worth a try.
    """
    if slot.token is None or slot.token.text != text:
        return slot, True
    if now < slot.dropped_on + _DROP_PAUSE:
        return slot, False
    return replace(slot, token=None, dropped_on=now), True
