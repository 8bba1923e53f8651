"""Random sequences of operations by callers who would like to have more than they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule
from tests.integration.callers_world import (
    ACTS,
    BATCH,
    ENDINGS,
    ENDPOINT_ACTS,
    LISTS,
    MARK,
    NARROW,
    NO_ACCOUNT,
    NO_ENDPOINT,
    NOTICE_LISTS,
    SHOWS,
    UNKNOWN,
    World,
    write,
)

from tokensvc.core.actor import Actor
from tokensvc.operations.authorisation import Principal


def few(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """At most two of the fields: of many, one is refused nearly always."""
    names = st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: fields[name] for name in some}))


def some_of(*names: str, least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=least, max_size=3, unique=True)


TERMS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": st.sampled_from(["x", "y"]),
    "description": st.sampled_from(["", "d"]),
    "capabilities": st.sampled_from([["tokensvc:introspect"], ["tokensvc:keys"]])
    | some_of(
        "orders:read", "orders:write", "tokensvc:keys", "tokensvc:introspect", "tokensvc:admin",
        "new:one", f"{MARK}:read", least=1,
    ),
    "audiences": some_of("one", "two", "three", f"{MARK}-api", "absent"),
    "networks": some_of("10.1.0.0/16", "10.0.0.0/7", "::/0", "2001:db8:1::/48", "192.0.2.0/24"),
    "metadata": st.sampled_from([{}, {"team": "x"}]),
    "claims": st.sampled_from([{}, {"team": 1}, {"team": True}, {"role": "admin"}]),
    "self_rotation": st.booleans(),
    "expires_in": st.sampled_from([None, 3600, 86_000, 86_400, 90_000]),
    "tier": st.sampled_from([None, "default"]),
    "per_minute": st.sampled_from([None, 1, 50, 51, 1_000_000]),
    "per_day": st.sampled_from([None, 1, 500, 501]),
}  # fmt: skip
SHOWN: Final = st.sampled_from(
    ["key", "tokensvc:keys", "key", "tokensvc:keys", "tokensvc:introspect", "orders:read"]
)


@dataclass(frozen=True)
class Held:
    """A key whose text the callers have, with the capabilities that it had when it was made."""

    key_id: str
    account: str
    capabilities: frozenset[str]

    def show(self, shown: str) -> Principal:
        """Return who shows the key itself, or a token of it that was narrowed to a capability."""
        by_key = shown == "key"
        return Principal(
            actor=Actor(name=self.key_id, must_stand=True),
            capabilities=self.capabilities if by_key else self.capabilities & {shown},
            key_id=self.key_id,  # type: ignore[arg-type]
            account_id=self.account,  # type: ignore[arg-type]
            by_key=by_key,
        )


class Escalation(RuleBasedStateMachine):
    """What callers try. `World` checks after each step that it has given nobody more."""

    held = Bundle("held")

    @initialize(target=held)
    def begin(self) -> Held:
        self.world = World()
        return Held(self.world.first, self.world.account, frozenset(NARROW["capabilities"]))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.check_foreign()

    def hold(self, answer: Any) -> Any:
        """Return the key that an answer hands out, if it does."""
        if getattr(answer, "key", None) is None:
            return multiple()
        return Held(answer.id, self.world.account, frozenset(answer.capabilities))

    def name(self, key: Held, whose: str) -> str:
        names = {"wide": self.world.wide, "foreign": self.world.foreign, "unknown": UNKNOWN}
        return str(names.get(whose, key.key_id))

    def try_as_unknown(self, caller: Principal, name: str, request: Any, answer: Any) -> None:
        """Hold that a thing of the other account is as one that does not exist."""
        text = json.dumps(request)
        for foreign, unknown in (
            (self.world.foreign, UNKNOWN),
            (self.world.foreign_account, NO_ACCOUNT),
            (self.world.foreign_endpoint, NO_ENDPOINT),
            (f"{MARK}:read", "absent:read"),
            (f"{MARK}-api", "absent-api"),
        ):
            if foreign in text:
                again = self.world.attempt(caller, name, json.loads(text.replace(foreign, unknown)))
                assert write(answer).replace(foreign, unknown) == write(again)

    @rule(
        target=held, caller=held, shown=SHOWN, wish=few(**TERMS),
        whose=st.sampled_from(["own", "own", "own", "foreign"]),
    )  # fmt: skip
    def create(self, caller: Held, shown: str, wish: dict[str, Any], whose: str) -> Any:
        request = NARROW | {"capabilities": ["orders:read"], "expires_in": 3000, "name": "x"}
        del request["claims"]
        own = self.world.account
        request |= {"account": own if whose == "own" else self.world.foreign_account, **wish}
        answer = self.world.attempt(caller.show(shown), "keys.create", request)
        self.try_as_unknown(caller.show(shown), "keys.create", request, answer)
        return self.hold(answer)

    @rule(
        caller=held, key=held, shown=SHOWN, changes=few(**TERMS), revoke_tokens=st.booleans(),
        whose=st.sampled_from(["held", "held", "wide", "foreign"]),
    )  # fmt: skip
    def update(
        self, caller: Held, key: Held, shown: str, changes: Any, revoke_tokens: Any, whose: str
    ) -> None:
        request = {"id": self.name(key, whose), "revoke_tokens": revoke_tokens, **changes}
        answer = self.world.attempt(caller.show(shown), "keys.update", request)
        assert whose == "held" or isinstance(answer, Exception)
        self.try_as_unknown(caller.show(shown), "keys.update", request, answer)

    @rule(
        target=held, caller=held, key=held, shown=SHOWN, act=st.sampled_from(ACTS),
        grace=st.sampled_from([0, 60, 100_000]), keep=st.booleans(),
        whose=st.sampled_from(["held", "held", "wide", "foreign"]),
    )  # fmt: skip
    def act(
        self, caller: Held, key: Held, shown: str, act: str, grace: int, keep: Any, whose: str
    ) -> Any:
        if act in ENDINGS and self.name(key, whose) == self.world.first:
            return multiple()  # else the sequence would be at its end
        more = {"rotate": {"grace": grace}, "revoke": {"keep_successors": keep}}.get(act, {})
        request = {"id": self.name(key, whose), **more}
        answer = self.world.attempt(caller.show(shown), f"keys.{act}", request)
        assert whose != "wide" or act not in {"enable", "rotate"} or isinstance(answer, Exception)
        self.try_as_unknown(caller.show(shown), f"keys.{act}", request, answer)
        return self.hold(answer)

    @rule(target=held, key=held, shown=SHOWN)
    def rotate_itself(self, key: Held, shown: str) -> Any:
        answer = self.world.attempt(key.show(shown), "keys.rotate-self", {"grace": 60})
        assert shown == "key" or isinstance(answer, Exception)
        return self.hold(answer)

    @rule(
        caller=held, keys=st.lists(held, max_size=3), shown=SHOWN, changes=few(**TERMS),
        act=st.sampled_from(BATCH),
    )  # fmt: skip
    def batch(self, caller: Held, keys: list[Held], shown: str, changes: Any, act: str) -> None:
        more = {"changes": changes} if act == "update" else {}
        ids = [*(key.key_id for key in keys), self.world.wide, self.world.foreign, UNKNOWN]
        if act in ENDINGS:
            ids = [key_id for key_id in ids if key_id != self.world.first]
        request = {"act": act, "items": [{"id": one, **more} for one in dict.fromkeys(ids)]}
        answer = self.world.attempt(caller.show(shown), "keys.batch", request)
        if not isinstance(answer, Exception):
            *_, wide, foreign, unknown = answer.items
            assert str(foreign).replace(self.world.foreign, UNKNOWN) == str(unknown)
            assert act in ENDINGS or not wide.done

    @rule(
        caller=held, shown=SHOWN, name=st.sampled_from([*LISTS, *SHOWS]),
        whose=st.sampled_from(["all", "own", "foreign"]),
        part=st.sampled_from([{}, {"name": MARK}]),
    )  # fmt: skip
    def look(self, caller: Held, shown: str, name: str, whose: str, part: dict[str, str]) -> None:
        world, request = self.world, {}
        foreign = whose == "foreign"
        if name in {"keys.list", "accounts.list"}:
            request = dict(part)
        if name == "keys.list" and whose != "all":
            request["account"] = world.foreign_account if foreign else world.account
        if name == "accounts.show":
            request["id"] = world.foreign_account if foreign else world.account
        if name in {"usage.show", "leaks.list"}:
            request["key"] = world.foreign if foreign else world.wide
        if name == "capabilities.show":
            request["name"] = f"{MARK}:read" if foreign else "orders:read"
        if name == "audiences.show":
            request["name"] = f"{MARK}-api" if foreign else "one"
        answer = world.attempt(caller.show(shown), name, request)
        self.try_as_unknown(caller.show(shown), name, request, answer)

    @rule(
        caller=held, shown=SHOWN, whose=st.sampled_from(["all", "own", "foreign"]),
        name=st.sampled_from(
            [*NOTICE_LISTS, "notice-endpoints.create", "accounts.set-contact"]
        ),
    )  # fmt: skip
    def look_at_notices(self, caller: Held, shown: str, whose: str, name: str) -> None:
        world, request = self.world, {}
        if whose != "all":
            request["account"] = world.foreign_account if whose == "foreign" else world.account
        if name == "notice-endpoints.create":
            request["url"] = "https://hooks.example/"
        if name == "accounts.set-contact":
            request = {"id": request.get("account", world.account), "contact": None}
        answer = world.attempt(caller.show(shown), name, request)
        assert whose != "foreign" or isinstance(answer, Exception)
        self.try_as_unknown(caller.show(shown), name, request, answer)

    @rule(caller=held, shown=SHOWN, act=st.sampled_from([*ENDPOINT_ACTS, "redeliver"]))
    def touch_endpoint(self, caller: Held, shown: str, act: str) -> None:
        name, request = f"notice-endpoints.{act}", {"id": self.world.foreign_endpoint}
        if act == "redeliver":
            name, request = "notice-deliveries.redeliver", {"id": "1"}
        answer = self.world.attempt(caller.show(shown), name, request)
        assert isinstance(answer, Exception)
        self.try_as_unknown(caller.show(shown), name, request, answer)
