"""Callers who hold keys and tokens of one account, and how they call."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple
from tests.integration.callers_world import MARK, NO_ACCOUNT, NO_ENDPOINT, UNKNOWN, World, write
from tests.integration.wishes import BASIS, LEAST, MORE, NARROW

from tokensvc.core.actor import Actor
from tokensvc.operations.rights import Principal

held = Bundle("held")
made = Bundle("made")  # those keys of `held` that callers have made
ended = Bundle("ended")


@dataclass(frozen=True)
class Held:
    """A key whose text the callers have, or a token of it (then `by_key` is false).

    `capabilities`: what the key or token could do when it was made. `maker`: what made the key.
    """

    key_id: str
    capabilities: frozenset[str]
    maker: Held | None = None
    by_key: bool = True

    def narrow(self, capability: str) -> Held:
        """Return a token that can do at most this."""
        return replace(self, capabilities=self.capabilities & {capability}, by_key=False)


class Callers(RuleBasedStateMachine):
    """The callers of one sequence, and the keys that they begin with. Rules say what they try."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.first = Held(self.world.first, frozenset(NARROW["capabilities"]))

    @initialize(target=held, way=st.sampled_from(sorted(MORE)))
    def begin(self, way: str) -> Any:
        """Hold the first key and a token of it; beside them there is a key that has more."""
        self.world.make_wide(way)
        return multiple(self.first, self.first.narrow("tokensvc:keys"))

    @initialize(targets=(held, made), basis=BASIS)
    def begin_with_one_made(self, basis: dict[str, Any]) -> Any:
        request = {"account": self.world.account, "name": "made", **basis}
        return self.hold(self.attempt(self.first, "keys.create", request), self.first)

    @initialize(targets=(held, ended), act=st.sampled_from(["disable", "disable", "revoke"]))
    def begin_with_one_ended(self, act: str) -> Held:
        key = self.world.make(self.world.account, LEAST)
        self.world.change(f"keys.{act}", {"id": key.id})
        return Held(key.id, frozenset(key.capabilities), self.first)

    def teardown(self) -> None:
        self.world.check_foreign()

    def attempt(self, caller: Held, name: str, request: Any) -> Any:
        """Call an operation. A thing of the other account must be as one that does not exist."""
        principal = self.show(caller)
        answer = self.world.attempt(principal, name, request)
        text = json.dumps(request)
        for foreign, unknown in (
            (self.world.foreign, UNKNOWN),
            (self.world.foreign_account, NO_ACCOUNT),
            (self.world.foreign_endpoint, NO_ENDPOINT),
            (f"{MARK}:read", "absent:read"),
            (f"{MARK}-api", "absent-api"),
        ):
            if foreign in text:
                again = self.world.attempt(
                    principal, name, json.loads(text.replace(foreign, unknown))
                )
                assert write(answer).replace(foreign, unknown) == write(again)
        return answer

    def show(self, caller: Held) -> Principal:
        """Return who shows a key or a token. A key can do what it can do now."""
        listed, capabilities = self.world.keys.get(caller.key_id), caller.capabilities
        if caller.by_key and listed is not None:
            capabilities = frozenset(listed.record.terms.capabilities)
        return Principal(
            actor=Actor(name=caller.key_id, must_stand=True),
            capabilities=capabilities,
            key_id=caller.key_id,  # type: ignore[arg-type]
            account_id=self.world.account,
            by_key=caller.by_key,
        )

    def hold(self, answer: Any, maker: Held) -> Any:
        """Return the key that an answer hands out, if it does."""
        if getattr(answer, "key", None) is None:
            return multiple()
        return Held(answer.id, frozenset(answer.capabilities), maker)

    def find_actor(self, key: Held, who: str, another: Held) -> Held:
        return {"its maker": key.maker or key, "itself": key}.get(who, another)
