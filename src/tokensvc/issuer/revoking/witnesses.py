"""The answer to a follower that asks for one event of the audit trail, as a signed text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.audit_claim import build_claim
from tokensvc.core.denylist.page import PAGE_AUDIENCE
from tokensvc.core.token import AUDIT_HEAD, sign_jws
from tokensvc.issuer.revoking.page_date import date_page

if TYPE_CHECKING:
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.settings import Settings


async def answer_audit_head(mirror: Mirror, settings: Settings, number: int) -> str:
    """Return where the trail ends now, and the hash of event `number`, as a compact JWS.

    Raises UnavailableError if the table cannot be read, or nothing can be signed.
    """
    claim = await mirror.audit_heads.find(number)
    date = date_page(mirror.postgres_clock, settings.feed_page_ttl)
    payload = {
        "iss": settings.issuer_url,
        "aud": PAGE_AUDIENCE,
        "iat": date.issued_at,
        "exp": date.expires_at,
        "audit": build_claim(claim),
    }
    key = mirror.signers.find(DEFAULT_ALGORITHM, date.at)
    return sign_jws(payload, typ=AUDIT_HEAD[0], key=key)
