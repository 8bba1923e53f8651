"""An audience that wants another algorithm, in a service that makes the key by itself."""

from __future__ import annotations

import json
from datetime import datetime

from testbed.waiting import wait_until

from tests.e2e.calls import exchange, jwks, new_key
from tests.e2e.interop import SOON, alg_of
from tests.integration.things import read_header, read_payload

MAX_AGE = 3


def test_it_begins_when_every_cache_has_its_first_key(new_process):
    process = new_process(**SOON | {"TOKENSVC_JWKS_MAX_AGE": str(MAX_AGE)})
    process.wait_until_ready()
    key = new_key(process)
    added = process.cli("audience", "add", "legacy", "--alg", "RS256")
    assert added.returncode == 0, added.stderr
    early = exchange(process.url, key.text, audience="legacy")
    assert alg_of(early) == "ES256"
    wait_until(lambda: b"RS256" in jwks(process.url))
    tokens = []

    def begins():
        tokens.append(exchange(process.url, key.text, audience="legacy"))
        return alg_of(tokens[-1]) == "RS256"

    wait_until(begins)
    listed = json.loads(process.cli("signing-key", "list", "-o", "json").stdout)
    (active,) = [row for row in listed if row["kid"] == read_header(tokens[-1])["kid"]]
    made, began = (datetime.fromisoformat(active[name]) for name in ("created_at", "active_at"))
    assert (began - made).total_seconds() == MAX_AGE
    for token in [early, *tokens]:
        has_begun = read_payload(token)["iat"] >= int(began.timestamp())
        assert has_begun or alg_of(token) == "ES256"
