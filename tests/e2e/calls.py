"""What the end-to-end tests do to a service from outside."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from testbed.waiting import PATIENCE

from tests.integration.things import make_key
from tokensvc.core.errors import InvalidTokenError
from tokensvc.store.pool import open_database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.processes import ServiceProcess

    from tokensvc.verify import Verifier

AUDIENCE = "api"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Key:
    id: str
    text: str
    account: str


def call(url: str, form: Mapping[str, str] | None = None, **headers: str) -> Answer:
    """GET, or POST if there is a form. Raises OSError if nobody answers."""
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(
        url, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with _DIRECT.open(request, timeout=PATIENCE) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def try_exchange(url: str, key: str, **form: str) -> Answer:
    return call(f"{url}/v1/token", form, Authorization=f"Bearer {key}")


def exchange_patiently(url: str, key: str, **form: str) -> Answer:
    """Ask again while the service says that it cannot judge yet, as every client must."""
    give_up_on = time.monotonic() + PATIENCE
    while (answer := try_exchange(url, key, **form)).status == 503:
        if time.monotonic() > give_up_on:
            break
        time.sleep(0.1)
    return answer


def exchange(url: str, key: str, **form: str) -> str:
    answer = exchange_patiently(url, key, **form)
    assert answer.status == 200, answer
    return str(answer.json["access_token"])


def revoke(url: str, credential: str) -> int:
    return call(f"{url}/v1/revoke", {"token": credential}).status


def jwks(url: str) -> bytes:
    return call(f"{url}/.well-known/jwks.json").body


def new_key(process: ServiceProcess, capability: str = "orders:read") -> Key:
    """Make a key for a new account, straight in the database of the service."""
    (key,) = new_keys(process, 1, capability)
    return key


def new_keys(process: ServiceProcess, count: int, capability: str = "orders:read") -> list[Key]:
    """Make keys for one new account; their limits are far away."""
    return asyncio.run(_new_keys(process.database_url, count, capability))


async def _new_keys(url: str, count: int, capability: str) -> list[Key]:
    database = await open_database(url, max_size=1)
    keys: list[Key] = []
    account: str | None = None
    for _ in range(count):
        made = await make_key(
            database, account=account, capabilities=[capability], per_minute=1_000_000
        )
        record = made.listed.record
        account = record.account_id
        keys.append(Key(record.id, made.key.text, record.account_id))
    await database.close()
    return keys


def is_refused(verifier: Verifier, token: str) -> bool:
    """Tell whether a follower refuses a token."""
    try:
        verifier.verify(token)
    except InvalidTokenError:
        return True
    return False
