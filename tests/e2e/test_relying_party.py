"""The verifier in a process of its own, while the issuer comes and goes."""

from __future__ import annotations

import time

from tests.e2e.calls import exchange, is_ready, new_key, revoke, wait_until
from tests.e2e.relying_party import RelyingParty
from tests.processes import find_free_port


def test_it_verifies_without_the_issuer_until_it_is_stale_and_follows_again_after_a_restart(
    new_process, database_url
):
    process = new_process(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    key = new_key(process)
    first, second = exchange(process.url, key.text), exchange(process.url, key.text)
    with RelyingParty(process.url) as relying_party:
        assert relying_party.verify(first) == "good"
        process.stop()
        stopped_on = time.monotonic()
        assert (
            relying_party.verify(second) == "good"
        )  # never seen before, and nobody is there to be asked
        wait_until(lambda: relying_party.verify(first) != "good", 10)
        assert relying_party.verify(first) == "VerifierUnavailableError denylist_stale"
        assert time.monotonic() - stopped_on > 1
        process.start()
        process.wait_until_ready()
        wait_until(lambda: relying_party.verify(first) == "good", 20)
        assert revoke(process.url, first) == 200
        wait_until(lambda: relying_party.verify(first) == "InvalidTokenError revoked_jti", 5)
        assert relying_party.verify(second) == "good"


def test_it_starts_before_the_issuer(new_process, database_url):
    port = find_free_port()
    with RelyingParty(f"http://127.0.0.1:{port}") as relying_party:
        assert relying_party.verify("a token") == "VerifierUnavailableError no_keys"
        process = new_process(TOKENSVC_DATABASE_URL=database_url, TOKENSVC_PORT=str(port))
        process.wait_until_ready()
        token = exchange(process.url, process.admin_key)
        wait_until(lambda: relying_party.verify(token) == "good", 20)


def test_a_revocation_that_was_acknowledged_while_it_could_not_hear_reaches_it(
    new_process, database_url
):
    process = new_process(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url))
    key = new_key(process)
    token = exchange(process.url, key.text)
    with RelyingParty(process.url) as relying_party:
        assert relying_party.verify(token) == "good"
        process.stop()
        assert process.cli("key", "revoke", key.id, "--yes").returncode == 0
        process.start()
        wait_until(lambda: relying_party.verify(token) == "InvalidTokenError revoked_key", 20)
