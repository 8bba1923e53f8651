"""The three forms in which a token is asked for, form 2 with its two ways of showing the key."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import ClientResponse
    from aiohttp.test_utils import TestClient

    from tokensvc.issuer.admin.api_keys import NewKey

FORMS: Final = ("bearer", "basic", "post", "exchange")
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
API_KEY_TYPE: Final = "urn:tokensvc:params:oauth:token-type:api-key"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
OWN_AUDIENCE: Final = "tokensvc"
URLENCODED: Final = "application/x-www-form-urlencoded"
CHALLENGES: Final = {
    "bearer": 'Bearer realm="tokensvc", error="invalid_client"',
    "basic": 'Basic realm="tokensvc", error="invalid_client"',
    "post": 'Basic realm="tokensvc", error="invalid_client"',
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request before it is sent."""

    headers: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


def basic(user: str, password: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask(form: str, key: str, key_id: str) -> Asked:
    """Return a good request in one of FORMS."""
    match form:
        case "bearer":
            return Asked(headers=(("Authorization", f"Bearer {key}"),))
        case "basic":
            return Asked(
                headers=(basic(key_id, key),), fields=(("grant_type", "client_credentials"),)
            )
        case "post":
            return Asked(
                fields=(
                    ("grant_type", "client_credentials"),
                    ("client_id", key_id),
                    ("client_secret", key),
                )
            )
        case _:
            return Asked(
                fields=(
                    ("grant_type", TOKEN_EXCHANGE),
                    ("subject_token", key),
                    ("subject_token_type", API_KEY_TYPE),
                )
            )


async def send(
    client: TestClient[Any, Any],
    asked: Asked,
    *,
    request_id: str = "test",
    body: Any = None,
    content_type: str = URLENCODED,
) -> ClientResponse:
    """Send it to `/v1/token`; `body` instead of the fields."""
    data = urlencode(asked.fields).encode() if body is None else body
    headers = [*asked.headers, ("X-Request-Id", request_id)]
    if data:
        headers.append(("Content-Type", content_type))
    return await client.post("/v1/token", data=data or None, headers=headers)


async def get_token(
    client: TestClient[Any, Any], key: NewKey | str, **fields: str
) -> dict[str, Any]:
    """Exchange a key, or a token that is to be narrowed, and return the body of the answer."""
    answer = await try_token(client, key, fields.items())
    assert answer.status == 200, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body


async def get_own_token(client: TestClient[Any, Any], key: NewKey, *capabilities: str) -> str:
    """Return a token of a key for calls to the service itself."""
    scope = " ".join(capabilities)
    answer = await get_token(client, key, audience=OWN_AUDIENCE, scope=scope)
    token: str = answer["access_token"]
    return token


async def try_token(
    client: TestClient[Any, Any], key: NewKey | str, fields: Sequence[tuple[str, str]] | Any = ()
) -> ClientResponse:
    if isinstance(key, str):
        asked = (
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", key),
            ("subject_token_type", ACCESS_TOKEN_TYPE),
        )
        return await client.post("/v1/token", data=[*asked, *fields])
    return await client.post(
        "/v1/token", data=[*fields], headers={"Authorization": f"Bearer {key.key.text}"}
    )
