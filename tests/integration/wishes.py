"""What callers ask for of keys: what their own key has or less, and what is too much."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

Wishes = st.SearchStrategy[dict[str, Any]]

# The key of the first caller, as an admin makes it.
NARROW: Final[dict[str, Any]] = {
    "capabilities": ["tokensvc:keys", "tokensvc:introspect", "orders:read"],
    "audiences": ["one", "two"],
    "networks": ["10.0.0.0/8", "2001:db8::/32"],
    "claims": {"team": 1},
    "per_minute": 50,
    "per_day": 500,
    "expires_in": 86_400,
}
# Keys that the first caller can make: with little, and with nearly all that it has.
LEAST: Final[dict[str, Any]] = {
    "capabilities": ["tokensvc:keys"],
    "audiences": ["one"],
    "networks": ["10.1.0.0/16"],
    "self_rotation": False,
    "per_minute": 1,
    "per_day": 1,
    "expires_in": 3000,
}
MOST: Final[dict[str, Any]] = {
    **NARROW,
    "capabilities": ["tokensvc:keys", "orders:read"],
    "self_rotation": True,
    "expires_in": 80_000,
}
del MOST["claims"]
# A key may have more than the first caller in one of these ways.
MORE: Final[dict[str, dict[str, Any]]] = {
    "a right": {"capabilities": ["tokensvc:keys", "orders:write"]},
    "an admin": {"capabilities": ["tokensvc:admin"]},
    "an audience": {"audiences": ["one", "three"]},
    "all audiences": {"audiences": []},
    "a network": {"networks": ["10.0.0.0/8", "11.0.0.0/8"]},
    "all networks": {"networks": []},
    "a claim": {"claims": {"team": 1, "role": "admin"}},
    "another claim": {"claims": {"team": True}},
    "self-rotation": {"self_rotation": True},
    "a limit per minute": {"per_minute": 51},
    "a limit per day": {"per_day": 501},
    "a longer life": {"expires_in": 90_000},
    "no end": {"expires_in": None},
}


def one_of_these(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


FITTING: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": one_of_these("x", "y"),
    "description": one_of_these("", "d"),
    "capabilities": one_of_these(LEAST["capabilities"], MOST["capabilities"], ["orders:read"]),
    "audiences": one_of_these(["one"], ["two", "one"]),
    "networks": one_of_these(["10.1.0.0/16"], ["10.0.0.0/8"], ["10.1.2.0/24", "2001:db8:1::/48"]),
    "metadata": one_of_these({}, {"team": "x"}),
    "self_rotation": st.booleans(),
    "expires_in": one_of_these(600, 3000, 80_000),
    "per_minute": one_of_these(1, 10, 50),
    "per_day": one_of_these(1, 500),
}
TOO_MUCH: Final[dict[str, st.SearchStrategy[Any]]] = {
    "capabilities": one_of_these(
        ["tokensvc:keys", "tokensvc:introspect"], ["tokensvc:introspect"], ["orders:write"],
        ["tokensvc:admin"], ["tokensvc:keys", "tokensvc:read"], ["new:one"], ["zebra:read"],
    ),
    "audiences": one_of_these([], ["three"], ["one", "three"], ["zebra-api"], ["absent"]),
    "networks": one_of_these(
        [], ["10.0.0.0/7"], ["::/0"], ["192.0.2.0/24"], ["10.1.0.0/16", "11.0.0.0/8"]
    ),
    "claims": one_of_these({}, {"team": 1}, {"team": True}, {"role": "admin"}),
    "tier": one_of_these(None, "default", "small"),
    "expires_in": one_of_these(None, 86_401, 90_000),
    "per_minute": one_of_these(None, 51, 1_000_000),
    "per_day": one_of_these(None, 501, 5000),
}  # fmt: skip
ADMIN_FIELDS: Final = frozenset({"claims", "tier"})


def few(fields: dict[str, st.SearchStrategy[Any]], *, least: int = 0) -> Wishes:
    """One or two of the fields: of many, one is refused nearly always."""
    names = st.lists(st.sampled_from(sorted(fields)), min_size=least, max_size=2, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: fields[name] for name in some}))


def one_too_much() -> Wishes:
    """One field that asks for too much, beside others that do not."""
    return st.builds(lambda fits, wide: {**fits, **wide}, few(FITTING), few_of_one(TOO_MUCH))


def few_of_one(fields: dict[str, st.SearchStrategy[Any]]) -> Wishes:
    names = st.sampled_from(sorted(fields))
    return names.flatmap(lambda name: fields[name].map(lambda value: {name: value}))


FITTING_WISH: Final = few(FITTING, least=1)
# Of four wishes, three are for no more than the first caller has: of the updates about half pass.
WISH: Final = st.one_of(FITTING_WISH, FITTING_WISH, FITTING_WISH, one_too_much())
BASIS: Final = one_of_these(LEAST, LEAST | {"expires_in": 600}, MOST)
