"""Who may call what: the intended cells of the matrix, and what the requests in it name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.integration.things import ACTOR

from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.rights import Principal
from tokensvc.operations.table import OPERATIONS

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Backend

# What names nothing that exists; `Things` puts what does in its place.
ACCOUNT, KEY = "acct_0000000000000000", "key_0000000000000000"
ENDPOINT, DELIVERY = "hook_0000000000000000", "1"
KID, TOKEN, PRIVATE_KEY, ABSENT = "k" * 43, "no token", "no private key", "absent"
A = {"id": ACCOUNT}
K = {"id": KEY}
NAME = {"name": ABSENT}
HOOK = {"id": ENDPOINT}
SIGNING = {"kid": KID}
FRESH = "fresh"  # the API key was shown within the last ten minutes

ADMIN, READ, KEYS = "admin", "read", "keys"
CALLERS = {
    ADMIN: "tokensvc:admin",
    READ: "tokensvc:read",
    KEYS: "tokensvc:keys",
    "introspect": "tokensvc:introspect",
    "denylist": "tokensvc:denylist",
    "ordinary": "orders:read",
}
EVERYBODY = frozenset(CALLERS)


class Row(NamedTuple):
    """Who passes, a request that is well formed, and what it names of an account."""

    passes: frozenset[str]
    request: dict[str, Any]
    names: str | None = None  # the field that names a thing of an account, if a key owner may call


def row(*passes: str, names: str | None = None, **request: Any) -> Row:
    return Row(frozenset(passes), request, names)


# The one place that says who may call. A new operation needs a row here.
MATRIX = {
    "accounts.create": row(ADMIN, name="x"),
    "accounts.list": row(ADMIN, READ, KEYS),
    "accounts.show": row(ADMIN, READ, KEYS, names="id", **A),
    "accounts.update": row(ADMIN, **A),
    "accounts.set-contact": row(ADMIN, KEYS, names="id", contact=None, **A),
    "accounts.show-usage": row(ADMIN, READ, KEYS, names="id", **A),
    "accounts.suspend": row(ADMIN, **A),
    "accounts.resume": row(ADMIN, **A),
    "accounts.revoke-tokens": row(ADMIN, **A),
    "accounts.delete": row(ADMIN, FRESH, **A),
    "keys.create": row(
        ADMIN, KEYS, names="account", account=ACCOUNT, name="x", capabilities=["tokensvc:keys"]
    ),
    "keys.list": row(ADMIN, READ, KEYS, names="account"),
    "keys.batch": row(ADMIN, KEYS, act="enable", items=[K]),
    "keys.show": row(ADMIN, READ, KEYS, names="id", **K),
    "keys.update": row(ADMIN, KEYS, names="id", **K),
    "keys.disable": row(ADMIN, KEYS, names="id", **K),
    "keys.enable": row(ADMIN, KEYS, names="id", **K),
    "keys.revoke": row(ADMIN, KEYS, names="id", **K),
    "keys.revoke-tokens": row(ADMIN, KEYS, names="id", **K),
    "keys.rotate": row(ADMIN, KEYS, names="id", **K),
    "keys.delete": row(ADMIN, KEYS, names="id", **K),
    "capabilities.create": row(ADMIN, **NAME),
    "capabilities.list": row(ADMIN, READ, KEYS),
    "capabilities.show": row(ADMIN, READ, KEYS, **NAME),
    "capabilities.update": row(ADMIN, **NAME, description="x"),
    "capabilities.delete": row(ADMIN, **NAME),
    "audiences.create": row(ADMIN, **NAME),
    "audiences.list": row(ADMIN, READ, KEYS),
    "audiences.show": row(ADMIN, READ, KEYS, **NAME),
    "audiences.update": row(ADMIN, **NAME),
    "audiences.delete": row(ADMIN, **NAME),
    "tiers.create": row(ADMIN, name="gold", key_per_minute=1, key_per_day=1),
    "tiers.list": row(ADMIN, READ),
    "tiers.show": row(ADMIN, READ, **NAME),
    "tiers.update": row(ADMIN, **NAME),
    "tiers.delete": row(ADMIN, **NAME),
    "usage.show": row(ADMIN, READ, KEYS, names="key", key=KEY),
    "usage.list": row(ADMIN, READ, KEYS, ids=KEY),
    "leaks.report": row(*EVERYBODY, leaks=[{"key": "x"}]),
    "leaks.list": row(ADMIN, READ, KEYS, names="key", key=KEY),
    "revocations.list": row(ADMIN, READ),
    "revocations.count": row(ADMIN, READ),
    "revocations.create": row(ADMIN, key=KEY),
    "revocations.watch": row(ADMIN, READ),
    "tokens.inspect": row(ADMIN, READ, token=TOKEN),
    "followers.list": row(ADMIN, READ),
    "health.show": row(ADMIN, READ),
    "doctor.show": row(ADMIN, READ),
    "signing-keys.list": row(ADMIN, READ),
    "signing-keys.show": row(ADMIN, READ, **SIGNING),
    "signing-keys.rotate": row(ADMIN, FRESH),
    "signing-keys.revoke": row(ADMIN, FRESH, **SIGNING),
    "signing-keys.import": row(ADMIN, FRESH, private_key=PRIVATE_KEY),
    "signing-keys.export": row(ADMIN, FRESH, **SIGNING),
    "audit-events.list": row(ADMIN, READ),
    "audit-trail.show": row(ADMIN, READ),
    "notices.list": row(ADMIN, READ, KEYS, names="account"),
    "notice-endpoints.create": row(
        ADMIN, KEYS, names="account", account=ACCOUNT, url="https://hooks.example/"
    ),
    "notice-endpoints.list": row(ADMIN, READ, KEYS, names="account"),
    "notice-endpoints.show": row(ADMIN, READ, KEYS, **HOOK),
    "notice-endpoints.update": row(ADMIN, KEYS, **HOOK),
    "notice-endpoints.rotate-secret": row(ADMIN, KEYS, **HOOK),
    "notice-endpoints.test": row(ADMIN, KEYS, **HOOK),
    "notice-endpoints.delete": row(ADMIN, KEYS, **HOOK),
    "notice-deliveries.list": row(ADMIN, READ, KEYS, names="account"),
    "notice-deliveries.redeliver": row(ADMIN, KEYS, id=DELIVERY),
    "overview.show": row(ADMIN, READ, KEYS),
    "whoami.show": row(*EVERYBODY),
    # The last one, because the key of the caller ends by it.
    "keys.rotate-self": row(*EVERYBODY),
}


class Things:
    """Makes what the requests of the matrix name, in `account`, or in a new one each if None.

    `token`: a live one.
    """

    def __init__(self, backend: Backend, account: str | None, token: str) -> None:
        self.backend = backend
        self.account = account
        self.token = token

    async def build_request(self, name: str) -> dict[str, Any]:
        """Return the request of a row, with things that exist in it."""
        text = json.dumps(MATRIX[name].request).replace(TOKEN, self.token)
        for absent, make in (
            (ACCOUNT, self._make_account),
            (KEY, self._make_key),
            (ENDPOINT, self._make_endpoint),
            (DELIVERY, self._make_delivery),
            (KID, self._find_kid),
            (PRIVATE_KEY, _new_private_key),
        ):
            if json.dumps(absent) in text:
                text = text.replace(json.dumps(absent), json.dumps(await make()))
        subject, _, verb = name.partition(".")
        if subject == "capabilities" and self.account is not None:
            text = text.replace(json.dumps(ABSENT), json.dumps(CALLERS[KEYS]))  # the owner's own
        elif json.dumps(ABSENT) in text and verb != "create":
            wish = MATRIX[f"{subject}.create"].request | {"name": f"{verb}-it"}
            made = await self._run(f"{subject}.create", **wish)
            text = text.replace(json.dumps(ABSENT), json.dumps(made.name))
        request: dict[str, Any] = json.loads(text)
        return request

    async def _run(self, name: str, /, **request: Any) -> Any:
        operation = OPERATIONS[name]
        wish = operation.request.model_validate(request)
        return (await run_operation(self.backend, operation, HOST, wish)).response

    async def _make_account(self) -> str:
        return self.account or str((await self._run("accounts.create", name="x")).id)

    async def _make_key(self) -> str:
        wish = {"name": "x", "capabilities": [CALLERS[KEYS]]}
        made = await self._run("keys.create", account=await self._make_account(), **wish)
        return str(made.id)

    async def _make_endpoint(self) -> str:
        wish = {"account": await self._make_account(), "url": "https://hooks.example/"}
        return str((await self._run("notice-endpoints.create", **wish)).id)

    async def _make_delivery(self) -> str:
        made = await self._run("notice-endpoints.test", id=await self._make_endpoint())
        return str(made.id)

    async def _find_kid(self) -> str:
        found = (await self._run("signing-keys.list")).items
        return next(str(key.kid) for key in found if key.phase == "active")


async def _new_private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


HOST = Principal.of_host(ACTOR)
