"""The whole story of a key by keys alone: no mouse, nothing but Tab, Space, Enter and letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.looking import Looker

MOST_STEPS = 150
_FOCUS = """
() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return [
    at.matches(":focus-visible"),
    style.outlineStyle !== "none" || style.boxShadow !== "none",
  ];
}
"""


class Keyboard:
    """Somebody who has only a keyboard. `go_to` fails unless the focus can be seen there."""

    def __init__(self, window: Looker) -> None:
        self.page = window.page

    def go_to(self, selector: str) -> None:
        """Press Tab until the focus is on what is wanted."""
        for _ in range(MOST_STEPS):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("(s) => document.activeElement.matches(s)", selector):
                assert self.page.evaluate(_FOCUS) == [True, True], f"no focus is seen: {selector}"
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    def type(self, selector: str, text: str) -> None:
        self.go_to(selector)
        self.page.keyboard.type(text)

    def press(self, selector: str, key: str = "Enter") -> None:
        self.go_to(selector)
        self.page.keyboard.press(key)

    def leave_by(self, selector: str) -> None:
        """Press what leads to another page, and wait for that."""
        self.go_to(selector)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_key_is_made_changed_rotated_and_revoked_by_keys_alone(look, service, seeded, scripts):
    window = look(signed_in=False, scripts=scripts)
    page, keys = window.page, Keyboard(window)
    page.on("dialog", lambda dialog: dialog.accept())
    window.go("/keys/new?account=" + seeded.account)
    keys.type("#api_key", service.admin_key)
    keys.leave_by("main button[type=submit]")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    keys.type("#name", "by-keyboard")
    keys.press('[name=capabilities][value="orders:read"]', "Space")
    keys.go_to("[name=expires_in]")
    page.keyboard.press("ArrowRight")
    keys.leave_by("main button[type=submit]:not([data-tick])")
    assert page.inner_text("h1") == "Your new key"
    keys.press("[data-guard]", "Space")
    keys.leave_by("main button[type=submit]")
    assert page.inner_text("h1").startswith("by-keyboard")

    keys.leave_by('main a[href$="/edit"]')
    keys.type("#description", "Made without a mouse")
    keys.leave_by("main button[type=submit]:not([data-tick])")
    assert "Made without a mouse" in page.inner_text(".head")

    keys.press('main a[href$="/rotate"]')
    page.wait_for_selector("text=Rotate key")
    keys.leave_by('form[action$="/rotate"] button[type=submit]')
    keys.press("[data-guard]", "Space")
    keys.leave_by("main button[type=submit]")

    keys.press('main .head a[href$="/revoke"]')
    page.wait_for_selector("text=This cannot be undone")
    keys.leave_by('form[action$="/revoke"] button.danger')
    assert "gets no token any more" in page.inner_text("#progress")
    window.check("/keyboard")


def test_what_opens_over_the_page_is_left_by_escape_and_gives_the_focus_back(look, seeded):
    window = look(width=390)
    page, keys = window.page, Keyboard(window)
    window.go(f"/keys/{seeded.key}")
    keys.press("button.menu")
    assert page.is_visible("#menu")
    keys.go_to('#menu a[href$="/accounts"]')
    page.keyboard.press("Escape")
    assert not page.is_visible("#menu")
    assert page.evaluate("document.activeElement.className").startswith("menu")
