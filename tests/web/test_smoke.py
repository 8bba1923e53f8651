from __future__ import annotations


async def test_an_api_key_becomes_a_token(client, started, logs):
    answer = await client.post("/v1/token", headers={"Authorization": f"Bearer {started.admin.key.text}"})
    assert answer.status == 200
    body = await answer.json()
    assert body["scope"] == "tokensvc:admin"
    assert [line["status"] for line in logs.find("request")] == [200]
