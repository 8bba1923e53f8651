"""A revocation, and its form as an entry of a page: `{"key": "key_...", "exp": 1, "upto": 1}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar, get_args

from tokensvc.core.claims import FAR

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["jti", "key", "account", "kid"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_T = TypeVar("_T")

_MAX_ID_LENGTH: Final = 255


class Revocation(NamedTuple):
    """What followers get to know of a revocation. Times are seconds since 1970.

    After `exp` it may be forgotten. `upto` is the watermark of a key or an account: tokens with
    `iat` <= `upto` are revoked. The other kinds have none. A follower of a long denylist makes a
    million of these, and a tuple is made four times as fast as a frozen dataclass.
    """

    kind: Kind
    value: str
    exp: int
    upto: int | None = None


def build_entry(revocation: Revocation) -> dict[str, Any]:
    """Return the JSON object that stands for a revocation in a page."""
    entry: dict[str, Any] = {revocation.kind: revocation.value, "exp": revocation.exp}
    if revocation.upto is not None:
        entry["upto"] = revocation.upto
    return entry


def parse_entry(entry: Any) -> Revocation:  # noqa: ANN401 - whatever JSON held
    """Return the revocation that a JSON object stands for. Raises KeyError or TypeError."""
    kinds = [kind for kind in KINDS if kind in check_type(entry, dict)]
    if len(kinds) != 1:
        raise TypeError("an entry must name exactly one thing")
    kind = kinds[0]
    value = check_type(entry[kind], str)
    if not 0 < len(value) <= _MAX_ID_LENGTH:
        raise TypeError(f"an id has 1 to {_MAX_ID_LENGTH} characters")
    upto = check_moment(entry["upto"]) if kind in {"key", "account"} else None
    return Revocation(kind=kind, value=value, exp=check_moment(entry["exp"]), upto=upto)


def bound_revocations(
    revocations: Iterable[Revocation], *, latest_exp: int, latest_upto: int
) -> list[Revocation]:
    """Return the revocations, none of which reaches further than the two moments (seconds)."""
    # An honest page has none that reaches too far, so nearly all are passed on without a copy.
    return [
        revocation
        if revocation.exp <= latest_exp and (revocation.upto or 0) <= latest_upto
        else revocation._replace(
            exp=min(revocation.exp, latest_exp),
            upto=None if revocation.upto is None else min(revocation.upto, latest_upto),
        )
        for revocation in revocations
    ]


def check_moment(value: object) -> int:
    """Return `value` if it is a number of seconds since 1970. Raises TypeError."""
    seconds = check_type(value, int)
    if not 0 <= seconds < FAR:
        raise TypeError("expected seconds since 1970")
    return seconds


def check_type(value: object, wanted: type[_T]) -> _T:
    """Return `value` if its type is exactly `wanted`: True is no int here. Raises TypeError."""
    if type(value) is not wanted:
        raise TypeError(f"expected {wanted.__name__}")
    return value
