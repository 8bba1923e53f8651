"""The acts of the story, and when each of them was.

An act names the operation, who did it, and what was asked. Ids are known only after the acts before
it, so a request may hold a `Ref`: the name of something that an earlier act has made.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo.cast import ACCOUNTS, AUDIENCES, CAPABILITIES, ENDPOINTS, KEYS, SUSPENDED, TIERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.cast import KeyPlan

BEGAN: Final = 240.0  # days ago
LONG_GRACE_DAYS: Final = 30  # of a key whose successor has taken over long before
_DAY: Final = 86_400
_PERIOD: Final = 30


@dataclass(frozen=True, slots=True)
class Ref:
    """What an earlier act has made: `account:NAME`, `key:NAME`, or the text of a key, `text:NAME`.

    Afterwards `key:NAME+` is its successor.
    """

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An operation that somebody called, some days ago. `makes`: how later acts call the result."""

    days_ago: float
    operation: str
    request: dict[str, Any]
    by: str = "cli:mila"
    makes: str | None = None


def list_acts(seed: int) -> list[Act]:
    """Return all acts but the first start, in the order of their times."""
    chance = random.Random(seed)
    acts = [*_found(), *_rotate_signing_keys()]
    for plan in KEYS:
        acts += _follow(plan, chance)
    acts += _end(chance)
    return sorted(acts, key=lambda act: -act.days_ago)


def _found() -> Iterator[Act]:
    at = BEGAN - 0.5
    for subject, verbs in CAPABILITIES.items():
        for verb in verbs:
            at -= 0.01
            yield Act(
                days_ago=at,
                operation="capabilities.create",
                request={"name": f"{subject}:{verb}", "description": f"May {verb} {subject}."},
            )
    for name, per_minute, per_day in TIERS:
        at -= 0.02
        request: dict[str, Any] = {
            "name": name,
            "key_per_minute": per_minute,
            "key_per_day": per_day,
        }
        yield Act(days_ago=at, operation="tiers.create", request=request)
    for name, description, made, life, alg in AUDIENCES:
        request = {"name": name, "description": description, "token_ttl": life, "alg": alg}
        yield Act(days_ago=made, operation="audiences.create", request=request)
    for made, account, url, events, description in ENDPOINTS:
        request = {"url": url, "events": list(events), "description": description}
        if account is not None:
            request["account"] = Ref(f"account:{account}")
        yield Act(days_ago=made, operation="notice-endpoints.create", request=request, by="mila")
    for name, made, tier in ACCOUNTS:
        yield Act(
            days_ago=made + 0.3,
            operation="accounts.create",
            request={"name": name} | ({"tier": tier} if tier else {}),
            by="cli:mila" if made > 170 else "mila",
            makes=f"account:{name}",
        )


def _rotate_signing_keys() -> Iterator[Act]:
    """Yield a rotation every 30 days; the last one was some hours ago."""
    at = BEGAN - _PERIOD
    while at > 0:
        yield Act(
            days_ago=max(at, 0.21),
            operation="signing-keys.rotate",
            request={"alg": "ES256", "now": True},
            by="rotation",
        )
        at -= _PERIOD
    yield Act(
        days_ago=0.21,
        operation="signing-keys.rotate",
        request={"alg": "ES256", "now": True},
        by="rotation",
    )


def _follow(plan: KeyPlan, chance: random.Random) -> Iterator[Act]:
    """Yield what was done to a key."""
    request: dict[str, Any] = {
        "account": Ref(f"account:{plan.account}"),
        "name": plan.name,
        "capabilities": plan.capabilities.split(),
        "description": plan.description,
        "networks": list(plan.networks),
        "audiences": list(plan.audiences),
    }
    if plan.life is not None:
        request["expires_in"] = plan.life * _DAY
    made = min(plan.made, next(days for name, days, _ in ACCOUNTS if name == plan.account))
    later = chance.uniform(0.1, 0.4)
    by = "cli:mila" if plan.made > 170 else chance.choice(["mila", "jonas"])
    yield Act(
        days_ago=made - later / 10,
        operation="keys.create",
        request=request,
        by=by,
        makes=f"key:{plan.name}",
    )
    key = {"id": Ref(f"key:{plan.name}")}
    ended = made * later
    match plan.fate:
        case "revoked":
            reason = chance.choice(["no longer needed", "the owner has left", "a laptop was lost"])
            yield Act(days_ago=min(ended, 21), operation="keys.revoke",
                      request=key | {"reason": reason}, by="jonas")  # fmt: skip
        case "disabled":
            yield Act(days_ago=min(ended, 8), operation="keys.disable",
                      request=key | {"reason": "not used by anybody"}, by="jonas")  # fmt: skip
        case "deleted":
            yield Act(days_ago=ended, operation="keys.delete", request=key, by="mila")
        case "rotated":
            yield Act(days_ago=chance.uniform(0.03, 0.6), operation="keys.rotate",
                      request=key | {"grace": _DAY}, by="ops-bot",
                      makes=f"key:{plan.name}+")  # fmt: skip
        case "replaced":
            yield Act(days_ago=chance.uniform(4, 9), operation="keys.rotate",
                      request=key | {"grace": LONG_GRACE_DAYS * _DAY}, by="ops-bot",
                      makes=f"key:{plan.name}+")  # fmt: skip
        case "leaked":
            url = f"https://git.example/{plan.name}/blob/main/.env#L3"
            leak = {"key": Ref(f"text:{plan.name}"), "url": url, "source": "commit"}
            yield Act(days_ago=chance.uniform(0.3, 6), operation="leaks.report",
                      request={"leaks": [leak]}, by="leak-report")  # fmt: skip
        case _:
            pass


def _end(chance: random.Random) -> Iterator[Act]:
    """Yield what happened to accounts, and changes of keys."""
    account = {"id": Ref(f"account:{SUSPENDED}")}
    yield Act(days_ago=0.92, operation="accounts.suspend",
              request=account | {"reason": "the invoice is not paid"}, by="mila")  # fmt: skip
    for plan in KEYS:
        if plan.fate == "active" and plan.peak and chance.random() < 0.5:
            limit = chance.choice([60, 120, 300, 600])
            yield Act(
                days_ago=chance.uniform(0.05, plan.made * 0.8),
                operation="keys.update",
                request={"id": Ref(f"key:{plan.name}"), "per_minute": limit},
                by=chance.choice(["mila", "jonas", "ops-bot"]),
            )
    for name in ("Northwind", "Tern Robotics"):
        yield Act(days_ago=chance.uniform(0.2, 0.8), operation="accounts.revoke-tokens",
                  request={"id": Ref(f"account:{name}"), "reason": "an employee has left"},
                  by="jonas")  # fmt: skip
    yield Act(days_ago=0.4, operation="keys.revoke-tokens",
              request={"id": Ref("key:storefront-web"), "reason": "a log was public"},
              by="mila")  # fmt: skip
