"""Two services on one database, for longer."""

from __future__ import annotations

from testbed.relying_party import RelyingParty

from tests.e2e.calls import exchange, new_key, revoke
from tests.e2e.replicas import find_tokens_after_revocations, rotate_under_load, start_pair


async def test_a_thousand_times_no_token_at_the_other_once_a_revocation_has_been_acknowledged(
    new_process, new_database_url, tmp_path
):
    pair = start_pair(new_process, new_database_url("empty"), str(tmp_path / "keys"))
    assert await find_tokens_after_revocations(pair, 1000) == []


async def test_a_rotation_under_a_longer_load_fails_nobody(new_process, new_database_url, tmp_path):
    pair = start_pair(new_process, new_database_url("empty"), str(tmp_path / "keys"))
    await rotate_under_load(pair, tokens=100)


def test_t10_each_of_200_revoked_tokens_is_refused_in_another_process(
    new_process, new_database_url, tmp_path
):
    pair = start_pair(new_process, new_database_url("empty"), str(tmp_path / "keys"))
    key = new_key(pair.first)
    with RelyingParty(pair.first.url) as relying_party:
        for _ in range(200):
            token = exchange(pair.second.url, key.text)
            assert relying_party.verify(token) == "good"
            assert revoke(pair.second.url, token) == 200
            reason, _ = relying_party.wait_for_refusal(token)
            assert reason == "revoked_jti"
