"""The reference of the API in the dashboard has a small page for everything that can be called."""

from __future__ import annotations

from tests.integration.things import make_key
from tests.web.browsing import open_browser

from tokensvc.operations.table import OPERATIONS


async def test_every_operation_is_named_and_has_a_small_page(client, database):
    browser = await open_browser(client, await make_key(database, capabilities=("tokensvc:keys",)))
    whole = await browser.get("/reference")
    assert len(whole.text) < 100_000
    for operation in OPERATIONS.values():
        path = f"/reference/{operation.subject}/{operation.name}"
        assert f'href="/dashboard{path}"' in whole.text
        page = await browser.get(path)
        assert (page.status, len(page.text) < 30_000) == (200, True), operation.name
    for subject in {operation.subject for operation in OPERATIONS.values()}:
        page = await browser.get(f"/reference/{subject}")
        assert (page.status, len(page.text) < 20_000) == (200, True), subject
    making = await browser.get("/reference/keys/keys.create")
    assert "POST /v1/keys" in making.words
    assert "curl -s -K admin.curl" in making.words
    for path in ("nothing", "nothing/keys.create", "keys/accounts.create"):
        assert (await browser.get(f"/reference/{path}")).status == 404
