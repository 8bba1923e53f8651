"""The verifier in a process of its own, while the issuer comes and goes."""

from __future__ import annotations

import asyncio

from testbed.ports import find_free_port
from testbed.relying_party import RelyingParty
from testbed.waiting import wait_until

from tests.e2e.calls import exchange, new_key, new_keys, revoke
from tests.endings import revoke_key
from tests.integration.things import ACTOR
from tokensvc.store.pool import open_database


def test_it_starts_before_the_issuer_and_hears_of_each_revocation(new_process, database_url):
    port = find_free_port()
    with RelyingParty(f"http://127.0.0.1:{port}", http_timeout=1) as relying_party:
        assert relying_party.verify("a token") == "VerifierUnavailableError no_keys"
        process = new_process(TOKENSVC_DATABASE_URL=database_url, TOKENSVC_PORT=str(port))
        process.wait_until_ready()
        key = new_key(process)
        first = exchange(process.url, key.text)
        wait_until(lambda: relying_party.verify(first) == "good")
        for _ in range(5):
            token = exchange(process.url, key.text)
            assert relying_party.verify(token) == "good"
            assert revoke(process.url, token) == 200
            reason, _ = relying_party.wait_for_refusal(token)
            assert reason == "revoked_jti"
        assert relying_party.verify(first) == "good"


def test_it_verifies_without_the_issuer_and_follows_again_after_a_restart(
    new_process, database_url
):
    process = new_process(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    kept, ended = new_keys(process, 2)
    seen, unseen, doomed = (exchange(process.url, key.text) for key in (kept, kept, ended))
    with RelyingParty(process.url, max_staleness=3600) as relying_party:
        wait_until(lambda: relying_party.verify(seen) == "good")
        process.stop()
        assert relying_party.verify(unseen) == "good", "nobody is there to be asked"
        assert relying_party.verify(doomed) == "good"
        asyncio.run(revoke_past_the_service(database_url, ended.id))
        process.start()
        reason, _ = relying_party.wait_for_refusal(doomed)
        assert reason == "revoked_key", "it was revoked while the relying party could not hear"
        assert relying_party.verify(seen) == "good"


async def revoke_past_the_service(url, key_id):
    database = await open_database(url, max_size=1)
    await revoke_key(database, key_id, actor=ACTOR)
    await database.close()
