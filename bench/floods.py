"""Floods that a stranger or one customer can send: whole HTTP requests, as `bench.load` sends them.

Each is sent as fast as answers come, unless it has a rate of its own.
"""

from __future__ import annotations

import base64
import json
import random
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tokensvc.core.api_key import new_api_key
from tokensvc.core.token import read_unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MANY: Final = 20_000  # requests that differ
_HEARD_SECONDS: Final = 2.0  # until every worker has heard of a revocation
_REFUSALS: Final = 4000.0  # a second
TOKENS: Final = "exchanges-4000"
_FORM: Final = "application/x-www-form-urlencoded"
_NARROW: Final = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the floods are made of: keys, tokens and a cursor of the service."""

    rich_key: str  # without limits
    limited_key: str  # its limit is used up
    dead_key: str
    token: str
    dead_token: str
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """`rate`: requests a second, 0 for as many as are answered. `connections`: at once."""

    build: Callable[[Stage], Sequence[bytes]]
    connections: int = 64
    rate: float = 0


def set_stage(url: str, keys: Sequence[str], limited_key: str) -> Stage:
    """Get tokens, revoke a key and a token; `keys` have no limits."""
    rich_key, spent_key, dead_key = keys
    _post(url, "/v1/revoke", {"token": dead_key})
    dead_token = _exchange(url, spent_key)
    _post(url, "/v1/revoke", {"token": dead_token})
    time.sleep(_HEARD_SECONDS)
    with urllib.request.urlopen(f"{url}/v1/denylist") as answer:
        cursor = read_unverified(answer.read().decode())[1]["cursor"]
    return Stage(
        rich_key=rich_key,
        limited_key=limited_key,
        dead_key=dead_key,
        token=_exchange(url, rich_key),
        dead_token=dead_token,
        cursor=str(cursor),
    )


def _post(url: str, path: str, form: Mapping[str, str], key: str = "") -> bytes:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url + path, urlencode(form).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


def _exchange(url: str, key: str) -> str:
    return str(json.loads(_post(url, "/v1/token", {"audience": "api"}, key))["access_token"])


# --- requests ------------------------------------------------------------------------------------


def _get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def _form(target: str, form: Mapping[str, str], key: str = "") -> bytes:
    body = urlencode(form)
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {_FORM}\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _exchanges(key: str, **form: str) -> bytes:
    return _form("/v1/token", form, key)


def _unknown_key(_: object = None) -> str:
    return new_api_key().text


def _junk_key(_: object = None) -> str:
    text = new_api_key().text
    return text[:-1] + ("A" if text[-1] != "A" else "B")


def _token_of_unknown_signer(_: object = None) -> str:
    header = {"typ": "at+jwt", "alg": "ES256", "kid": secrets.token_hex(16)}
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{encoded}.e30.AAAA"


def _name(number: int) -> str:
    return f"f{number:080d}"


def _many(build: Callable[[int], bytes]) -> list[bytes]:
    return [build(number) for number in range(_MANY)]


def _build_receipts(stage: Stage) -> list[bytes]:
    target = f"/v1/denylist?after={stage.cursor}&wait=0&follower="
    return _many(lambda number: _get(target + _name(number)))


def _build_wrong_scopes(stage: Stage) -> list[bytes]:
    return _many(lambda number: _exchanges(stage.rich_key, scope=f"x:y{number}"))


def _build_over_limit(stage: Stage) -> list[bytes]:
    return [_exchanges(stage.limited_key)]


def _build_junk_keys(_: Stage) -> list[bytes]:
    return _many(lambda _: _exchanges(_junk_key()))


def _build_unknown_keys(_: Stage) -> list[bytes]:
    return _many(lambda _: _exchanges(_unknown_key()))


def _build_all_refusals(stage: Stage) -> list[bytes]:
    kinds = (_build_over_limit, _build_junk_keys, _build_unknown_keys, _build_wrong_scopes)
    return [random.choice(built) for built in [kind(stage) for kind in kinds] for _ in range(5000)]


def _steady(build: Callable[[Stage], Sequence[bytes]], rate: float = _REFUSALS) -> Flood:
    """Return a flood at a fixed rate, from enough clients to bear that answers come late."""
    return Flood(build=build, connections=7000, rate=rate)


FLOODS: Final[dict[str, Flood]] = {
    # the feed
    "receipts": Flood(build=_build_receipts, connections=16),
    "idle-polls": Flood(
        build=lambda stage: [_get(f"/v1/denylist?after={stage.cursor}&wait=30")], connections=6000
    ),
    # revocation and introspection
    "revoke-dead-key": Flood(
        build=lambda stage: [_form("/v1/revoke", {"token": stage.dead_key})], connections=32
    ),
    "revoke-dead-token": Flood(
        build=lambda stage: [_form("/v1/revoke", {"token": stage.dead_token})], connections=32
    ),
    "revoke-unknown-keys": Flood(
        build=lambda _: _many(lambda _: _form("/v1/revoke", {"token": _unknown_key()})),
        connections=32,
    ),
    "revoke-unknown-signers": Flood(
        build=lambda _: _many(lambda _: _form("/v1/revoke", {"token": _token_of_unknown_signer()})),
        connections=32,
    ),
    "introspect-unknown-callers": Flood(
        build=lambda stage: _many(
            lambda _: _form("/v1/introspect", {"token": stage.token}, _unknown_key())
        ),
        connections=32,
    ),
    # the exchange
    "unknown-audience": Flood(
        build=lambda _: _many(lambda _: _exchanges(_unknown_key(), audience="nope")),
        connections=32,
    ),
    "unknown-keys": Flood(build=_build_unknown_keys, connections=300),
    "junk-keys": Flood(build=_build_junk_keys),
    "over-limit": Flood(build=_build_over_limit),
    "wrong-scopes": Flood(build=_build_wrong_scopes),
    "narrowing": Flood(
        build=lambda stage: [
            _form("/v1/token", _NARROW | {"subject_token": stage.token, "scope": "x:y"})
        ]
    ),
    "exchanges": Flood(build=lambda stage: [_exchanges(stage.rich_key)]),
    # exchanges and refusals at one rate, to compare what they cost
    TOKENS: _steady(lambda stage: [_exchanges(stage.rich_key)]),
    "over-limit-4000": _steady(_build_over_limit),
    "junk-keys-4000": _steady(_build_junk_keys),
    "unknown-keys-4000": _steady(_build_unknown_keys),
    "wrong-scopes-4000": _steady(_build_wrong_scopes),
    "refusals-4000": _steady(_build_all_refusals),
    "unknown-keys-5000": _steady(_build_unknown_keys, 5000),
    # the rest
    "not-found": Flood(build=lambda _: _many(lambda number: _get(f"/{number}"))),
    "jwks": Flood(build=lambda _: [_get("/.well-known/jwks.json")]),
    "metrics": Flood(build=lambda _: [_get("/metrics")], connections=8),
    # The last one, because the denylist is made long for it.
    "newcomers": Flood(build=lambda _: [_get("/v1/denylist")], connections=8),
}
