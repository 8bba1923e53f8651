"""The revocations in force, arranged so that a token is looked up in constant time."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.revocation import KINDS, Revocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.revocation import Kind
    from tokensvc.core.identifier import Kid

# Revocations are forgotten slot by slot: a slot is so many seconds long.
_SLOT: Final = 64
# So many are forgotten in one step, which takes a few milliseconds.
_FORGOTTEN_PER_STEP: Final = 5000
# The watermark stands in the low bits of a number, and `exp` above it. Moments are smaller than
# FAR, which is 2 ** 53.
_UPTO_BITS: Final = 53
_UPTO_MASK: Final = (1 << _UPTO_BITS) - 1
# When a dict grows it moves all that it holds. With a million entries that takes 100 ms, in which
# no thread goes on. So each kind is spread over so many small dicts, by the hash of the value.
_SHARDS: Final = 64
_SHARD_MASK: Final = _SHARDS - 1

_Shards = tuple[dict[str, int], ...]


def _new_shards() -> _Shards:
    return tuple({} for _ in range(_SHARDS))


class Denylist:
    """The revocations in force. A relying party may hold 100,000 of them in less than 20 MB.

    Any thread may look a token up, and go through all, while one other thread adds and forgets.
    """

    def __init__(self) -> None:
        # exp by value
        self._ends: dict[Kind, _Shards] = {"jti": _new_shards(), "kid": _new_shards()}
        # exp and upto by value, as one number, which takes a third of the memory of a pair
        self._watermarks: dict[Kind, _Shards] = {"key": _new_shards(), "account": _new_shards()}
        # The values whose revocations expire in a slot, to find them when it is over.
        self._due: dict[Kind, dict[int, list[str]]] = {kind: {} for kind in KINDS}
        # A heap of all slots, so that those which are not over yet need not be looked at.
        self._slots: list[tuple[int, Kind]] = []

    def __len__(self) -> int:
        """Return the number of revocations held."""
        tables = chain(self._ends.values(), self._watermarks.values())
        return sum(map(len, chain.from_iterable(tables)))

    def __iter__(self) -> Iterator[Revocation]:
        """Go through the revocations held, in no particular order."""
        for kind, shards in self._ends.items():
            for value, exp in _list_items(shards):
                yield Revocation(kind, value, exp)
        for kind, shards in self._watermarks.items():
            for value, held in _list_items(shards):
                yield Revocation(kind, value, held >> _UPTO_BITS, held & _UPTO_MASK)

    def __contains__(self, thing: tuple[Kind, str]) -> bool:
        """Tell whether a revocation of this kind and value is held."""
        kind, value = thing
        shards = self._ends.get(kind) or self._watermarks[kind]
        return value in shards[hash(value) & _SHARD_MASK]

    def copy(self) -> Denylist:
        """Return a denylist of its own with the same revocations."""
        made = Denylist()
        made._ends = {kind: _copy(shards) for kind, shards in self._ends.items()}
        made._watermarks = {kind: _copy(shards) for kind, shards in self._watermarks.items()}
        made._due = {
            kind: {slot: values.copy() for slot, values in slots.items()}
            for kind, slots in self._due.items()
        }
        made._slots = self._slots.copy()
        return made

    def add(self, revocations: Iterable[Revocation]) -> None:
        """Take revocations in. Of two for the same thing the later `exp` and `upto` apply."""
        for kind, value, exp, upto in revocations:
            if upto is None:
                ends = self._ends[kind][hash(value) & _SHARD_MASK]
                held_exp = ends.get(value, -1)
                if exp > held_exp:
                    ends[value] = exp
            else:
                watermarks = self._watermarks[kind][hash(value) & _SHARD_MASK]
                held = watermarks.get(value, -1)
                held_exp = held >> _UPTO_BITS
                if held < 0:
                    watermarks[value] = exp << _UPTO_BITS | upto
                else:
                    latest_upto = max(upto, held & _UPTO_MASK)
                    watermarks[value] = max(exp, held_exp) << _UPTO_BITS | latest_upto
            # Only where the end has moved, so that a repeated revocation does not fill the slots.
            if exp > held_exp:
                slots, slot = self._due[kind], exp // _SLOT
                if slot in slots:
                    slots[slot].append(value)
                else:
                    slots[slot] = [value]
                    heappush(self._slots, (slot, kind))

    def forget_expired(self, now: float, *, most: int = _FORGOTTEN_PER_STEP) -> bool:
        """Drop what covers no token that could still be alive, but not more than `most`.

        Returns whether nothing of that kind is left. A revocation may stay a minute longer than it
        must, because an expired one does no harm.
        """
        while self._slots and (self._slots[0][0] + 1) * _SLOT <= now:
            slot, kind = self._slots[0]
            most -= self._forget_slot(kind, slot, now, most)
            if slot not in self._due[kind]:
                heappop(self._slots)
            if most <= 0:
                return False
        return True

    def _forget_slot(self, kind: Kind, slot: int, now: float, most: int) -> int:
        """Forget what a slot holds, but not more than `most`; return how many were looked at."""
        values = self._due[kind][slot]
        # From the end, because nothing has to move then.
        some = values[-most:]
        del values[-most:]
        if not values:
            del self._due[kind][slot]
        shards, shift = (
            (self._ends[kind], 0) if kind in self._ends else (self._watermarks[kind], _UPTO_BITS)
        )
        for value in some:  # one that got a later end stands in another slot as well
            held = shards[hash(value) & _SHARD_MASK]
            if value in held and held[value] >> shift <= now:
                del held[value]
        return len(some)

    def revokes_kid(self, kid: str) -> bool:
        """Tell whether a signing key is revoked."""
        return ("kid", kid) in self

    def find_revocation(self, claims: Claims, kid: Kid) -> Revocation | None:
        """Return a revocation that covers the token, None if there is none.

        `kid` names the key that signed it.
        """
        if self._knows_nothing_of(claims, kid):
            return None
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

    def _knows_nothing_of(self, claims: Claims, kid: Kid) -> bool:
        """Tell whether nothing that a token names is held, as for almost every token."""
        jti, key, account, mask = claims.jti, claims.client_id, claims.sub, _SHARD_MASK
        ends, watermarks = self._ends, self._watermarks
        return not (
            jti in ends["jti"][hash(jti) & mask]
            or kid in ends["kid"][hash(kid) & mask]
            or key in watermarks["key"][hash(key) & mask]
            or account in watermarks["account"][hash(account) & mask]
            or claims.origin_jti is not None
            or claims.origin_kid is not None
        )

    def _find_end(self, kind: Kind, value: str) -> Revocation | None:
        exp = self._ends[kind][hash(value) & _SHARD_MASK].get(value)
        return None if exp is None else Revocation(kind=kind, value=value, exp=exp)

    def _find_watermark(self, kind: Kind, value: str, iat: int) -> Revocation | None:
        held = self._watermarks[kind][hash(value) & _SHARD_MASK].get(value)
        if held is None or iat > held & _UPTO_MASK:
            return None
        return Revocation(kind, value, held >> _UPTO_BITS, held & _UPTO_MASK)


def _list_items(shards: _Shards) -> Iterator[tuple[str, int]]:
    # Of a copy, shard by shard: another thread may add meanwhile, and a dict that grows under an
    # iterator makes it raise.
    return chain.from_iterable(shard.copy().items() for shard in shards)


def _copy(shards: _Shards) -> _Shards:
    return tuple(shard.copy() for shard in shards)


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
