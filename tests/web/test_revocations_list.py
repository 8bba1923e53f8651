"""The list of revocations says who made each, and why; they can be counted."""

from __future__ import annotations

import pytest
from tests.integration.things import make_key
from tests.web.asking import get_token


async def test_the_list_says_who_revoked_what_and_why(admin, database):
    key = (await make_key(database)).listed.record.id
    jti = "0" * 20
    await admin("POST /v1/revocations", {"jti": jti, "exp_in": 60, "reason": "seen in a log"})
    await admin(f"POST /v1/keys/{key}/disable", {"reason": "lost"})
    await admin(f"POST /v1/keys/{key}/enable")
    await admin(f"POST /v1/keys/{key}/revoke")
    newest = (await admin("GET /v1/revocations?sort=-seq")).body["items"]
    assert [(row["value"], row["ending"], row["reason"]) for row in newest] == [
        (key, "key_revoked", None),
        (key, "key_disabled", "lost"),
        (jti, "token_revoked", "seen in a log"),
    ]
    assert all(row["made_by"].startswith("key_") for row in newest)
    first = (await admin("GET /v1/revocations?sort=-seq&limit=2")).body
    rest = await admin(f"GET /v1/revocations?sort=-seq&limit=2&cursor={first['next_cursor']}")
    assert [*first["items"], *rest.body["items"]] == newest
    only = (await admin(f"GET /v1/revocations?kind=key&value={key}")).body["items"]
    assert only == [newest[1], newest[0]]
    counts = (await admin("GET /v1/revocations/count")).body
    assert counts == {
        "seq": 3, "tokens": 1, "keys": 2, "accounts": 0, "signing_keys": 0, "healed": 0
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["token", "jti", "key", "account"])
async def test_the_reason_of_a_revocation_stands_in_the_audit_trail_whatever_is_named(
    client, admin, database, kind
):
    made = await make_key(database)
    record = made.listed.record
    named = {"jti": "0" * 20, "key": record.id, "account": record.account_id}
    if kind == "token":
        named["token"] = (await get_token(client, made))["access_token"]
    asked = {kind: named[kind], "reason": "seen in a log"}
    revoked = await admin("POST /v1/revocations", asked)
    assert revoked.status == 201, revoked.body
    events = (await admin(f"GET /v1/audit-events?subject={revoked.body['value']}")).body["items"]
    newest = max(events, key=lambda event: event["number"])
    assert newest["detail"]["reason"] == "seen in a log"
    listed = (await admin(f"GET /v1/revocations?value={revoked.body['value']}")).body["items"]
    assert [row["reason"] for row in listed] == ["seen in a log"]
