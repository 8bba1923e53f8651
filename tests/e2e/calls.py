"""What the end-to-end tests do to a service from outside."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.processes import ServiceProcess

AUDIENCE = "api"
_BUSY = ("--per-minute", "100000")  # tests ask faster than the limits of everyday life allow
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


def call(
    url: str, form: Mapping[str, str] | None = None, *, seconds: float = 10, **headers: str
) -> Answer:
    """GET, or POST if there is a form. Raises OSError if nobody answers."""
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(
        url, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with _DIRECT.open(request, timeout=seconds) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def try_exchange(url: str, key: str, **form: str) -> Answer:
    return call(f"{url}/v1/token", form, Authorization=f"Bearer {key}")


def exchange(url: str, key: str, **form: str) -> str:
    answer = try_exchange(url, key, **form)
    assert answer.status == 200, answer
    return str(answer.json["access_token"])


def revoke(url: str, credential: str) -> int:
    return call(f"{url}/v1/revoke", {"token": credential}).status


def is_ready(url: str) -> bool:
    try:
        return call(f"{url}/readyz", seconds=3).status == 200
    except OSError:
        return False


def jwks(url: str) -> bytes:
    return call(f"{url}/.well-known/jwks.json").body


def new_account(process: ServiceProcess) -> str:
    made = process.cli("account", "create", "Orders team", "-o", "json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["id"])


def new_key(
    process: ServiceProcess, account: str | None = None, capability: str = "orders:read"
) -> Key:
    """Make a key, for a new account if none is given."""
    owner = account or new_account(process)
    made = process.cli(
        "key",
        "create",
        "--account",
        owner,
        "--name",
        "ci",
        "--capability",
        capability,
        *_BUSY,
        "-o",
        "json",
    )
    assert made.returncode == 0, made.stderr
    row = json.loads(made.stdout)
    return Key(row["id"], row["key"], owner)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
