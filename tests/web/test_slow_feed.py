"""The denylist cannot be read: the service says so, and no page is older than it looks."""

from __future__ import annotations

from testbed.waiting import until
from tests.integration.things import make_key, read_payload


async def test_f34_a_feed_that_cannot_be_read_is_not_served_and_is_told(
    client, database, connection, logs
):
    await until(lambda: answers(client, "/v1/denylist", 200))
    async with connection.transaction():
        await connection.execute("lock table denylist, feed_head in access exclusive mode")
        await until(lambda: answers(client, "/v1/denylist", 503))
        await until(lambda: answers(client, "/readyz", 503))
    await until(lambda: answers(client, "/readyz", 200))
    assert "mirror_not_refreshed" in {line["event"] for line in logs.lines}

    revoked = (await make_key(database)).key.text
    # While the machine is busy, the first attempt may be told to come again.
    await until(lambda: revokes(client, revoked))
    await until(lambda: has_entries(client))


async def answers(client, path, status):
    return (await client.get(path)).status == status


async def revokes(client, text):
    return (await client.post("/v1/revoke", data={"token": text})).status == 200


async def has_entries(client):
    answer = await client.get("/v1/denylist")
    return answer.status == 200 and read_payload(await answer.text())["entries"]
