"""Callers who want to be told of what happens to others, and who look at what others have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.integration.callers import Callers, held
from tests.integration.callers_world import ENDPOINT_ACTS, LISTS, MARK, SHOWS

from tokensvc.core.errors import InsufficientScopeError, NotFoundError

if TYPE_CHECKING:
    from tests.integration.callers import Held

HOOK: Final = "https://hooks.example/x"
READ: Final = (*LISTS, *SHOWS, "keys.show")


class Listening(Callers):
    """What callers try to read, and how they try to be told."""

    @rule(
        caller=held, names=st.lists(st.sampled_from(READ), min_size=4, max_size=4, unique=True),
        whose=st.sampled_from(["all", "own", "foreign", "foreign"]),
        part=st.sampled_from([{}, {"name": MARK}]),
    )  # fmt: skip
    def look(self, caller: Held, names: list[str], whose: str, part: dict[str, str]) -> None:
        """Look at several things, because each look alone leads to nothing else."""
        for name in names:
            self.attempt(caller, name, self.ask(name, whose, part))

    def ask(self, name: str, whose: str, part: dict[str, str]) -> dict[str, str]:
        """Return the request to look at things of `whose` account."""
        world, foreign = self.world, whose == "foreign"
        account = world.foreign_account if foreign else world.account
        key = world.foreign if foreign else world.wide
        by_account = {} if whose == "all" else {"account": account}
        said: dict[str, dict[str, str]] = {
            "keys.list": {**part, **by_account},
            "accounts.list": part,
            "accounts.show": {"id": account},
            "accounts.show-usage": {"id": account},
            "keys.show": {"id": key},
            "usage.show": {"key": key},
            "usage.list": {"ids": key},
            "leaks.list": {"key": key},
            "capabilities.show": {"name": f"{MARK}:read" if foreign else "orders:read"},
            "audiences.show": {"name": f"{MARK}-api" if foreign else "one"},
            "notices.list": by_account,
            "notice-endpoints.list": by_account,
            "notice-deliveries.list": by_account,
        }
        return said.get(name, {})

    @rule(
        caller=held,
        act=st.sampled_from(["create", *ENDPOINT_ACTS]),
        is_own=st.booleans(),
    )
    def listen(self, caller: Held, act: str, is_own: Any) -> None:
        """Try to be told of what happens to the other account, or was told already."""
        account = self.world.account if is_own else self.world.foreign_account
        request = {
            "create": {"url": HOOK, "account": account},
            "update": {"url": HOOK, "id": self.world.foreign_endpoint},
        }.get(act, {"id": self.world.foreign_endpoint})
        answer = self.attempt(caller, f"notice-endpoints.{act}", request)
        assert (act == "create" and is_own) or isinstance(answer, Exception)
        request = {"id": self.world.foreign_delivery}
        answer = self.world.attempt(self.show(caller), "notice-deliveries.redeliver", request)
        assert isinstance(answer, (NotFoundError, InsufficientScopeError))

    @rule(caller=held, is_own=st.booleans())
    def set_contact(self, caller: Held, is_own: Any) -> None:
        """Try to be the mailbox of an account, or to take it away."""
        account = self.world.account if is_own else self.world.foreign_account
        answer = self.attempt(caller, "accounts.set-contact", {"id": account, "contact": None})
        assert is_own or isinstance(answer, (NotFoundError, InsufficientScopeError))
