"""The revocations of a follower, apart for each signing key whose pages have brought them.

A thief of a signing key can sign pages with it, and revoke anything in them. When that key has been
revoked, what only its pages have brought is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.denylist.lookup import Denylist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.revocation import Revocation
    from tokensvc.core.identifier import Kid


class VouchedDenylist:
    """For each signing key the revocations that its pages have brought: it vouches for them.

    Any thread may look a token up, and count, while one other thread adds, forgets and drops.
    """

    def __init__(self) -> None:
        self._by_signer: dict[Kid, Denylist] = {}
        self._parts: tuple[Denylist, ...] = ()  # the same denylists, for a quick lookup

    def __len__(self) -> int:
        """Return the number of things that are revoked."""
        parts = sorted(self._parts, key=len, reverse=True)
        if not parts:
            return 0
        # Usually one key has signed nearly everything, so the longest part is only counted.
        first, *others = parts
        if not others:
            return len(first)
        things = {(r.kind, r.value) for part in others for r in part}
        return len(first) + sum(thing not in first for thing in things)

    def __iter__(self) -> Iterator[Revocation]:
        """Go through the revocations; one that several keys vouch for comes several times."""
        for part in self._parts:
            yield from part

    @property
    def signers(self) -> tuple[Kid, ...]:
        """The keys that vouch for anything."""
        return tuple(self._by_signer)

    def list_of(self, signer: Kid) -> Iterable[Revocation]:
        """Return the revocations that one key vouches for."""
        return self._by_signer.get(signer, ())

    def list_vouchers(self, kid: Kid) -> list[Kid]:
        """Return the keys that vouch for the revocation of the signing key `kid`."""
        return [signer for signer, part in self._by_signer.items() if part.revokes_kid(kid)]

    def copy(self) -> VouchedDenylist:
        """Return a denylist of its own with the same revocations."""
        made = VouchedDenylist()
        made._set({signer: part.copy() for signer, part in self._by_signer.items()})
        return made

    def add(self, revocations: Iterable[Revocation], signer: Kid) -> None:
        """Take revocations in that a page has brought which `signer` has signed."""
        part = self._by_signer.get(signer)
        if part is None:
            part = Denylist()
            self._set(self._by_signer | {signer: part})
        part.add(revocations)

    def drop(self, signers: Iterable[Kid]) -> None:
        """Drop what only these keys vouch for."""
        gone = set(signers)
        self._set({kid: part for kid, part in self._by_signer.items() if kid not in gone})

    def forget_expired(self, now: float) -> bool:
        """Drop some of what covers no token that could still be alive.

        Returns whether nothing of that kind is left.
        """
        # A list, because every part must get its turn, also after one that is not done yet.
        done = [part.forget_expired(now) for part in self._parts]
        if not all(map(len, self._parts)):
            self._set({kid: part for kid, part in self._by_signer.items() if len(part)})
        return all(done)

    def find_revocation(self, claims: Claims, kid: Kid) -> Revocation | None:
        """Return a revocation that covers the token, None if there is none.

        `kid` names the key that signed it.
        """
        for part in self._parts:
            revocation = part.find_revocation(claims, kid)
            if revocation is not None:
                return revocation
        return None

    def _set(self, by_signer: dict[Kid, Denylist]) -> None:
        # Both are replaced and never changed: a thread that looks a token up goes through the old
        # parts or the new ones, and never through something in between.
        self._by_signer, self._parts = by_signer, tuple(by_signer.values())
