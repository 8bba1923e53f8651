"""How many bytes a page of the feed has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.page import FeedPage, build_page_payload
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import Kid, new_jti, new_key_id
from tokensvc.core.private_key import new_private_key
from tokensvc.core.token import DENYLIST_PAGE, SigningKey, sign_jws

if TYPE_CHECKING:
    from tokensvc.core.denylist.revocation import Kind

_NOW: Final = 1_795_473_738
_TAG: Final = "9f86d081884c7d65"


def pages() -> bool:
    """Print sizes; return whether a thousand tokens fit into 64 KiB, and one into a kilobyte."""
    key = SigningKey(Kid("k" * 43), "ES256", new_private_key("ES256"))
    cases: tuple[tuple[Kind, int], ...] = (("jti", 1), ("jti", 1000), ("key", 1000))
    sizes = {f"{count} x {kind}": _measure(kind, count, key) for kind, count in cases}
    print(f"bytes of a page: {sizes}")
    return sizes["1000 x jti"] <= 65_536 and sizes["1 x jti"] <= 1024


def _measure(kind: Kind, count: int, key: SigningKey) -> int:
    revocations = tuple(
        Revocation(
            kind=kind,
            value=new_key_id() if kind == "key" else new_jti(),
            exp=_NOW + 720,
            upto=_NOW if kind == "key" else None,
        )
        for _ in range(count)
    )
    page = FeedPage(
        issuer="https://auth.example.com",
        issued_at=_NOW,
        expires_at=_NOW + 60,
        cursor=Position(123_456, _TAG),
        after=Position(122_456, _TAG),
        full=False,
        head=Position(123_456, _TAG),
        revocations=revocations,
    )
    return len(sign_jws(build_page_payload(page), typ=DENYLIST_PAGE[0], key=key))
