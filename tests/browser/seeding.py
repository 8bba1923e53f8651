"""Something to look at: accounts, keys with long names, exchanges, refusals, followers."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from testbed.waiting import wait_until

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CAPABILITIES = ("orders:read", "orders:write", "stock:read", "stock:write")
# Names as nobody should give them: of the widest letters, from right to left, and with markup.
WIDE = "W" * 200
RIGHT_TO_LEFT = "\u0634\u0631\u0643\u0629 \u0627\u0644\u0634\u062d\u0646 (7) " * 5
HOSTILE = "\"><script>alert('1')</script><b>' onload=x &amp; {{ 7*7 }}"
LONG = "a-name-that-somebody-made-much-longer-than-anybody-would-ever-want-to-read-it-" * 2


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """Ids of what was made."""

    account: str
    key: str
    secret: str
    revoked: str
    kid: str
    endpoint: str
    wide: str
    wide_account: str

    def fill(self, address: str) -> str:
        """Return an address of VISITS with ids in it."""
        return address.format(**vars(self)) if "{" in address else address


def call(url: str, line: str, credential: str, body: dict[str, Any] | None = None) -> Any:
    """Call an operation; `line` is like "POST /v1/keys"."""
    method, _, path = line.partition(" ")
    headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data=data, method=method, headers=headers)
    try:
        with _DIRECT.open(request) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def exchange(url: str, key: str, body: bytes = b"") -> None:
    headers = {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/v1/token", data=body, method="POST", headers=headers)
    try:
        _DIRECT.open(request).close()
    except urllib.error.HTTPError as error:
        error.close()


def get_own_token(url: str, key: str) -> str:
    """Return a token for the service itself."""
    headers = {"Authorization": f"Bearer {key}"}
    body = b"scope=tokensvc:admin&audience=tokensvc"
    request = urllib.request.Request(f"{url}/v1/token", data=body, method="POST", headers=headers)
    with _DIRECT.open(request) as answer:
        token: str = json.loads(answer.read())["access_token"]
    return token


def make_foreign_token() -> str:
    """Return what looks like a token and holds what nobody should believe or draw."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": HOSTILE}, {"iss": HOSTILE, "sub": WIDE})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return ".".join(part.decode().rstrip("=") for part in encoded) + ".AAAA"


def follow(url: str, name: str) -> None:
    """Be a follower that has applied all there is."""
    with _DIRECT.open(f"{url}/v1/denylist") as answer:
        payload = answer.read().split(b".")[1]
    cursor = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))["cursor"]
    _DIRECT.open(f"{url}/v1/denylist?follower={name}&after={cursor}").close()


def seed(url: str, admin: str) -> Seeded:
    """Fill a new service; wait until the use of the keys is written."""
    account, wide_account = add_things(url, admin)

    def make(name: str, **more: Any) -> Any:
        wish = {"account": account, "name": name, "capabilities": list(CAPABILITIES), **more}
        made = call(url, "POST /v1/keys", admin, wish)
        assert "id" in made, made
        return made

    used = make("checkout-api", description="Takes payments", expires_in=6 * 86_400, per_minute=20)
    make(LONG, description=LONG, metadata={"team": LONG}, networks=["2001:db8:24::/48"])
    make(RIGHT_TO_LEFT, description=RIGHT_TO_LEFT)
    make(HOSTILE, description=HOSTILE, metadata={HOSTILE: HOSTILE})
    for name in (WIDE, WIDE.lower()):  # the only two keys of their account
        wide = make(name, description=WIDE, metadata={WIDE[:100]: WIDE}, account=wide_account)
    disabled = make("disabled")
    call(url, f"POST /v1/keys/{disabled['id']}/disable", admin, {"reason": "paused"})
    revoked = make("laptop")
    call(url, f"POST /v1/keys/{revoked['id']}/revoke", admin, {"reason": f"lost {LONG}"})
    use(url, admin, used)
    (kid, *_) = [key["kid"] for key in call(url, "GET /v1/signing-keys", admin)["items"]]
    hook = {"url": "https://hooks.acme.example/tokens", "description": LONG}
    endpoint = call(url, "POST /v1/notice-endpoints", admin, hook)["id"]
    call(url, f"POST /v1/notice-endpoints/{endpoint}/test", admin, {})
    return Seeded(
        account=account,
        key=used["id"],
        secret=used["key"],
        revoked=revoked["id"],
        kid=kid,
        endpoint=endpoint,
        wide=wide["id"],
        wide_account=wide_account,
    )


def add_things(url: str, admin: str) -> tuple[str, str]:
    """Add what is no key; return the ids of an ordinary account and of one with a wide name."""
    for name in CAPABILITIES:
        call(url, "POST /v1/capabilities", admin, {"name": name, "description": f"May {name}"})
    call(url, "POST /v1/audiences", admin, {"name": "https://orders.acme.example"})
    for name in (LONG, RIGHT_TO_LEFT, HOSTILE):
        call(url, "POST /v1/accounts", admin, {"name": name})
    limits = {"key_per_minute": 7, "key_per_day": 70}
    call(url, "POST /v1/capabilities", admin, {"name": "w" * 64, "description": WIDE})
    call(url, "POST /v1/audiences", admin, {"name": "w" * 200, "description": HOSTILE})
    call(url, "POST /v1/tiers", admin, {"name": "w" * 32, "description": WIDE, **limits})
    wide, ordinary = [
        call(url, "POST /v1/accounts", admin, {"name": n}) for n in (WIDE, "Acme Shop")
    ]
    return ordinary["id"], wide["id"]


def use(url: str, admin: str, key: Any) -> None:
    """Exchange a key, also in vain, and follow the denylist."""
    for _ in range(25):
        exchange(url, key["key"])
    exchange(url, key["key"], b"scope=nothing:here")
    for name in ("orders-1", "w" * 64):  # others than letters, digits and - are refused
        follow(url, name)
    wait_until(lambda: call(url, f"GET /v1/usage?key={key['id']}", admin)["hours"])
