"""How a process tells that the database has lost revocations, and which. `issuer.mirror` acts.

An asynchronous failover, or a restored backup, takes back the last transactions that were
acknowledged, and gives their numbers out again with other tags. What is lost is always the newest
part. So a process that knows the tag of the newest acknowledged revocation can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.record import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.denylist.revocation import Kind

# Accounts before keys: the order in which rows are locked everywhere.
_ORDER: Final[dict[Kind, int]] = {"account": 0, "key": 1, "jti": 2, "kid": 3}


def has_gone_back(held: Position, head: Position, tag: str | None, *, in_force: bool) -> bool:
    """Tell whether a table whose head is `head` has lost the position `held`, once acknowledged.

    `tag` belongs to the record that has the number of `held` now; None if there is none. Expired
    records are deleted, so a missing one is a loss only if the one at `held` is still `in_force`.
    """
    # A head that is not beyond `held` must be the very same, or something after it was lost.
    if head.seq <= held.seq:
        return head != held
    # The table goes on beyond it. Then the record that has its number now tells.
    return in_force if tag is None else tag != held.tag


def find_lost(
    remembered: Iterable[RevocationRecord], present: Iterable[RevocationRecord], now: float
) -> list[RevocationRecord]:
    """Return what is remembered, in force at `now` (seconds), and covered by nothing `present`.

    The order is that in which rows are locked.
    """
    covering: dict[tuple[Kind, str], list[RevocationRecord]] = {}
    for record in present:
        covering.setdefault(_subject(record), []).append(record)
    lost: list[RevocationRecord] = []
    # The strongest first. Weaker ones of the same thing that it covers need not be written again.
    for record in sorted(remembered, key=_strength, reverse=True):
        beside = covering.setdefault(_subject(record), [])
        is_live = record.revocation.exp > now
        if is_live and not any(_covers(other, record) for other in beside):
            beside.append(record)
            lost.append(record)
    return sorted(lost, key=lambda r: (_ORDER[r.revocation.kind], r.revocation.value))


def _subject(record: RevocationRecord) -> tuple[Kind, str]:
    return record.revocation.kind, record.revocation.value


def _covers(other: RevocationRecord, record: RevocationRecord) -> bool:
    return (
        other.revocation.exp >= record.revocation.exp
        and _watermark(other) >= _watermark(record)
        and _severity(other) >= _severity(record)
    )


def _strength(record: RevocationRecord) -> tuple[int, float, int]:
    return _severity(record), _watermark(record), record.revocation.exp


def _watermark(record: RevocationRecord) -> float:
    """Return the exact watermark: a key may be disabled, enabled and disabled within a second."""
    return 0.0 if record.watermark is None else record.watermark.timestamp()


def _severity(record: RevocationRecord) -> int:
    return ENDINGS[record.ending].severity
