"""The reference of the API in the dashboard names everything that can be called."""

from __future__ import annotations

from tests.integration.things import make_key
from tests.web.browsing import open_browser

from tokensvc.operations.table import OPERATIONS


async def test_every_operation_is_named_and_each_subject_has_a_small_page(client, database):
    browser = await open_browser(client, await make_key(database, capabilities=("tokensvc:keys",)))
    whole = await browser.get("/reference")
    for operation in OPERATIONS.values():
        assert f">{operation.name}</a>" in whole.text
    for subject in {operation.subject for operation in OPERATIONS.values()}:
        page = await browser.get(f"/reference/{subject}")
        assert page.status == 200
        assert len(page.text) < 100_000, subject
    keys = await browser.get("/reference/keys")
    assert "POST /v1/keys" in keys.words
    assert "curl -s -K admin.curl" in keys.words
    assert len(whole.text) < 100_000
    assert (await browser.get("/reference/nothing")).status == 404
