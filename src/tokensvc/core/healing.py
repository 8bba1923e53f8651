"""What a process that remembers the denylist makes of a database that has lost some of it. Pure decisions; `issuer.healing` acts.

An asynchronous failover, or a restored backup, takes back the last transactions that were acknowledged, and gives their numbers out again
with other tags. What is lost is always the newest part. So whoever knows the tag of the newest entry that was acknowledged can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.core.denylist import Ending, Kind, Position, Revocation

ORDER: Final[dict[Kind, int]] = {
    "account": 0,
    "key": 1,
    "jti": 2,
    "kid": 3,
}  # accounts before keys: the order of locks everywhere

# How much an ending takes away. Of two for the same thing the harder one makes the other needless.
_HARDNESS: Final[dict[Ending, int]] = {
    "token revoked": 0,
    "signing key revoked": 0,
    "tokens ended": 0,
    "key disabled": 1,
    "key revoked": 2,
    "key deleted": 3,
    "account suspended": 1,
    "account deleted": 2,
}
_PREFIX: Final = "healed after a loss: "

# What an entry is taken for if the table does not say it in our words. In doubt nothing is given back: the key is disabled.
_IN_DOUBT: Final[dict[Kind, Ending]] = {
    "jti": "token revoked",
    "key": "key disabled",
    "account": "account suspended",
    "kid": "signing key revoked",
}


def build_reason(ending: Ending, *, healed: bool) -> str:
    """Return what the table says of an entry, for operators and for `parse_ending`."""
    return _PREFIX + ending if healed else ending


def parse_ending(reason: str, kind: Kind) -> Ending:
    """Return the ending that `build_reason` has written."""
    said = reason.removeprefix(_PREFIX)
    return next((ending for ending in _HARDNESS if ending == said), _IN_DOUBT[kind])


def has_gone_back(held: Position, head: Position, tag: str | None, *, is_due: bool) -> bool:
    """Tell whether a table whose head is `head` has lost the position `held` that was acknowledged once.

    `tag`: of the entry that has its number now, None if there is none; that is no loss unless it `is_due`: entries are collected when
    they have expired.
    """
    if head.seq <= held.seq:
        return head != held
    return is_due if tag is None else tag != held.tag


def find_lost(
    remembered: Iterable[Revocation], present: Iterable[Revocation], now: float
) -> list[Revocation]:
    """Return what is remembered, alive at `now`, and covered by nothing that is present; in the order in which rows are locked."""
    covering: dict[tuple[Kind, str], list[Revocation]] = {}
    for entry in present:
        covering.setdefault((entry.kind, entry.value), []).append(entry)
    lost: list[Revocation] = []
    for entry in sorted(remembered, key=_strength, reverse=True):
        beside = covering.setdefault((entry.kind, entry.value), [])
        if entry.exp > now and not any(_covers(other, entry) for other in beside):
            beside.append(entry)
            lost.append(entry)
    return sorted(lost, key=lambda entry: (ORDER[entry.kind], entry.value))


def _covers(other: Revocation, entry: Revocation) -> bool:
    return (
        other.exp >= entry.exp
        and _watermark(other) >= _watermark(entry)
        and _hardness(other) >= _hardness(entry)
    )


def _strength(entry: Revocation) -> tuple[int, float, int]:
    return _hardness(entry), _watermark(entry), entry.exp


def _watermark(entry: Revocation) -> float:
    """Return the moment of an ending, as exact as it is known: a key may be disabled, enabled and disabled within a second."""
    return (entry.upto or 0) if entry.ended_at is None else entry.ended_at.timestamp()


def _hardness(entry: Revocation) -> int:
    return _HARDNESS[entry.ending or _IN_DOUBT[entry.kind]]
