"""Every page, light and dark, wide and narrow: no error, no violation, fit for everybody."""

from __future__ import annotations

import pytest

from tests.browser.visits import BESIDES, VISITS, WIDE
from tokensvc.web.dashboard.pages import PAGES


def test_every_page_that_shows_something_is_visited():
    assert {page.path for page in PAGES if page.method == "GET" and page.template} == set(VISITS)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_without_faults(look, seeded, theme, width, subtests):
    window = look(theme=theme, width=width)
    # Colours depend on no name, so wide names are looked at in one theme.
    for address in [*VISITS.values(), *BESIDES, *(WIDE if theme == "light" else ())]:
        path = seeded.fill(address)
        with subtests.test(msg=path):
            window.faults.clear()
            window.go(path)
            window.page.wait_for_timeout(100)
            window.open_details()
            window.check(path)


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_whole_without_scripts(look, seeded, width, subtests):
    window = look(width=width, scripts=False)
    for address in [*VISITS.values(), *BESIDES]:
        path = seeded.fill(address)
        with subtests.test(msg=path):
            window.faults.clear()
            window.go(path)
            window.check(path)


def test_a_theme_is_drawn_by_the_server_so_that_it_does_not_flash(look):
    window = look(theme="light", scripts=False)
    window.page.select_option("#theme", "dark")
    window.page.click(".theme button")
    assert window.page.locator("html").get_attribute("data-theme") == "dark"
    window.go("/keys")
    colour = window.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(13, 15, 19)"


def test_refusals_are_pages_too(look):
    window = look(refusals=(404,))
    for path in ("/nothing", "/keys/key_0000000000000000"):
        window.go(path, status=404)
        window.check(path)
