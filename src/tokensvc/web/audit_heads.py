"""`GET /v1/audit-heads`: what the audit trail holds now, for followers that were away."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from tokensvc.core.errors import InvalidRequestError
from tokensvc.issuer.revoking.witnesses import answer_audit_head
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.client_authentication import authenticate_follower
from tokensvc.web.cors import ANY_ORIGIN

MEDIA_TYPE: Final = "application/audit-head+jwt"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


async def get_audit_head(request: web.Request) -> web.Response:
    """Answer where the trail ends, and the hash of the event that is asked for."""
    service = request.app[SERVICE]
    await authenticate_follower(request)
    number = request.query.get("number", "")
    if not _NUMBER.fullmatch(number):
        raise InvalidRequestError("number must be the number of an event of the audit trail")
    text = await answer_audit_head(service.mirror, service.settings, int(number))
    headers = {"Cache-Control": "no-store", "Vary": "Authorization", **ANY_ORIGIN}
    headers["Content-Type"] = f"{MEDIA_TYPE}; charset=utf-8"
    return web.Response(body=text.encode("ascii"), headers=headers)
