"""The audit trail in the dashboard: filters, changes, files, and whether it is whole."""

from __future__ import annotations

import csv
import io
import json

from tests.integration.test_audit_chain import meddle
from tests.integration.things import make_key
from tests.web.browsing import open_browser

HOSTILE = '=cmd("<script>alert(1)</script>")'


async def test_events_are_found_by_the_address_and_show_what_was_changed(
    admin, account, browser, connection, subtests
):
    await admin(f"PATCH /v1/accounts/{account}", {"name": HOSTILE})
    page = await browser.get("/audit")
    assert "The chain is whole. All" in page.words
    assert "Today, " in page.words
    assert "<script>alert" not in page.text
    changed = await browser.get(f"/audit?subject={account}&operation=accounts.update")
    assert "<del>Orders</del>" in changed.text
    assert "&lt;script&gt;" in changed.text
    for query, found in (
        ("?operation=accounts.delete", False),
        ("?actor=nobody", False),
        ("?from=2999-01-01", False),
        ("?to=2000-01-01", False),
        ("?from=2000-01-01&to=2999-01-01", True),
        ("?request_id=absent", False),
    ):
        with subtests.test(msg=query):
            shown = await browser.get(f"/audit{query}")
            assert shown.status == 200
            assert ('<details class="event">' in shown.text) is found
            assert ("No event fits these filters" in shown.words) is not found
    for no_day in ("from=yesterday", "to=9999-12-31", "from=0000-01-01"):
        assert (await browser.get(f"/audit?{no_day}")).status == 400
    rows = await browser.get("/audit", HX_Request="true")
    assert rows.text.lstrip().startswith("<h2")
    await meddle(connection, "update audit_event set actor = 'x' where number = 2")
    assert "The chain is broken at event 2" in (await browser.get("/audit")).words


async def test_the_wanted_events_become_a_file(client, database, admin, account, browser):
    await admin(f"PATCH /v1/accounts/{account}", {"name": HOSTILE})
    wanted = f"subject={account}"
    lines = await browser.get(f"/audit/export?form=jsonl&{wanted}")
    assert lines.headers["Content-Type"].startswith("application/x-ndjson")
    assert 'attachment; filename="audit-' in lines.headers["Content-Disposition"]
    events = [json.loads(line) for line in lines.text.splitlines()]
    assert [event["operation"] for event in events] == ["accounts.update", "accounts.create"]
    table = await browser.get(f"/audit/export?form=csv&{wanted}")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["operation"] for row in rows] == ["accounts.update", "accounts.create"]
    assert json.loads(rows[0]["detail"]) == events[0]["detail"]
    assert table.headers["Cache-Control"] == "no-store"
    for capability, status in (("tokensvc:read", 200), ("tokensvc:keys", 403)):
        other = await open_browser(client, await make_key(database, capabilities=(capability,)))
        for path in ("/audit", "/audit/export"):
            assert (await other.get(path)).status == status
