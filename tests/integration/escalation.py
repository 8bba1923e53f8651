"""Random sequences of operations by callers who would like to have more than they have.

The keys of such callers are made by an admin, with terms that are narrow in every way. Beside them
the account has a key that may do more, and there is another account.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule
from tests.integration.things import ACTOR

from tokensvc.core.actor import Actor
from tokensvc.core.errors import TokensvcError
from tokensvc.core.granting import list_beyond
from tokensvc.issuer.admin.audiences import add_audience
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.authorisation import Principal
from tokensvc.operations.table import OPERATIONS
from tokensvc.store.api_key import list_api_keys, load_api_key

if TYPE_CHECKING:
    import asyncio

    from tokensvc.core.api_key import ApiKeyRecord
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

ADMIN = Principal.of_host(ACTOR)
NARROW = {
    "capabilities": ["tokensvc:keys", "orders:read"],
    "audiences": ["one", "two"],
    "networks": ["10.0.0.0/8", "2001:db8::/32"],
    "claims": {"team": 1},
    "per_minute": 50,
    "per_day": 500,
    "expires_in": 86_400,
}
WIDE = {"capabilities": ["tokensvc:admin", "orders:write"]}
UNKNOWN = "key_0000000000000000"


def few(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """At most two of the fields: of many, one is refused nearly always."""
    names = st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: fields[name] for name in some}))


def some_of(*names: str, least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=least, max_size=3, unique=True)


TERMS: dict[str, st.SearchStrategy[Any]] = {
    "capabilities": some_of(
        "orders:read", "orders:write", "tokensvc:keys", "tokensvc:admin", "new:one", least=1
    ),
    "audiences": some_of("one", "two", "three", "absent"),
    "networks": some_of("10.1.0.0/16", "10.0.0.0/7", "::/0", "2001:db8:1::/48", "192.0.2.0/24"),
    "claims": st.sampled_from([{}, {"team": 1}, {"team": True}, {"role": "admin"}]),
    "self_rotation": st.booleans(),
    "expires_in": st.sampled_from([None, 60, 86_000, 86_400, 90_000]),
    "tier": st.sampled_from([None, "default"]),
    "per_minute": st.sampled_from([None, 1, 50, 51, 1_000_000]),
    "per_day": st.sampled_from([None, 1, 500, 501]),
}


@dataclass(frozen=True)
class Held:
    """A key whose text the callers have."""

    key_id: str
    capabilities: frozenset[str]

    def act(self, *, by_key: Any) -> Principal:
        """The key itself, or a token of it that was narrowed to managing keys."""
        shown = self.capabilities if by_key else self.capabilities & {"tokensvc:keys"}
        return Principal(
            actor=Actor(name=self.key_id),
            capabilities=shown,
            key_id=self.key_id,  # type: ignore[arg-type]
            account_id=Escalation.account,  # type: ignore[arg-type]
            by_key=by_key,
        )


class Escalation(RuleBasedStateMachine):
    """What callers try. After each step no key may have more than the first key of the callers."""

    runner: asyncio.Runner
    database: Database
    settings: Settings
    account = ""
    steps = 0

    held = Bundle("held")
    named = Bundle("named")

    def run(self, principal: Principal, name: str, request: dict[str, Any]) -> Any:
        """Carry out an operation; return its answer, or the error."""
        operation = OPERATIONS[name]
        type(self).steps += 1
        backend = Backend(database=self.database, settings=self.settings)
        try:
            wish = operation.request.model_validate_json(json.dumps(request), strict=True)
            result = self.runner.run(run_operation(backend, operation, principal, wish))
        except (TokensvcError, ValueError) as error:
            return error
        return result.response

    @initialize(target=held)
    def begin(self) -> Held:
        Escalation.account = self.run(ADMIN, "accounts.create", {"name": "Callers"}).id
        other = self.run(ADMIN, "accounts.create", {"name": "Others"}).id
        first = self.make(Escalation.account, NARROW)
        self.wide = self.make(Escalation.account, WIDE).id
        self.foreign = self.make(other, WIDE).id
        self.first: ApiKeyRecord = self.load(first.id)
        return Held(first.id, frozenset(first.capabilities))

    def make(self, account: str, terms: dict[str, Any]) -> Any:
        return self.run(ADMIN, "keys.create", {"account": account, "name": "x", **terms})

    def load(self, key_id: str) -> ApiKeyRecord:
        async def read() -> ApiKeyRecord:
            async with self.database.connection() as connection:
                return (await load_api_key(connection, key_id)).record

        return self.runner.run(read())

    def hold(self, answer: Any) -> Any:
        """Return the key that an answer hands out, if it does."""
        self.check()
        if getattr(answer, "key", None) is None:
            return multiple()
        return Held(answer.id, frozenset(answer.capabilities))

    def check(self) -> None:
        async def read() -> list[ApiKeyRecord]:
            async with self.database.connection() as connection:
                return [one.record for one in await list_api_keys(connection, self.account)]

        for record in self.runner.run(read()):
            if record.id == self.wide:
                assert record.successor_id is None
                assert set(record.terms.capabilities) == set(WIDE["capabilities"])
                assert record.revoked_at or record.disabled_at or not self.is_wide_ended
            else:
                assert list_beyond(self.first, record) == []

    is_wide_ended = False

    @rule(target=held, caller=held, by_key=st.booleans(), wish=few(**TERMS))
    def create(self, caller: Held, by_key: Any, wish: dict[str, Any]) -> Any:
        request = NARROW | {"claims": {}, "expires_in": 80_000} | wish
        if "claims" not in wish:
            del request["claims"]
        request |= {"account": self.account, "name": "x"}
        return self.hold(self.run(caller.act(by_key=by_key), "keys.create", request))

    @rule(caller=held, key=held, by_key=st.booleans(), changes=few(**TERMS))
    def update(
        self,
        caller: Held,
        key: Held,
        by_key: Any,
        changes: dict[str, Any],
    ) -> None:
        self.run(caller.act(by_key=by_key), "keys.update", {"id": key.key_id, **changes})
        self.check()

    @rule(target=held, caller=held, key=held, grace=st.sampled_from([0, 60, 100_000]))
    def rotate(self, caller: Held, key: Held, grace: int) -> Any:
        request = {"id": key.key_id, "grace": grace}
        return self.hold(self.run(caller.act(by_key=True), "keys.rotate", request))

    @rule(target=held, key=held, by_key=st.booleans())
    def rotate_itself(self, key: Held, by_key: Any) -> Any:
        return self.hold(self.run(key.act(by_key=by_key), "keys.rotate-self", {"grace": 60}))

    @rule(
        caller=held, keys=st.lists(held, max_size=3), changes=few(**TERMS),
        act=st.sampled_from(["disable", "enable", "update"]),
    )  # fmt: skip
    def batch(self, caller: Held, keys: list[Held], changes: dict[str, Any], act: str) -> None:
        more = {"changes": changes} if act == "update" else {}
        ids = dict.fromkeys([*(key.key_id for key in keys), self.wide, self.foreign, UNKNOWN])
        items = [{"id": key_id, **more} for key_id in ids]
        answer = self.run(caller.act(by_key=True), "keys.batch", {"act": act, "items": items})
        if not isinstance(answer, Exception):
            *_, wide, foreign, unknown = answer.items
            assert str(foreign).replace(self.foreign, UNKNOWN) == str(unknown)
            assert act == "disable" or not wide.done
            self.is_wide_ended = self.is_wide_ended or wide.done
        self.check()

    @rule(
        caller=held,
        name=st.sampled_from(["update", "rotate", "enable", "disable", "revoke", "show", "delete"]),
    )
    def touch_others(self, caller: Held, name: str) -> None:
        answers = [
            self.run(caller.act(by_key=True), f"keys.{name}", {"id": key_id})
            for key_id in (self.foreign, UNKNOWN)
        ]
        assert all(isinstance(answer, TokensvcError) for answer in answers)
        texts = [f"{answer.code} {answer}" for answer in answers]
        assert texts[0].replace(self.foreign, UNKNOWN) == texts[1]

    @rule(caller=held, name=st.sampled_from(["update", "rotate", "enable"]))
    def touch_more(self, caller: Held, name: str) -> None:
        answer = self.run(caller.act(by_key=True), f"keys.{name}", {"id": self.wide})
        assert isinstance(answer, TokensvcError)
        self.check()


async def make_audiences(database: Database, settings: Settings) -> None:
    for name in ("one", "two", "three"):
        await add_audience(database, settings, name, actor=ACTOR)
