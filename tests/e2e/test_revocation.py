"""A revoked token is refused by a follower in another process."""

from __future__ import annotations

from bench.revocation import measure

from tests.e2e.calls import new_account, new_key


async def test_each_of_200_revoked_tokens_is_refused_in_another_process(new_process, database_url):
    process = new_process(TOKENSVC_DATABASE_URL=database_url, TOKENSVC_LOG_LEVEL="warning")
    process.wait_until_ready()
    account = new_account(process)
    keys = [new_key(process, account) for _ in range(4)]
    refusals = await measure(process.url, [key.text for key in keys], 200)
    assert [refusal.reason for refusal in refusals] == ["revoked_jti"] * 200
    assert all(refusal.seconds is not None for refusal in refusals)
