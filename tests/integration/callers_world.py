"""What is there for callers who would like to have more, and what may not happen whatever they do.

An admin makes the key of the first caller, with terms that are narrow in every way. Beside it the
account has a key that has more in one way, and there is another account, all of whose texts have a
mark that no caller may ever see.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.integration.excess import is_later, list_excess
from tests.integration.things import ACTOR
from tests.integration.wishes import MORE, NARROW
from tests.rows import list_keys

from tokensvc.core.errors import TokensvcError
from tokensvc.issuer.admin.audiences import create_audience
from tokensvc.issuer.admin.tiers import create_tier
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.rights import Principal
from tokensvc.operations.table import OPERATIONS

if TYPE_CHECKING:
    import asyncio
    from collections import Counter

    from tokensvc.core.api_key import ListedKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

    Keys = dict[str, ListedKey]

ADMIN: Final = Principal.of_host(ACTOR)
MARK: Final = "zebra"
MARKED: Final = {
    "capabilities": ["tokensvc:keys", f"{MARK}:read"],
    "name": MARK,
    "description": MARK,
    "metadata": {MARK: MARK},
    "claims": {MARK: 1},
}
UNKNOWN: Final = "key_0000000000000000"
NO_ACCOUNT: Final = "acct_0000000000000000"
NO_ENDPOINT: Final = "hook_0000000000000000"
ENDINGS: Final = ("disable", "revoke", "revoke-tokens", "delete")
ACTS: Final = (*ENDINGS, "enable", "rotate", "show")
SMALL: Final = "small"
LISTS: Final = (
    "keys.list", "accounts.list", "capabilities.list", "audiences.list", "whoami.show",
    "overview.show", "notices.list", "notice-endpoints.list", "notice-deliveries.list",
)  # fmt: skip
SHOWS: Final = (
    "accounts.show", "accounts.show-usage", "usage.show", "usage.list", "leaks.list",
    "capabilities.show", "audiences.show",
)  # fmt: skip
ENDPOINT_ACTS: Final = ("show", "update", "rotate-secret", "test", "delete")
BATCH: Final = ("disable", "enable", "update", "revoke")
# What the callers try: the test compares it with the table.
TRIED: Final = frozenset(
    {f"keys.{act}" for act in ACTS}
    | {"keys.create", "keys.update", "keys.batch", "keys.rotate-self"}
    | {f"notice-endpoints.{act}" for act in ("create", *ENDPOINT_ACTS)}
    | {"notice-deliveries.redeliver", "accounts.set-contact", *SHOWS, *LISTS}
)


class World:
    """What is there, and what may not happen to it whoever calls."""

    runner: asyncio.Runner
    database: Database
    settings: Settings
    accepted: Counter[str]
    refused: Counter[str]
    wide = UNKNOWN

    def __init__(self) -> None:
        self.account = self.run(ADMIN, "accounts.create", {"name": "Callers"}).id
        self.foreign_account = self.run(ADMIN, "accounts.create", {"name": MARK}).id
        self.first = self.make(self.account, NARROW).id
        self.foreign = self.make(self.foreign_account, MARKED).id
        hook = {"account": self.foreign_account, "url": f"https://{MARK}.example/x"}
        self.foreign_endpoint = self.run(ADMIN, "notice-endpoints.create", hook).id
        endpoint = {"id": self.foreign_endpoint}
        self.foreign_delivery = self.run(ADMIN, "notice-endpoints.test", endpoint).id
        self.endpoint = self.run(ADMIN, "notice-endpoints.show", endpoint)
        self.keys = self.read(self.account)
        self.foreign_keys = self.read(self.foreign_account)

    def make(self, account: str, terms: dict[str, Any]) -> Any:
        return self.run(ADMIN, "keys.create", {"account": account, "name": "x", **terms})

    def read(self, account: str) -> Keys:
        async def read() -> Keys:
            return {one.record.id: one for one in await list_keys(self.database, account)}

        return self.runner.run(read())

    def run(self, principal: Principal, name: str, request: dict[str, Any]) -> Any:
        """Carry out an operation; return its answer, or the error."""
        operation = OPERATIONS[name]
        backend = Backend(database=self.database, settings=self.settings)
        try:
            wish = operation.request.model_validate_json(json.dumps(request), strict=True)
            result = self.runner.run(run_operation(backend, operation, principal, wish))
        except (TokensvcError, ValueError) as error:
            return error
        return result.response

    def make_wide(self, way: str) -> None:
        """Make a key that has more than the first caller in one way."""
        less = {"self_rotation": False, "expires_in": 80_000}
        self.wide = self.make(self.account, NARROW | less | MORE[way]).id
        may_rotate = way != "self-rotation"
        self.change("keys.update", {"id": self.first, "self_rotation": may_rotate})

    def change(self, name: str, request: dict[str, Any]) -> None:
        """Let an admin change something."""
        assert not isinstance(self.run(ADMIN, name, request), Exception)
        self.keys = self.read(self.account)

    def change_tier(self, tier: str) -> None:
        """Let an admin change the limits of all keys that have none of their own."""
        self.change("accounts.update", {"id": self.account, "tier": tier})

    def attempt(self, caller: Principal, name: str, request: dict[str, Any]) -> Any:
        """As `run`, for somebody who may try everything, and look at what has come of it."""
        assert name in TRIED
        answer = self.run(caller, name, request)
        if request.get("id") != self.wide:  # of which all that matters is refused
            (World.refused if isinstance(answer, Exception) else World.accepted)[name] += 1
        said = write(answer).replace(str(request.get("account")), "")
        for secret in (self.foreign, self.foreign_account, self.foreign_endpoint, MARK):
            assert secret not in said or secret in json.dumps(request), (name, request, answer)
        before, self.keys = self.keys, self.read(self.account)
        self.check_changes(caller, before)
        return answer

    def check_changes(self, caller: Principal, before: Keys) -> None:
        own = before.get(str(caller.key_id))
        for key_id, after in self.keys.items():
            old = before.get(key_id)
            if old is not None and has_only_ended(old, after):
                continue
            assert own is not None, (key_id, caller)
            assert own.state == "active", (key_id, caller)
            for key in (after,) if old is None else (old, after):
                excess = list_excess(own.record, caller.capabilities, key.record)
                assert excess == [], (key_id, caller)
        if self.wide in self.keys:
            assert self.keys[self.wide].record.successor_id is None

    def is_active(self, key_id: str) -> bool:
        return key_id in self.keys and self.keys[key_id].state == "active"

    def check_foreign(self) -> None:
        now = self.read(self.foreign_account)
        assert [one.record for one in now.values()] == [
            one.record for one in self.foreign_keys.values()
        ]
        endpoint = {"id": self.foreign_endpoint}
        assert self.run(ADMIN, "notice-endpoints.show", endpoint) == self.endpoint


def has_only_ended(old: ListedKey, new: ListedKey) -> bool:
    """Tell whether nothing was changed of a key but that it ends, or ends earlier."""
    before, after = old.record, new.record
    return (
        before.terms == after.terms
        and (before.minute_limit, before.day_limit) == (after.minute_limit, after.day_limit)
        and not is_later(after.expires_at, before.expires_at)
        and (before.disabled_at is None or after.disabled_at is not None)
        and (before.revoked_at is None or after.revoked_at is not None)
    )


def write(answer: Any) -> str:
    """Return all that an answer says, but for the moment at which it counted."""
    if isinstance(answer, TokensvcError):
        return f"{answer.code} {answer.message} {vars(answer)}"
    if isinstance(answer, Exception):
        return str(answer)
    return re.sub(r'counted_at":"[^"]*"', 'counted_at":""', str(answer.model_dump_json()))


async def make_surroundings(database: Database, settings: Settings) -> None:
    """Make what all sequences share: audiences, and a tier beside the one that is there."""
    for name in ("one", "two", "three", f"{MARK}-api"):
        await create_audience(database, settings, name, actor=ACTOR)
    await create_tier(database, SMALL, key_per_minute=5, key_per_day=50, actor=ACTOR)
