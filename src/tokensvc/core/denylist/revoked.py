"""The revocations in force, arranged so that a token is looked up in constant time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.revocation import Revocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.revocation import Kind
    from tokensvc.core.identifier import Kid

_SWEEP_INTERVAL: Final = 10.0  # seconds


class Denylist:
    """The revocations in force. A relying party may hold 100,000 of them in less than 20 MB.

    Any thread may look a token up while one other thread adds and forgets.
    """

    def __init__(self) -> None:
        self._ends: dict[Kind, dict[str, int]] = {"jti": {}, "kid": {}}  # exp by value
        # (exp, upto) by value
        self._watermarks: dict[Kind, dict[str, tuple[int, int]]] = {"key": {}, "account": {}}
        self._next_sweep = 0.0

    def __len__(self) -> int:
        """Return the number of revocations held."""
        return sum(map(len, self._ends.values())) + sum(map(len, self._watermarks.values()))

    def __iter__(self) -> Iterator[Revocation]:
        """Go through the revocations held, in no particular order."""
        for kind, ends in self._ends.items():
            for value, exp in ends.items():
                yield Revocation(kind=kind, value=value, exp=exp)
        for kind, watermarks in self._watermarks.items():
            for value, (exp, upto) in watermarks.items():
                yield Revocation(kind=kind, value=value, exp=exp, upto=upto)

    def __contains__(self, thing: tuple[Kind, str]) -> bool:
        """Tell whether a revocation of this kind and value is held."""
        kind, value = thing
        return value in self._ends.get(kind, ()) or value in self._watermarks.get(kind, ())

    def copy(self) -> Denylist:
        """Return a denylist of its own with the same revocations."""
        made = Denylist()
        made._ends = {kind: ends.copy() for kind, ends in self._ends.items()}
        made._watermarks = {kind: held.copy() for kind, held in self._watermarks.items()}
        return made

    def add(self, revocations: Iterable[Revocation]) -> None:
        """Take revocations in. Of two for the same thing the later `exp` and `upto` apply."""
        for kind, value, exp, upto in revocations:
            if upto is None:
                ends = self._ends[kind]
                if exp > ends.get(value, -1):
                    ends[value] = exp
            else:
                watermarks = self._watermarks[kind]
                held_exp, held_upto = watermarks.get(value, (0, 0))
                watermarks[value] = (max(exp, held_exp), max(upto, held_upto))

    def forget_expired(self, now: float) -> None:
        """Drop the revocations that have expired: no token that they cover is live any more.

        It looks every ten seconds at most, because an expired revocation does no harm.
        """
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_INTERVAL
        self._ends = {
            kind: {value: exp for value, exp in ends.items() if exp > now}
            for kind, ends in self._ends.items()
        }
        self._watermarks = {
            kind: {value: held for value, held in watermarks.items() if held[0] > now}
            for kind, watermarks in self._watermarks.items()
        }

    def revokes_kid(self, kid: str) -> bool:
        """Tell whether a signing key is revoked."""
        return kid in self._ends["kid"]

    def find_revocation(self, claims: Claims, kid: Kid) -> Revocation | None:
        """Return a revocation that covers the token, None if there is none.

        `kid` names the key that signed it.
        """
        revocation = self._find_end("jti", claims.jti) or self._find_end("kid", kid)
        if revocation is None and claims.origin_jti is not None:
            revocation = self._find_end("jti", claims.origin_jti)
        if revocation is None and claims.origin_kid is not None:
            revocation = self._find_end("kid", claims.origin_kid)
        return (
            revocation
            or self._find_watermark("key", claims.client_id, claims.iat)
            or self._find_watermark("account", claims.sub, claims.iat)
        )

    def _find_end(self, kind: Kind, value: str) -> Revocation | None:
        exp = self._ends[kind].get(value)
        return None if exp is None else Revocation(kind=kind, value=value, exp=exp)

    def _find_watermark(self, kind: Kind, value: str, iat: int) -> Revocation | None:
        held = self._watermarks[kind].get(value)
        if held is None or iat > held[1]:
            return None
        return Revocation(kind=kind, value=value, exp=held[0], upto=held[1])


def list_revocable(claims: Claims, kid: Kid) -> list[tuple[Kind, str]]:
    """Return everything whose revocation would cover the token.

    It is what `Denylist.find_revocation` looks for, for those who ask elsewhere.
    """
    names: list[tuple[Kind, str | None]] = [
        ("jti", claims.jti),
        ("jti", claims.origin_jti),
        ("kid", kid),
        ("kid", claims.origin_kid),
        ("key", claims.client_id),
        ("account", claims.sub),
    ]
    return [(kind, value) for kind, value in names if value is not None]
