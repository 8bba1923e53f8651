"""The operation that looks for faults of the set-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.doctor import examine_service
from tokensvc.operations.doctor import Doctor, Finding

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Nothing


async def show(call: Call, request: Nothing) -> Doctor:
    """Look for faults of the set-up."""
    del request
    examined = await examine_service(call.database, call.settings)
    return Doctor(
        issuer=call.settings.issuer_url,
        at=examined.at,
        published=None if examined.published is None else list(examined.published),
        findings=[Finding(**finding._asdict()) for finding in examined.findings],
    )
