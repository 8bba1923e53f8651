"""`GET /v1/audit-trail`: where the audit trail ends, and whether its newest events hold."""

from __future__ import annotations

from tests.integration.test_audit_chain import meddle

PATH = "GET /v1/audit-trail"


async def test_the_newest_events_are_checked_and_the_first_that_was_changed_is_named(
    admin, account, connection
):
    for number in range(5):
        await admin(f"PATCH /v1/accounts/{account}", {"name": f"Orders {number}"})
    whole = (await admin(PATH)).body
    assert (whole["state"], whole["checked"]) == ("whole", whole["number"])
    assert (whole["checkpoint"], whole["broken_at"], whole["reason"]) == (None, None, None)
    assert (await admin(f"{PATH}?newest=2")).body["checked"] == 2
    assert (await admin(f"{PATH}?newest=0")).body["state"] == "whole"
    assert (await admin(f"{PATH}?newest=10001")).status == 400
    number = whole["number"] - 3
    await meddle(connection, "update audit_event set subject = 'x' where number = $1", number)
    broken = (await admin(PATH)).body
    assert (broken["state"], broken["broken_at"]) == ("broken", number)
    assert "it was changed" in broken["reason"]
    assert (await admin(f"{PATH}?newest=2")).body["state"] == "whole"
    await meddle(connection, "delete from audit_event where number = $1", number)
    missing = (await admin(f"{PATH}?newest=3")).body
    assert (missing["broken_at"], missing["reason"]) == (number, "it is missing")
