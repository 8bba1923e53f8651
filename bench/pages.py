"""How long do the pages of the dashboard take, in a large installation?

    python -m bench.pages [--keys 110000] [--requests 15] [--folder DIR] [--only TEXT]

A service gets very many keys, nine tenths of them in one account, and a year of use. Then every
page is asked for: by an admin, and by somebody who sees that one account alone. The first byte must
come within 100 ms. The processor time of the service and of Postgres stands beside, because it does
not depend on what else the machine does. `--folder` keeps the installation for the next time. The
exit code is 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests
from testbed.processes import ServiceProcess

from bench.cost import HEADER, Cost
from bench.cost import measure as measure_cost
from bench.installation import running_service
from bench.large import fill, settle
from tokensvc.web.dashboard.page import ROOT
from tokensvc.web.dashboard.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.web.dashboard.page import Page

PROMISED: Final = 0.1  # seconds
# What a page may answer instead: it sends its reader on, or is for admins alone.
_SENT_ON: Final = 303
_NOT_HERS: Final = (403, 404)
_ENVIRONMENT: Final = {
    "TOKENSVC_USAGE_DAYS": "400",
    "TOKENSVC_CALLS_PER_MINUTE": "1000000",
    "TOKENSVC_LOG_LEVEL": "warning",
}
_FILLED: Final = "filled"
_PATIENCE: Final = 60
# What the parameters of paths and the names in queries are.
_KEY: Final = "key_0000000000000007"
_NAMED: Final = {
    "/capabilities/edit": "orders:read",
    "/capabilities/remove": "orders:read",
    "/audiences/edit": "https://api-1.example",
    "/audiences/remove": "https://api-1.example",
    "/accounts/tiers/edit": "tier-1",
}
_BESIDES: Final = (
    "/?range=30d",
    "/accounts?name=team",
    "/accounts/{account}?range=30d",
    "/keys?state=active",
    "/keys?state=active&never_expires=true",
    "/keys?state=active&replaced=true&used_before=2026-11-25T00:00:00Z",
    "/keys?capability=orders:admin",
    "/keys?name=4a4a",
    "/keys?name=service",
    "/keys?sort=-last_used_at",
    "/keys?sort=last_used_at",
    "/keys?sort=-last_used_at&account={account}",
    "/keys?sort=name",
    "/keys?sort=expires_at",
    "/keys?account={account}&state=active&used_before=2026-09-01T00:00:00Z",
    "/keys/{key}?range=90d",
    "/notices/deliveries?account={account}",
    "/notices/deliveries?state=failed",
    "/notices/deliveries?event=key.revoked",
    "/notices/deliveries?account={other}",
    "/notices/events?event=key.revoked",
    "/audit?operation=keys.enable",
    "/audit?subject={key}",
)


@dataclass(slots=True, kw_only=True)
class Reader:
    """Somebody who is signed in."""

    process: ServiceProcess
    session: requests.Session

    def get(self, address: str) -> tuple[int, float]:
        """Return the status of a page, and the seconds to its first byte."""
        url = f"{self.process.url}{ROOT}{address}"
        begun_on = time.perf_counter()
        with self.session.get(url, timeout=_PATIENCE, stream=True, allow_redirects=False) as answer:
            took = time.perf_counter() - begun_on
            _ = answer.content
        return answer.status_code, took

    def measure(self, address: str, count: int) -> Cost | int:
        """Return what a page takes; its status if that is another one than 200."""
        statuses = set()

        def ask() -> float:
            status, took = self.get(address)
            statuses.add(status)
            return took

        cost = measure_cost(self.process, ask, count)
        return max(statuses, default=0) if statuses != {requests.codes.ok} else cost


def sign_in(process: ServiceProcess, key: str) -> Reader:
    """Return a reader who has shown an API key."""
    session = requests.Session()
    answer = session.post(
        f"{process.url}{ROOT}/sign-in",
        data={"api_key": key, "next": "/"},
        headers={"Sec-Fetch-Site": "same-origin"},
        allow_redirects=False,
        timeout=_PATIENCE,
    )
    # The cookie is for https alone, and a browser takes loopback for that.
    cookies = [f"{cookie.name}={cookie.value}" for cookie in answer.cookies]
    session.cookies.clear()
    session.headers["Cookie"] = "; ".join(cookies)
    return Reader(process=process, session=session)


def list_addresses(ids: dict[str, str]) -> list[str]:
    """Return an address of every page, and some more."""
    shown = [page for page in PAGES if page.method == "GET" and page.template]
    addresses = [_find_address(page, ids) for page in shown]
    return addresses + [address.format(**ids) for address in _BESIDES]


def _find_address(page: Page, ids: dict[str, str]) -> str:
    subject = page.path.split("/")[1]
    thing = {"keys": "key", "accounts": "account", "notices": "endpoint"}.get(subject, "key")
    address = page.path.format(id=ids[thing], kid=ids["kid"], subject="keys", name="keys.create")
    name = _NAMED.get(page.path)
    return address if name is None else f"{address}?name={name}"


def measure(readers: dict[str, Reader], addresses: Sequence[str], count: int) -> bool:
    """Print what each page takes; tell whether all bounds were kept."""
    kept = True
    print(HEADER, flush=True)
    for who, reader in readers.items():
        for address in addresses:
            cost = reader.measure(address, count)
            if isinstance(cost, int):
                is_meant = cost == _SENT_ON or (who == "owner" and cost in _NOT_HERS)
                kept &= is_meant
                print(f"{who:6} {address:70} {cost}{'' if is_meant else '  WRONG'}", flush=True)
                continue
            is_kept = cost.median <= PROMISED
            kept &= is_kept
            print(f"{who:6} {address:70} {cost}{'' if is_kept else '  MISSED'}", flush=True)
    return kept


def prepare(process: ServiceProcess, keys: int) -> dict[str, str]:
    """Fill the installation if it is new; return the ids and keys that are wanted."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {process.admin_key}"

    def call(path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        method = "GET" if body is None else "POST"
        answer = session.request(method, process.url + path, json=body, timeout=_PATIENCE)
        answer.raise_for_status()
        return answer.json()

    account = call("/v1/whoami")["account"]
    filled = process.folder / _FILLED
    if not filled.exists():
        wish = {"account": account, "name": "owner", "capabilities": ["tokensvc:keys"]}
        owner = call("/v1/keys", wish)["key"]
        asyncio.run(fill(process.database_url, account, keys))
        filled.write_text(owner)
    else:
        asyncio.run(settle(process.database_url))
    (signer, *_) = call("/v1/signing-keys")["items"]
    return {
        "account": account,
        "owner": filled.read_text(),
        "key": _KEY,
        "kid": signer["kid"],
        "endpoint": "hook_0000000000000003",
        "other": "acct_0000000000000010",
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages")
    parser.add_argument("--keys", type=int, default=110_000)
    parser.add_argument("--requests", type=int, default=15)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="", help="only addresses that contain this")
    parser.add_argument("--who", choices=("admin", "owner"))
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.folder is None:
            process = stack.enter_context(running_service(environment=_ENVIRONMENT))
        else:
            process = ServiceProcess(options.folder, (), _ENVIRONMENT)
            stack.callback(process.stop)
            process.wait_until_ready()
        ids = prepare(process, options.keys)
        readers = {
            "admin": sign_in(process, process.admin_key),
            "owner": sign_in(process, ids["owner"]),
        }
        chosen = {who: reader for who, reader in readers.items() if options.who in {None, who}}
        wanted = [each for each in list_addresses(ids) if options.only in each]
        kept = measure(chosen, wanted, options.requests)
        print(f"load average {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
