"""Two services on one database, for longer."""

from __future__ import annotations

import time

import requests
from testbed.relying_party import RelyingParty
from testbed.waiting import wait_until

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
        first = exchange(pair.first.url, key.text)
        wait_until(lambda: relying_party.verify(first) == "good")
        for _ in range(200):
            token = exchange(pair.second.url, key.text)
            assert relying_party.verify(token) == "good"
            assert revoke(pair.second.url, token) == 200
            reason, _ = relying_party.wait_for_refusal(token)
            assert reason == "revoked_jti"


def test_t29_a_sign_in_is_dead_within_a_second_after_its_key_was_revoked_at_the_other_process(
    new_process, new_database_url, tmp_path
):
    pair = start_pair(new_process, new_database_url("empty"), str(tmp_path / "keys"))
    admin = requests.Session()
    admin.headers["Authorization"] = f"Bearer {pair.admin_key}"
    account = admin.get(f"{pair.first.url}/v1/accounts").json()["items"][0]["id"]
    wish = {"account": account, "name": "reader", "capabilities": ["tokensvc:read"]}
    times = []
    for _ in range(9):
        made = admin.post(f"{pair.first.url}/v1/keys", json=wish).json()
        cookie = sign_in(pair.second.url, made["key"])
        assert look(pair.second.url, cookie) == 200
        revoked = admin.post(f"{pair.first.url}/v1/keys/{made['id']}/revoke", json={})
        began_on = time.monotonic()
        assert revoked.status_code == 200
        while look(pair.second.url, cookie) == 200:
            time.sleep(0.01)
        times.append(time.monotonic() - began_on)
    print(f"a sign-in was dead after {[round(each, 2) for each in times]} s")
    assert sorted(times)[len(times) // 2] < 1


def sign_in(url, key):
    """Return the cookie of somebody who signs in with a key."""
    answer = requests.post(
        f"{url}/dashboard/sign-in",
        data={"api_key": key, "next": "/"},
        headers={"Sec-Fetch-Site": "same-origin"},
        allow_redirects=False,
    )
    assert answer.status_code == 303, answer.text
    return "; ".join(f"{each.name}={each.value}" for each in answer.cookies)


def look(url, cookie):
    """Return the status of a page for whoever has a cookie."""
    headers = {"Cookie": cookie}
    return requests.get(f"{url}/dashboard/keys", headers=headers, allow_redirects=False).status_code
