"""Chromium, a service of its own process, and something to look at in it.

These tests are a pytest process of their own: Playwright's event loop breaks asynchronous tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright
from testbed.processes import ServiceProcess

from tests.browser.looking import Looker
from tests.browser.seeding import Seeded, seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def find_chromium() -> str | None:
    """Return Debian's Chromium; install it first where that is possible."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        for command in (["apt-get", "update"], install):
            subprocess.run(command, check=False, capture_output=True)
        found = shutil.which("chromium")
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        text = "NO BROWSER: the dashboard was NOT looked at. On Debian: apt-get install chromium"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(text)
        print(f"\n*** {text} ***")
        pytest.skip(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceProcess]:
    folder = Path(tempfile.mkdtemp(prefix="tokensvc-"))
    folder.chmod(0o755)
    process = ServiceProcess(folder)
    process.wait_until_ready()
    yield process
    process.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def seeded(service: ServiceProcess) -> Seeded:
    """What the pages show."""
    return seed(service.url, service.admin_key)


@pytest.fixture
def look(chromium: Browser, service: ServiceProcess) -> Iterator[Callable[..., Looker]]:
    """Opens windows in which nothing may go wrong; `look(theme="dark", width=390)`."""
    opened: list[Looker] = []

    def open_window(*, signed_in: bool = True, **options: Any) -> Looker:
        opened.append(Looker(chromium, f"{service.url}/dashboard", **options))
        if signed_in:
            opened[-1].sign_in(service.admin_key)
        return opened[-1]

    yield open_window
    for looker in opened:
        looker.close()
