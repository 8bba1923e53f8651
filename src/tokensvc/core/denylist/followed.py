"""The rules by which a follower takes pages in, in the manner of TUF's client (section 5 there).

1. The issuer is the same, and a key that is not revoked has signed the page. The caller checks
   the signature.
2. A page that has expired, or that was issued before the last one, is refused. A page that brings
   news, or that lies in the middle of a long row, may be older: it makes nothing fresher. What a
   full page revokes is true whenever it was issued, so it is taken in even if the page is refused:
   after a failover to a host whose clock is behind, nobody waits for the clock to catch up. The
   same is true of any page that fits and comes from the future: it is refused, and its news holds.
3. A page that is not full must begin exactly where the follower stands, and never goes backwards.
4. A full page is merged and replaces nothing: revocations that the follower holds and the page
   lacks stay until they expire. If the head that it names lies behind the follower's own position,
   or has another tag there, a reset is reported.
5. No revocation reaches further than any honest issuer would let it: that bounds what a thief of a
   signing key can do.
6. When a signing key is revoked by a page that another key has signed, everything is read again.
   Then what only the revoked key has vouched for is dropped.

Not here: fetching, waiting, signatures, and what a stale denylist means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.position import contradicts
from tokensvc.core.denylist.revocation import bound_revocations
from tokensvc.core.denylist.vouched import VouchedDenylist
from tokensvc.core.errors import InvalidPageError
from tokensvc.core.identifier import Kid
from tokensvc.core.steps import run_steps

if TYPE_CHECKING:
    from collections.abc import Generator

    from tokensvc.core.denylist.page import FeedPage
    from tokensvc.core.denylist.position import Position

# Replicas confirm their copies at different moments, so `iat` may step back a little between them.
_REPLICA_SKEW: Final = 5  # seconds
# A watermark may lie so far ahead of its page: a clock that was ahead may have been believed.
# A thief of a signing key can revoke tokens for as long in advance, and no longer.
_FURTHEST_UPTO: Final = 120  # seconds
# A token lives 30 days at most, and its revocation a little longer.
_LONGEST_LIFE: Final = 31 * 86_400  # seconds from the issue of a page to the end of an entry
# So many revocations are added in one step, which takes less than a millisecond.
_ADDED_PER_STEP: Final = 1000


@dataclass(slots=True)
class FollowedDenylist:
    """A denylist that follows an issuer's feed: the revocations, the position, and how fresh.

    `has_all`: all revocations that were in force at `page_issued_at` are held. `condemned`: signing
    keys that are revoked; their revocations are dropped once everything has been read again.
    """

    issuer: str
    denylist: VouchedDenylist = field(default_factory=VouchedDenylist)
    position: Position | None = None
    page_issued_at: int = 0
    resets: int = 0
    has_all: bool = False
    condemned: set[Kid] = field(default_factory=set)
    # Who has signed the pages since the last full one; None if that is not known any more.
    _signers: set[Kid] | None = None

    @property
    def must_read_all(self) -> bool:
        """Whether the next page must be a full one."""
        return bool(self.condemned) and (
            self._signers is None or not self._signers.isdisjoint(self.condemned)
        )

    def list_judges(self, kid: Kid) -> list[Kid]:
        """Return the signing keys whose pages have revoked `kid`, without those condemned."""
        vouchers = self.denylist.list_vouchers(kid)
        return [judge for judge in vouchers if judge != kid and judge not in self.condemned]

    def apply(self, page: FeedPage, signer: Kid, *, now: float, leeway: float) -> bool:
        """Take in a page that `signer` has signed; return True if the history was found reset.

        `now` and `leeway` are seconds. Raises InvalidPageError and then changes nothing, with one
        exception: the revocations of a page that is replayed or ahead are taken in (rule 2).
        """
        return bool(run_steps(self.apply_in_steps(page, signer, now=now, leeway=leeway)))

    def apply_in_steps(
        self, page: FeedPage, signer: Kid, *, now: float, leeway: float
    ) -> Generator[None, None, bool]:
        """As `apply`, in steps of less than a millisecond."""
        # Before anything is taken in, because `_note` moves the position that this compares with.
        reset = self._is_reset_by(page)
        self._check(page, now, leeway)
        is_ahead = page.issued_at - leeway > now
        # The latest moment that it may be for the issuer. A page from the future does not move it,
        # or it could revoke tokens further in advance than rule 5 allows.
        latest = (now if is_ahead else max(page.issued_at, now)) + leeway
        yield from self._add(page, signer, latest=latest)
        if is_ahead:
            raise _refused("page_ahead")
        if self._is_too_old(page, reset=reset):
            raise _refused("page_replayed")
        self._note(page, signer)
        # Forget only what has expired by both clocks, the issuer's and ours: it is not sent again.
        while not self.denylist.forget_expired(min(now, self.page_issued_at)):
            yield
        self.resets += reset
        return reset

    def _add(self, page: FeedPage, signer: Kid, *, latest: float) -> Generator[None, None, None]:
        # An old page may not reach further than when it was new, and one from the future no further
        # than our own clock allows.
        latest_exp = min(page.issued_at, int(latest)) + _LONGEST_LIFE
        latest_upto = int(latest) + _FURTHEST_UPTO
        rest = iter(page.revocations)
        while some := list(islice(rest, _ADDED_PER_STEP)):
            yield
            self.denylist.add(
                bound_revocations(some, latest_exp=latest_exp, latest_upto=latest_upto),
                signer,
            )

    def _note(self, page: FeedPage, signer: Kid) -> None:
        # A full page begins a new row, and from it on all who have signed are known.
        if page.full:
            self._signers = set()
        if self._signers is not None:
            self._signers.add(signer)
        self.condemned |= self._find_revoked_signers(page, signer)
        # The caller has checked the signature, so this key is trusted now.
        self.condemned.discard(signer)
        self.position = page.cursor
        is_newer = page.issued_at >= self.page_issued_at - _REPLICA_SKEW
        self.page_issued_at = max(self.page_issued_at, page.issued_at)
        self.has_all = self.has_all or (page.is_last and is_newer)
        # Since the last full page only keys that are trusted have signed, and the row is complete.
        if page.is_last and self.condemned and not self.must_read_all:
            self.denylist.drop(self.condemned)
            self.condemned = set()
            # A page of a key that was revoked may have been dated ahead. Then honest pages would
            # look replayed, so what such pages said of the time is dropped too.
            self.page_issued_at = page.issued_at

    def _find_revoked_signers(self, page: FeedPage, signer: Kid) -> set[Kid]:
        # A key that vouches for nothing here has nothing to drop, and no page condemns its own
        # signer.
        revoked = {Kid(r.value) for r in page.revocations if r.kind == "kid"}
        return revoked.intersection(self.denylist.signers) - {signer}

    def _is_reset_by(self, page: FeedPage) -> bool:
        return page.full and self.position is not None and contradicts(page.head, self.position)

    def _check(self, page: FeedPage, now: float, leeway: float) -> None:
        if page.issuer != self.issuer:
            both = f"it says {page.issuer!r}, and {self.issuer!r} is followed"
            raise _refused("wrong_issuer", both)
        if page.expires_at + leeway <= now:
            raise _refused("page_out_of_date")
        if page.full:
            return
        if page.after is None or page.after != self.position:
            raise _refused("page_not_contiguous")
        if contradicts(page.cursor, page.after):
            raise _refused("page_goes_backwards")

    def _is_too_old(self, page: FeedPage, *, reset: bool) -> bool:
        # A page that resets the history is believed only if it is certainly newer.
        oldest = self.page_issued_at + 1 if reset else self.page_issued_at - _REPLICA_SKEW
        # An older page that continues where we stand and brings revocations is accepted, because it
        # does not make the denylist look fresher. So a step back of the issuer's clock delays none.
        has_news = not page.full and bool(page.revocations)
        # A page in the middle of a row is shared for longer, and makes nothing fresher.
        return page.issued_at < oldest and not has_news and (page.full or page.is_last)


def _refused(reason: str, detail: str = "") -> InvalidPageError:
    sentence = f"the denylist page is refused: {reason.replace('_', ' ')}"
    return InvalidPageError(f"{sentence}: {detail}" if detail else sentence, reason=reason)
