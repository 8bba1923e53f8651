"""The rules by which a follower takes pages in, in the manner of TUF's client (section 5 there).

1. The issuer is the same, and a key that is not revoked has signed the page. The caller checks
   the signature.
2. A page that has expired, or that was issued before the last one, is refused.
3. A page that is not full must begin exactly where the follower stands, and never goes backwards.
4. A full page is merged and replaces nothing: revocations that the follower holds and the page
   lacks stay until they expire. A full page that lies behind the follower's own position, or has
   another tag there, is reported as a reset.

Not here: fetching, waiting, signatures, and what a stale denylist means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.position import contradicts
from tokensvc.core.errors import InvalidPageError

if TYPE_CHECKING:
    from tokensvc.core.denylist.page import Page
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.revoked import Denylist

# Replicas confirm their copies at different moments, so `iat` may step back a little between them.
_REPLICA_SKEW: Final = 5  # seconds


@dataclass(slots=True)
class FollowedDenylist:
    """A denylist that follows an issuer's feed: the revocations, the position, and how fresh."""

    issuer: str
    denylist: Denylist
    position: Position | None = None
    page_issued_at: int = 0
    resets: int = 0

    def apply(self, page: Page, *, now: float, leeway: float) -> bool:
        """Take a page in; return True if the issuer's history was found reset.

        `now` and `leeway` are seconds. Raises InvalidPageError and then changes nothing.
        """
        reset = self._is_reset_by(page)
        self._check(page, now, leeway, reset=reset)
        self.denylist.add(page.revocations)
        self.denylist.forget_expired(now)
        self.position = page.cursor
        self.page_issued_at = max(self.page_issued_at, page.issued_at)
        self.resets += reset
        return reset

    def _is_reset_by(self, page: Page) -> bool:
        return page.full and self.position is not None and contradicts(page.cursor, self.position)

    def _check(self, page: Page, now: float, leeway: float, *, reset: bool) -> None:
        if page.issuer != self.issuer:
            raise _refused("wrong_issuer")
        if page.expires_at + leeway <= now or page.issued_at - leeway > now:
            raise _refused("page_out_of_date")
        # A history that goes back is believed only if the page is certainly newer.
        oldest = self.page_issued_at + 1 if reset else self.page_issued_at - _REPLICA_SKEW
        if page.issued_at < oldest:
            raise _refused("page_replayed")
        if page.full:
            return
        if page.after is None or page.after != self.position:
            raise _refused("page_not_contiguous")
        if contradicts(page.cursor, page.after):
            raise _refused("page_goes_backwards")


def _refused(reason: str) -> InvalidPageError:
    sentence = f"the denylist page is refused: {reason.replace('_', ' ')}"
    return InvalidPageError(sentence, reason=reason)
