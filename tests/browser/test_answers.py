"""What a form answers: what it asks back, what it has made, what it refuses."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest

from tests.browser.seeding import CAPABILITIES, get_own_token, make_foreign_token
from tokensvc.web.dashboard.live import LONGEST_SECONDS


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_every_answer_to_a_form_is_without_faults(look, service, seeded, theme, width):
    window = look(theme=theme, width=width, refusals=(400, 401))
    page = window.page

    window.go(f"/keys?account={seeded.wide_account}")
    for number in range(2):
        page.check(f"input[name=key] >> nth={number}")
    page.click(".bulk button[value=revoke]")
    assert page.inner_text("h1") == "Revoke 2 keys?"
    window.check("/answers/many")

    window.go("/keys/new")
    page.fill("#name", "refused")
    page.check(f'[name=capabilities][value="{CAPABILITIES[0]}"]')
    page.fill("#networks", "nowhere")
    page.fill("#metadata", "{")
    page.click("text=Create key")
    assert page.input_value("#networks") == "nowhere"
    window.check("/answers/refused")
    for name, text in (("#name", "w" * 80), ("#networks", ""), ("#metadata", "")):
        page.fill(name, text)
    page.click("text=Create key")
    assert page.inner_text("h1") == "Your new key"
    window.check("/answers/shown-once")
    page.check("[data-guard]")

    window.go("/notices/new")
    page.fill("#url", "https://hooks.acme.example/again")
    page.click("main button[type=submit]:not([data-tick])")
    assert page.inner_text("#secret").startswith("whsec_")
    window.check("/answers/receiver")

    for name, token in (
        ("own", get_own_token(service.url, service.admin_key)),
        ("foreign", make_foreign_token()),
    ):
        window.go("/decoder")
        page.fill("#token", token)
        page.click("main button >> text=Decode")
        page.wait_for_selector("text=Checks of a verifier")
        window.check(f"/answers/decoded-{name}")

    page.context.clear_cookies()
    window.go("/sign-in")
    page.fill("#api_key", "tsk-" + "0" * 32)
    page.click("main button[type=submit]")
    assert "This key cannot sign in here" in page.inner_text("main")
    window.check("/answers/sign-in")


def test_a_live_page_costs_one_held_request_at_a_time(look, seeded, subtests):
    window = look()
    waiting: set[object] = set()
    asked: list[str] = []
    at_once: list[int] = []

    def begin(request):
        if request.resource_type == "fetch":
            waiting.add(request)
            asked.append(re.findall(r"[?&]seen=(\w+)", request.url)[0])
            at_once.append(len(waiting))

    window.page.on("request", begin)
    for end in ("requestfinished", "requestfailed"):
        window.page.on(end, lambda request: waiting.discard(request))
    for address in ("/", "/denylist", "/keys/{revoked}/ended?ending=revoked&seq=999"):
        with subtests.test(msg=address):
            window.go("/health")
            waiting.clear()
            asked.clear()
            at_once.clear()
            began_on = time.monotonic()
            window.go(seeded.fill(address))
            window.page.wait_for_timeout(6000)
            # How often something changes is left to chance: a follower falls silent, for example.
            # But as long as nothing has changed, the request is held.
            is_held = time.monotonic() - began_on < LONGEST_SECONDS
            assert asked
            assert not is_held or all(seen != before for before, seen in pairwise(asked))
            assert max(at_once) == 1
