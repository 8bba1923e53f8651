"""Make an account and an API key for each customer in a file, and note the keys in another.

    TOKENSVC_KEY_FILE=admin.key python examples/customer_keys.py URL customers.txt keys.jsonl

Each line of the first file names one customer. The program may be stopped and started again: each
request has a name of its own (Idempotency-Key), so that to repeat it makes nothing twice. A key is
shown again within ten minutes; later the line says that the key must be rotated. It needs nothing
but Python.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any

MOST_TRIES = 5


def call(url: str, admin_key: str, body: dict[str, Any], *, name: str) -> dict[str, Any]:
    """Send a create that is named, and return the answer; try again when that makes sense."""
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {admin_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": name,
        },
    )
    for attempt in range(MOST_TRIES):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                made: dict[str, Any] = json.load(answer)
                return made
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            if error.code not in {429, 503} or attempt == MOST_TRIES - 1:
                raise SystemExit(f"{body['name']}: {problem['detail']}") from error
            time.sleep(float(error.headers.get("Retry-After", "1")))
    raise AssertionError("unreachable")


def make_key(url: str, admin_key: str, customer: str) -> dict[str, Any]:
    """Make the account and the first key of a customer."""
    name = sha256(customer.encode()).hexdigest()
    account = call(
        f"{url}/v1/accounts", admin_key, {"name": customer}, name=f"customer-account-{name}"
    )
    wish = {
        "account": account["id"],
        "name": "first key",
        "capabilities": ["orders:read"],
        "metadata": {"made_by": "customer_keys.py"},
    }
    return call(f"{url}/v1/keys", admin_key, wish, name=f"customer-key-{name}")


def main(url: str, customers: str, keys: str) -> None:
    """Make a key for each customer."""
    admin_key = Path(os.environ["TOKENSVC_KEY_FILE"]).read_text().strip()
    descriptor = os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a") as noted:
        for line in Path(customers).read_text().splitlines():
            if line.strip():
                made = make_key(url.rstrip("/"), admin_key, line.strip())
                row = {"customer": line.strip(), "id": made["id"], "key": made["key"]}
                noted.write(json.dumps(row) + "\n")
                noted.flush()
                if made["key"] is None:
                    print(f"{line.strip()}: the key is shown no more; rotate {made['id']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
