"""A key is in the answer that makes it, and nowhere else: not on the server, not in the browser.

Everything that both have written to their disks is searched, to the last byte.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import tempfile
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import OPTIONS, find_chromium
from tests.browser.seeding import call, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Page

# What somebody has typed stands on both sides: so the search finds what is there.
CANARY = "canary-that-stands-in-many-places"


@pytest.fixture
def profile() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tokensvc-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def write_forms(text: str) -> list[bytes]:
    """Return how a text may stand in a file: plain, in two bytes a character, encoded."""
    plain = text.encode()
    forms = [plain, text.encode("utf-16-le"), plain.hex().encode()]
    for before in range(3):  # base64 depends on how many bytes stand before
        encoded = base64.b64encode(b"\0" * before + plain)
        forms.append(encoded[before and 4 : -4])
    return [*forms, urllib.parse.quote(text, safe="").encode()]


def find_in_files(folder: Path, text: str) -> list[str]:
    """Return the files below a folder that hold a text in any form."""
    forms, found = write_forms(text), []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError):  # Postgres has removed it meanwhile
                held = path.read_bytes()
                if any(form in held for form in forms):
                    found.append(str(path.relative_to(folder)))
    return found


def make_key(page: Page, base: str, account: str) -> str:
    """Make a key as a person does, and leave the page that shows it."""
    page.goto(f"{base}/keys/new")
    page.fill("#name", CANARY)
    page.select_option("#account", account)
    page.check('[name=capabilities][value="orders:read"]')
    page.click("text=Create key")
    secret = page.inner_text("#secret")
    page.check("[data-guard]")
    page.click("text=Close")
    return secret


def rotate_key(page: Page) -> str:
    page.click("main >> text=Rotate")
    page.click("text=Rotate key")
    secret = page.inner_text("#secret")
    page.check("[data-guard]")
    page.click("text=Close")
    return secret


def read_browser(context: BrowserContext, page: Page) -> str:
    """Return cookies, storage and what the page itself holds."""
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    return f"{context.cookies()} {stored} {page.content()} {page.url}"


def test_t21_a_key_that_was_shown_once_is_in_no_file_of_the_server_or_the_browser(
    chromium, service, seeded, profile
):
    base = f"{service.url}/dashboard"
    path = find_chromium()
    context = chromium.browser_type.launch_persistent_context(
        profile, executable_path=path, args=OPTIONS
    )
    page = context.pages[0]
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{base}/sign-in")
    page.fill("#api_key", service.admin_key)
    page.click("main button[type=submit]")
    keys = [make_key(page, base, seeded.account)]
    keys.append(rotate_key(page))
    for key in keys:
        exchange(service.url, key)
        exchange(service.url, key, b"scope=nothing:here")
        assert call(service.url, "GET /v1/whoami", key)["key"].startswith("key_")
    page.goto(f"{base}/keys?name=canary")
    page.go_back()
    page.goto(f"{base}/audit")
    page.goto(f"{base}/notices/events")
    told = read_browser(context, page)
    context.close()
    written = service.output + service.errors
    with_admin = find_in_files(service.folder, service.admin_key)
    for key in keys:
        assert key not in told
        assert key not in written
        assert find_in_files(profile, key) == [], "the browser has kept a key"
        for folder in {service.folder, service.postgres_home}:
            assert find_in_files(folder, key) == [], "the server has kept a key"
    assert find_in_files(profile, service.admin_key) == [], "the key of the sign-in was kept"
    # The search finds what is there: the name that was typed, and the key of the first start.
    assert find_in_files(profile, "keys?name=canary")
    assert find_in_files(service.postgres_home, CANARY)
    assert with_admin == [".tokensvc/first-admin.key"]
