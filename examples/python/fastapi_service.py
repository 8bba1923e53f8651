"""A service with FastAPI: orders are for those whose token has the capability `orders:read`.

    ISSUER=http://127.0.0.1:8080 AUDIENCE=api \
        uvicorn --app-dir examples/python fastapi_service:app --port 9000

A revoked token is refused within a second. The log says why a request was refused.
"""

from __future__ import annotations

import logging
import os
from typing import Annotated

from fastapi import FastAPI, Security

from tokensvc.verify import Claims, Verifier
from tokensvc.verify.fastapi import TokensvcBearer

logging.basicConfig(level=logging.INFO)
bearer = TokensvcBearer(Verifier(issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"]))
app = FastAPI(lifespan=bearer.lifespan, exception_handlers=bearer.exception_handlers)


@app.get("/orders")
async def list_orders(
    claims: Annotated[Claims, Security(bearer, scopes=["orders:read"])],
) -> dict[str, str]:
    """Answer whose orders these are."""
    return {"for": claims.sub}
