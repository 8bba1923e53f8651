"""An audience that wants another algorithm, in a service that makes the key by itself."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from testbed.waiting import PATIENCE

from tests.e2e.calls import new_key, try_exchange
from tests.e2e.interop import SOON, alg_of
from tests.integration.things import read_header, read_payload

MAX_AGE = 3


def test_it_begins_when_every_cache_has_its_first_key(new_process):
    process = new_process(**SOON | {"TOKENSVC_JWKS_MAX_AGE": str(MAX_AGE)})
    process.wait_until_ready()
    key = new_key(process)
    # The command may take as long as the key waits: so a client asks from before it on.
    with ThreadPoolExecutor(1) as client:
        asking = client.submit(ask_until_it_begins, process.url, key)
        added = process.cli("audience", "add", "legacy", "--alg", "RS256")
        assert added.returncode == 0, added.stderr
        tokens = asking.result()
    assert alg_of(tokens[0]) == "ES256"
    listed = json.loads(process.cli("signing-key", "list", "-o", "json").stdout)
    (active,) = [row for row in listed if row["kid"] == read_header(tokens[-1])["kid"]]
    made, began = (datetime.fromisoformat(active[name]) for name in ("created_at", "active_at"))
    assert (began - made).total_seconds() == MAX_AGE
    for token in tokens:
        has_begun = read_payload(token)["iat"] >= int(began.timestamp())
        assert has_begun or alg_of(token) == "ES256"


def ask_until_it_begins(url, key):
    """Return the tokens for the audience from the first one to the first that RS256 signs."""
    give_up_on = time.monotonic() + PATIENCE
    tokens: list[str] = []
    while not tokens or alg_of(tokens[-1]) != "RS256":
        assert time.monotonic() < give_up_on
        answer = try_exchange(url, key.text, audience="legacy")
        if answer.status == 200:
            tokens.append(answer.json["access_token"])
        time.sleep(0.1)
    return tokens
