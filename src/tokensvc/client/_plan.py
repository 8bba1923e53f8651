"""When a token is used, refreshed and waited for. Pure: facts and `now`, in monotonic seconds.

    sent_on ............ refresh_on ............ wait_on ............ ends_on
            callers      callers use it,         callers wait         there is
            use it       and one of them         for the new          no token
                         starts a refresh        token

The life is counted from the moment when the request was sent. So the token ends here before it ends
at the issuer, even if a wall clock is wrong. What the issuer's responses mean is in `_response`,
how often it is asked is in `_flow`, and the asking itself is in `_source`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokensvc.client._failure import Failure

_EARLY: Final = 0.8  # the part of the life after which a token is refreshed
_JITTER: Final = 0.1  # the refresh comes up to this part of that time earlier or later
_MARGIN: Final = 15.0  # seconds before the end in which callers wait; half the life if shorter
_CLEAR: Final = 0.88  # with jitter (1.1 x 0.88 < 1) the refresh still comes before callers wait
# If a second token is refused within this many seconds, the token is not the reason. Another one
# would only use up the quota of the key.
_DROP_PAUSE: Final = 5.0
_ABOUT_THE_KEY: Final = ("key_rejected", "key_unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """A token and its three moments. `repr` does not show its text."""

    text: str = field(repr=False)
    refresh_on: float
    wait_on: float
    ends_on: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What is known for one audience and scope.

    The token, the failure of the last exchange, and the moment when a token was last dropped.
    """

    token: HeldToken | None = None
    failure: Failure | None = None
    dropped_on: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a caller does.

    `refresh`: the caller starts an exchange or joins the one that runs. `wait`: the seconds to wait
    for it. `token` and `failure`: what the caller has if the exchange brings nothing in that time.
    """

    refresh: bool
    wait: float
    token: HeldToken | None
    failure: Failure | None


def build_held_token(text: str, *, expires_in: float, sent_on: float, chance: float) -> HeldToken:
    """Return the token with its moments. `chance` (0 to 1) places the refresh in its jitter."""
    until_wait = expires_in - min(_MARGIN, expires_in / 2)
    # A short life leaves little time before callers wait; the refresh comes before that.
    early = min(_EARLY * expires_in, _CLEAR * until_wait)
    return HeldToken(
        text=text,
        refresh_on=sent_on + early * (1 + _JITTER * (2 * chance - 1)),
        wait_on=sent_on + until_wait,
        ends_on=sent_on + expires_in,
    )


def plan_use(slot: Slot, now: float) -> Plan:
    """Return what a caller does that needs a token at the moment `now`.

    Until the moment that a failure names, nobody asks the issuer. A failure of the API key counts
    only while there is a good token. Without one the issuer is asked at once, because somebody may
    have replaced the key in the meantime.
    """
    token = slot.token if slot.token is not None and now < slot.token.ends_on else None
    rests = (
        slot.failure is not None
        and now < slot.failure.until
        and (token is not None or slot.failure.kind not in _ABOUT_THE_KEY)
    )
    if token is None:
        failure = slot.failure if rests else None
        return Plan(refresh=not rests, wait=math.inf, token=None, failure=failure)
    # Half of what is left: if no new token comes, the old one is still good for a request.
    wait = (token.ends_on - now) / 2 if now >= token.wait_on else 0.0
    is_due = now >= token.refresh_on and not rests
    return Plan(refresh=is_due, wait=wait, token=token, failure=slot.failure)


def put_outcome(slot: Slot, outcome: HeldToken | Failure) -> Slot:
    """Return the slot after an exchange. A failure does not remove the token."""
    if isinstance(outcome, HeldToken):
        return replace(slot, token=outcome, failure=None)
    return replace(slot, failure=outcome)


def drop_token(slot: Slot, text: str, now: float) -> tuple[Slot, bool]:
    """Return the slot after a relying party refused the token `text`, and whether to try again.

    Only the token that was refused is dropped, and only one every few seconds. Otherwise a relying
    party that refuses every token would use up the quota of the key. If the slot holds another
    token by now, that one is worth a try.
    """
    if slot.token is None or slot.token.text != text:
        return slot, True
    if now < slot.dropped_on + _DROP_PAUSE:
        return slot, False
    return replace(slot, token=None, dropped_on=now), True
