"""What an exchange is compared with in the same run: aiohttp on uvloop.

    python -m bench.handlers PORT

`POST /sign` reads the body, signs the claims of a token with PyJWT and answers JSON: no key is
looked up, and nothing is counted, logged or measured. Everything else, `POST /bare` among it,
answers a constant.
"""

from __future__ import annotations

import sys
import time
import uuid

import jwt
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

_KEY = ec.generate_private_key(ec.SECP256R1())
_HEADERS = {"typ": "at+jwt", "kid": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}


async def _bare(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _sign(request: web.Request) -> web.Response:
    await request.read()
    now = int(time.time())
    claims = {
        "iss": "http://127.0.0.1:8080",
        "sub": "acct_0123456789abcdef",
        "aud": "api",
        "iat": now,
        "exp": now + 600,
        "jti": uuid.uuid4().hex,
        "client_id": "key_0123456789abcdef",
        "scope": "orders:read orders:write",
    }
    token = jwt.encode(claims, _KEY, algorithm="ES256", headers=_HEADERS)
    body = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": claims["scope"],
    }
    return web.json_response(body, headers={"Cache-Control": "no-store"})


def main() -> None:
    """Serve until killed."""
    uvloop.install()
    app = web.Application()
    app.router.add_post("/sign", _sign)
    app.router.add_route("*", "/{path:.*}", _bare)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
