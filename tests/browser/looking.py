"""A window of a browser in which nothing may go wrong."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from testbed.waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage

# Pictures of all pages are left in this folder, if it is named, so that people can look at them.
PICTURES = os.environ.get("BROWSER_PICTURES")
LARGEST, LARGEST_PACKED = 100_000, 30_000  # bytes of a page
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation",
    (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""
# What is beyond the edge of the window or of its card, and cannot be scrolled to.
_FIND_CUT = """
(() => {
    const scrolls = (element) => element !== null
        && (/auto|scroll|hidden/.test(getComputedStyle(element).overflowX)
            || scrolls(element.parentElement));
    const findEdge = (element) => Math.min(
        innerWidth, element.closest(".card")?.getBoundingClientRect().right ?? innerWidth);
    return [...document.querySelectorAll("main *")]
        .filter((element) => element.checkVisibility()
            && element.getBoundingClientRect().right > findEdge(element) + 1 && !scrolls(element))
        .slice(0, 3).map((element) => element.outerHTML.slice(0, 100));
})()
"""
_AXE = Axe()


class Looker:
    """A window, and what went wrong in it so far.

    `refusals`: statuses of pages that may come, because the test asks for what is refused.
    """

    def __init__(
        self,
        browser: Browser,
        base: str,
        *,
        theme: str = "light",
        width: int = 1280,
        scripts: bool = True,
        refusals: tuple[int, ...] = (),
    ) -> None:
        self.base = base
        self.name = f"{width}-{theme}" + ("" if scripts else "-no-script")
        self._refusals = refusals
        self._scripts = scripts
        self.faults: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts,
        )
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.add_init_script(_TELL_VIOLATIONS)
        self.page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))

    def sign_in(self, key: str) -> None:
        self.page.goto(f"{self.base}/sign-in")
        self.page.fill("#api_key", key)
        self.page.click("main button[type=submit]")
        assert self.page.url.rstrip("/") == self.base

    def go(self, path: str, status: int = 200) -> None:
        answer = self.page.goto(self.base + path)
        assert answer is not None
        assert answer.status == status, path
        body = answer.body()
        assert len(body) < LARGEST, path
        assert len(gzip.compress(body)) < LARGEST_PACKED, path

    def open_details(self) -> None:
        """Open what is folded, as far as somebody would who looks at the beginning of a page."""
        self.page.evaluate(
            "[...document.querySelectorAll('main details')].slice(0, 3)"
            ".forEach((details) => { details.open = true })"
        )

    def check(self, name: str = "") -> None:
        """Fail for what went wrong, for what does not fit, for what not everybody can use."""
        faults = [*self.faults]
        if self.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append("wider than the window")
        faults += [f"cut: {element}" for element in self.page.evaluate(_FIND_CUT)]
        found = self._run_axe() if self._scripts else []
        self.faults.clear()  # axe writes styles into the page, which the policy forbids
        faults += [
            f"axe: {each['id']} ({each['impact']}): {node['target']} {node['failureSummary']}"
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"][:3]
        ]
        if PICTURES and name:
            slug = re.sub(r"key_\w+", "id", name)
            file = re.sub(r"\W+", "-", slug).strip("-") or "overview"
            self.page.screenshot(path=Path(PICTURES) / f"{file}-{self.name}.png", full_page=True)
        assert not faults, f"{name or self.page.url} {self.name}:\n" + "\n".join(faults)

    def _run_axe(self) -> list[Any]:
        found: list[Any] = _AXE.run(self.page, options={"preload": False}).response["violations"]
        return found

    def close(self) -> None:
        self.context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        if any(f"status of {status}" in message.text for status in self._refusals):
            return
        self.faults.append(f"console: {message.text}")
