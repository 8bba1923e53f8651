"""Random sequences of operations by callers who would like to have more than they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule
from tests.integration.callers import ended, held, made
from tests.integration.callers_world import ACTS, BATCH, ENDINGS, SMALL, UNKNOWN
from tests.integration.listening import HOOK, Listening
from tests.integration.wishes import ADMIN_FIELDS, BASIS, FITTING_WISH, LEAST, NARROW, WISH

if TYPE_CHECKING:
    from tests.integration.callers import Held

LISTEN: Final = "notice-endpoints.create"
GRACE: Final = st.sampled_from([0, 60, 100_000])
SHOWN: Final = st.sampled_from(["tokensvc:keys"] * 6 + ["tokensvc:introspect", "orders:read"])
# Who acts on a key that the callers hold. Its maker has what the key has, as a rule.
WHO: Final = st.sampled_from(["its maker"] * 3 + ["itself", "another"])


class Escalation(Listening):
    """What callers try. `World` checks after each step that it has given nobody more."""

    @rule(target=held, caller=held, capability=SHOWN)
    def narrow(self, caller: Held, capability: str) -> Held:
        return caller.narrow(capability)

    @rule(targets=(held, made), caller=held, basis=BASIS, wish=WISH)
    def make(self, caller: Held, basis: dict[str, Any], wish: dict[str, Any]) -> Any:
        request = {"account": self.world.account, "name": "x", **basis, **wish}
        answer = self.attempt(caller, "keys.create", request)
        assert ADMIN_FIELDS.isdisjoint(wish) or isinstance(answer, Exception)
        return self.hold(answer, caller)

    @rule(
        targets=(held, made),
        caller=held,
        basis=BASIS,
        capability=st.sampled_from(NARROW["capabilities"]),
    )
    def pass_on(self, caller: Held, basis: dict[str, Any], capability: str) -> Any:
        """Make a key with a capability that the caller has, but may not have shown."""
        request = {"account": self.world.account, "name": "x", **basis}
        request |= {"capabilities": sorted({"tokensvc:keys", capability})}
        return self.hold(self.attempt(caller, "keys.create", request), caller)

    @rule(targets=(held, made), caller=held, basis=BASIS)
    def make_while_limits_are_small(self, caller: Held, basis: dict[str, Any]) -> Any:
        """Make a key whose limits are those of the account, which grow afterwards."""
        request = {"account": self.world.account, "name": "x", **basis}
        request |= {"per_minute": None, "per_day": None}
        self.world.change_tier(SMALL)
        answer = self.attempt(caller, "keys.create", request)
        self.world.change_tier("default")
        return self.hold(answer, caller)

    @rule(key=made, who=WHO, another=held, wish=WISH, revoke_tokens=st.booleans())
    def update(self, key: Held, who: str, another: Held, wish: Any, revoke_tokens: Any) -> None:
        request = {"id": key.key_id, "revoke_tokens": revoke_tokens, **wish}
        answer = self.attempt(self.find_actor(key, who, another), "keys.update", request)
        assert ADMIN_FIELDS.isdisjoint(wish) or isinstance(answer, Exception)

    @rule(caller=held.filter(lambda one: one.by_key), wish=WISH)
    def update_itself(self, caller: Held, wish: Any) -> None:
        answer = self.attempt(caller, "keys.update", {"id": caller.key_id, **wish})
        assert ADMIN_FIELDS.isdisjoint(wish) or isinstance(answer, Exception)

    @rule(caller=held, act=st.sampled_from(["update", "rotate", "enable", "batch"]), grace=GRACE)
    def take(self, caller: Held, act: str, grace: int) -> None:
        """Try to get hold of the wide key, if need be by making it less."""
        key, item = {"id": self.world.wide}, {"id": self.world.wide, "changes": LEAST}
        request = {
            "update": key | LEAST,
            "rotate": key | {"grace": grace},
            "batch": {"act": "update", "items": [item]},
        }.get(act, key)
        answer = self.attempt(caller, f"keys.{act}", request)
        assert isinstance(answer, Exception) or (act == "batch" and not answer.items[0].done)

    @rule(
        target=ended, caller=held, key=made, act=st.sampled_from(ENDINGS), keep=st.booleans(),
        whose=st.sampled_from(["held", "held", "wide"]),
    )  # fmt: skip
    def end(self, caller: Held, key: Held, act: str, keep: Any, whose: str) -> Any:
        key_id = self.world.wide if whose == "wide" else key.key_id
        more = {"keep_successors": keep} if act == "revoke" else {}
        answer = self.attempt(caller, f"keys.{act}", {"id": key_id, **more})
        is_held = whose == "held" and not isinstance(answer, Exception)
        return key if is_held else multiple()

    @rule(
        targets=(held, made),
        caller=ended,
        act=st.sampled_from(["keys.create", "keys.enable", "keys.update", "keys.batch", LISTEN]),
    )
    def come_back(self, caller: Held, act: str) -> Any:
        """Try to go on with a key that has ended, unless somebody has enabled it."""
        key, was_active = {"id": caller.key_id}, self.world.is_active(caller.key_id)
        request = {
            "keys.create": {"account": self.world.account, "name": "x", **LEAST, "expires_in": 60},
            "keys.update": {**key, "expires_in": 60},
            "keys.batch": {"act": "enable", "items": [key]},
            LISTEN: {"url": HOOK},
        }.get(act, key)
        answer = self.attempt(caller, act, request)
        assert was_active or act == "keys.batch" or isinstance(answer, Exception)
        return self.hold(answer, caller)

    @rule(key=ended, who=WHO, another=held)
    def enable(self, key: Held, who: str, another: Held) -> None:
        self.attempt(self.find_actor(key, who, another), "keys.enable", {"id": key.key_id})

    @rule(targets=(held, made), key=made, who=WHO, another=held, grace=GRACE)
    def rotate(self, key: Held, who: str, another: Held, grace: int) -> Any:
        caller = self.find_actor(key, who, another)
        request = {"id": key.key_id, "grace": grace}
        return self.hold(self.attempt(caller, "keys.rotate", request), caller)

    @rule(targets=(held, made), caller=held, grace=GRACE)
    def rotate_itself(self, caller: Held, grace: int) -> Any:
        answer = self.attempt(caller, "keys.rotate-self", {"grace": grace})
        assert caller.by_key or isinstance(answer, Exception)
        return self.hold(answer, caller)

    @rule(caller=held, keys=st.lists(held, max_size=2), wish=WISH, act=st.sampled_from(BATCH))
    def batch(self, caller: Held, keys: list[Held], wish: Any, act: str) -> None:
        """Act on keys that are held, and on the wide, a foreign and an unknown one beside them."""
        more = {"changes": wish} if act == "update" else {}
        ids = [*(key.key_id for key in keys), self.world.wide, self.world.foreign, UNKNOWN]
        if act in ENDINGS:
            ids = [key_id for key_id in ids if key_id != self.world.first]
        request = {"act": act, "items": [{"id": one, **more} for one in dict.fromkeys(ids)]}
        answer = self.world.attempt(self.show(caller), "keys.batch", request)
        if not isinstance(answer, Exception):
            *_, wide, foreign, unknown = answer.items
            assert str(foreign).replace(self.world.foreign, UNKNOWN) == str(unknown)
            assert act in ENDINGS or not wide.done
            may_say = act != "update" or ADMIN_FIELDS.isdisjoint(wish)
            assert may_say or not any(item.done for item in answer.items)

    @rule(caller=held, act=st.sampled_from([*ACTS, "update", "create"]), wish=FITTING_WISH)
    def reach_out(self, caller: Held, act: str, wish: Any) -> None:
        """Try everything with the other account."""
        request = {"id": self.world.foreign}
        if act == "create":
            request = {"account": self.world.foreign_account, "name": "x", **LEAST}
        if act == "update":
            request |= wish
        assert isinstance(self.attempt(caller, f"keys.{act}", request), Exception)
