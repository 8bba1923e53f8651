"""How a key is used by the hour: day and night, weekends, and chance that a seed decides."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from demo.cast import KeyPlan, Rhythm

_SATURDAY: Final = 5
_PER_THOUSAND: Final = 1000


def count_exchanges(plan: KeyPlan, hour: datetime, seed: int) -> dict[str, int]:
    """Return how many exchanges of a key ended how in the hour that begins at `hour`, in UTC."""
    chance = random.Random(f"{seed}/{plan.account}/{plan.name}/{hour.isoformat()}")
    expected = plan.peak * find_share(plan.rhythm, hour)
    tried = round(expected * chance.uniform(0.85, 1.15))
    if chance.random() < 0.004:
        tried *= 3
    outcomes = {}
    for reason, share in plan.refused:
        refused = _round_by_chance(tried * share / _PER_THOUSAND, chance)
        if refused:
            outcomes[reason] = refused
    issued = tried - sum(outcomes.values())
    return {"issued": issued, **outcomes} if issued > 0 else outcomes


def find_share(rhythm: Rhythm, hour: datetime) -> float:
    """Return which share of its peak a key has in an hour."""
    is_weekend = hour.weekday() >= _SATURDAY
    match rhythm:
        case "office":
            day = max(0.0, math.sin((hour.hour - 5) / 13 * math.pi)) if 5 < hour.hour < 18 else 0.02
            return day * (0.12 if is_weekend else 1.0)
        case "shop":
            day = 0.18 + 0.55 * max(0.0, math.sin((hour.hour - 6) / 16 * math.pi))
            evening = 0.35 * math.exp(-(((hour.hour - 19) / 2) ** 2))
            return (day + evening) * (1.15 if is_weekend else 0.95)
        case "steady":
            return 0.9 if is_weekend else 1.0
        case "nightly":
            return {1: 0.4, 2: 1.0, 3: 0.7}.get(hour.hour, 0.0)
        case _:
            return 0.0


def _round_by_chance(number: float, chance: random.Random) -> int:
    whole = int(number)
    return whole + (chance.random() < number - whole)
