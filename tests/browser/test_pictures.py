"""The pictures of the docs, taken of `make demo`.

`make screenshots` writes them to docs/screenshots. Without it the test takes them all the same, and
keeps none: so it fails on the day on which one could not be taken any more.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from testbed.ports import find_free_port
from testbed.processes import ROOT, clean_environment
from testbed.waiting import wait_until

from tests.browser.looking import Looker
from tests.browser.palettes import quantise
from tests.browser.seeding import call

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = ROOT / "docs" / "screenshots"
# `make screenshots` names the folder above.
WRITTEN_TO: Final = os.environ.get("SCREENSHOTS")
LARGEST: Final = 80_000  # bytes of a file
HEIGHT: Final = {1280: 860, 390: 844}
PAGES: Final = {
    "overview": "/",
    "keys": "/keys?sort=-last_used_at",
    "new-key": "/keys/new",
    "key": "/keys/{key}",
    "revoke": "/keys/{key}/revoke",
    "accounts": "/accounts",
    "signing-keys": "/signing-keys",
    "denylist": "/denylist",
    "audit": "/audit",
    "notices": "/notices/deliveries",
    "reference": "/reference/keys/keys.create",
}
NARROW: Final = {"overview": "/", "keys": PAGES["keys"]}
SHOWN_KEY: Final = "partner-import"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the address of a demo and its admin key."""
    folder = tmp_path_factory.mktemp("demo")
    url = f"http://127.0.0.1:{find_free_port()}"
    said = folder / "out"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--folder", str(folder / "data")],
            cwd=ROOT,
            env=clean_environment() | {"TOKENSVC_PORT": url.rpartition(":")[2]},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "Ctrl-C ends it" in said.read_text() or process.poll() is not None, 180)
        found = re.search(r"admin key: (\S+)", said.read_text())
        assert found, said.read_text()
        yield url, found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "pages"), [(1280, PAGES), (390, NARROW)])
def test_each_picture_can_be_taken(chromium, demo, theme, width, pages, subtests):
    url, admin = demo
    key = call(url, f"GET /v1/keys?name={SHOWN_KEY}", admin)["items"][0]["id"]
    window = Looker(chromium, f"{url}/dashboard", theme=theme, width=width)
    window.sign_in(admin)
    empty = chromium.new_page()
    window.page.set_viewport_size({"width": width, "height": HEIGHT[width]})
    for name, address in pages.items():
        with subtests.test(msg=f"{name} {theme} {width}"):
            window.go(address.format(key=key))
            window.page.wait_for_timeout(300)  # a chart is drawn
            picture = quantise(empty, window.page.screenshot())
            assert len(picture) < LARGEST
            assert not window.faults
            if WRITTEN_TO:
                file = f"{name}-{theme}.png" if width == 1280 else f"{name}-phone-{theme}.png"
                (Path(WRITTEN_TO) / file).write_bytes(picture)
    empty.close()
    window.close()


def test_every_picture_that_the_docs_show_exists_and_every_one_is_shown():
    shown = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r'(?:\]\(|src(?:set)?=")([^)"]+\.png)', page.read_text()):
            shown.add((page.parent / link).resolve())
    assert shown == set(FOLDER.glob("*.png"))
