"""Checks that a page of the feed is signed by a key of the issuer which is not revoked.

A thief of a signing key can sign pages that revoke all good keys. So two keys may say of each other
that they are revoked. The JWKS decides then: the issuer takes a revoked key out of it at once, and
a key that is not in it revokes no other one.

Not here: what the page says, and whether it fits what the follower has (`core.denylist`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.errors import InvalidPageError
from tokensvc.core.long_jws import check_signature_in_steps
from tokensvc.core.steps import run_steps
from tokensvc.core.token import DENYLIST_PAGE

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from tokensvc.core.denylist.followed import FollowedDenylist
    from tokensvc.core.token import UnverifiedToken
    from tokensvc.verify._clock import Clock
    from tokensvc.verify._jwks_follower import JwksFollower

# A revoked key may sign page after page: they cause one fetch of the JWKS in this many seconds.
_JWKS_COOLDOWN: Final = 10.0


class PageSignatures:
    """Judges the signatures of pages by the keys of `jwks` and the revocations of `followed`."""

    def __init__(self, jwks: JwksFollower, followed: FollowedDenylist, clock: Clock) -> None:
        self._jwks = jwks
        self._followed = followed
        self._clock = clock
        self._doubted_on = float("-inf")

    def check(
        self, unverified_page: UnverifiedToken, *, typ: Collection[str] = DENYLIST_PAGE
    ) -> dict[str, Any]:
        """Return the payload of a page, or of another `typ`.

        Raises InvalidTokenError, or InvalidPageError. The latter means that the
        signature is good, and that the key is revoked.
        """
        return run_steps(self.check_in_steps(unverified_page, typ=typ))

    def check_in_steps(
        self, unverified_page: UnverifiedToken, *, typ: Collection[str] = DENYLIST_PAGE
    ) -> Generator[None, None, dict[str, Any]]:
        """As `check`, in steps of a millisecond or two."""
        kid = unverified_page.kid
        payload = yield from check_signature_in_steps(
            unverified_page,
            typ=typ,
            algorithms=ALGORITHMS,
            key=self._jwks.find_key(kid),
        )
        if any(judge in self._jwks.keys for judge in self._followed.list_judges(kid)):
            self._doubt_keys()
            raise InvalidPageError(
                "the denylist page is signed by a revoked key", reason="page_signed_by_denied_key"
            )
        return payload

    def _doubt_keys(self) -> None:
        """Have the JWKS fetched soon, because the keys held contradict each other."""
        now = self._clock.monotonic()
        if now - self._doubted_on >= _JWKS_COOLDOWN:
            self._doubted_on = now
            self._jwks.fetch_soon()
