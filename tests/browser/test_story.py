"""The life of a key in the dashboard, with scripts and without."""

from __future__ import annotations

import re

import pytest

KEY = re.compile(r"tsk-[0-9A-Za-z]{32}")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_key_is_made_stored_changed_rotated_and_revoked(look, seeded, scripts):
    window = look(scripts=scripts)
    page = window.page
    page.on("dialog", lambda dialog: dialog.accept())
    window.go("/keys/new")
    page.fill("#name", "returns-worker")
    page.select_option("#account", seeded.account)
    page.check('[name=capabilities][value="orders:read"]')
    page.click("text=90 d")
    if scripts:
        assert page.inner_text("[data-sum=name]") == "returns-worker"
        assert page.inner_text("[data-sum=capabilities]") == "orders:read"
    page.click("text=Create key")
    assert page.inner_text("h1") == "Your new key"
    secret = page.inner_text("#secret")
    assert KEY.fullmatch(secret)
    window.check("/shown-once")
    page.check("[data-guard]")
    page.click("text=Close")
    assert page.inner_text("h1").startswith("returns-worker")
    assert secret not in page.content()

    page.click("main >> text=Disable")
    assert "gets no token any more" in page.inner_text(".note")
    window.check("/disabled")
    page.click("main >> text=Enable")
    assert "gets tokens again" in page.inner_text(".note")

    page.click("main >> text=Edit")
    page.fill("#description", "Books returned parcels")
    page.click("text=Save changes")
    assert "Books returned parcels" in page.inner_text(".head")

    page.click("main >> text=Rotate")
    page.click("text=Rotate key")
    successor = page.inner_text("#secret")
    assert successor not in {"", secret}
    page.check("[data-guard]")
    page.click("text=Close")

    page.click("main .head >> text=Revoke")
    page.wait_for_selector("text=This cannot be undone")
    assert (page.locator("dialog[open]").count() == 1) == scripts
    page.click("text=Revoke key")
    assert "gets no token any more" in page.inner_text("#progress")
    window.check("/ended")
    page.click("text=See the key")
    assert "Revoked" in page.inner_text("h1")
    if scripts:
        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert kept == "[{},{}]"
    told = str(window.context.cookies())
    assert secret not in told
    assert successor not in told


def test_a_dialog_takes_the_focus_and_gives_it_back(look, seeded):
    window = look()
    page = window.page
    window.go(f"/keys/{seeded.key}")
    for act in ("Rotate", "Revoke"):
        opener = page.locator(".head a", has_text=act)
        opener.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open] form")
        assert page.evaluate("!!document.activeElement.closest('dialog[open]')")
        window.check(f"/{act.lower()}-dialog")
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        assert page.evaluate("document.activeElement.textContent").strip() == act


def test_the_list_of_keys_follows_what_is_typed_and_the_address_keeps_it(look, seeded):
    del seeded
    window = look()
    page = window.page
    window.go("/keys")
    page.wait_for_selector("#views .num")
    page.type("#name", "checkout-ap")
    page.wait_for_url("**/dashboard/keys?name=checkout-ap")
    assert page.locator("#rows tbody tr").count() == 1
    assert page.evaluate("document.activeElement.id") == "name"
    window.check("/keys/typed")
    page.fill("#name", "nobody has this")
    page.wait_for_selector("#rows .empty")
    page.click("#reset")
    page.wait_for_selector("#rows tbody tr")
    assert page.locator("#rows tbody tr").count() > 1


def test_a_key_in_use_is_revoked_only_after_its_name_was_typed(look, seeded):
    window = look(refusals=(400,))
    page = window.page
    window.go(f"/keys/{seeded.key}/revoke")
    assert page.is_disabled("[data-final]")
    page.fill("#typed", "checkout")
    assert page.is_disabled("[data-final]")
    page.fill("#typed", "checkout-api")
    assert page.is_enabled("[data-final]")


def test_everything_ticks_what_is_seen_and_the_summary_says_the_scope(look, seeded):
    del seeded
    window = look()
    page = window.page
    window.go("/keys/new")
    page.fill("#find", "orders:")
    page.click("button:text-is('Everything')")
    assert page.inner_text("[data-sum=capabilities]") == "orders:read orders:write"
    page.fill("#find", "")
    page.click("button:text-is('Everything')")
    ticked = page.locator("[name=capabilities][type=checkbox]:checked").count()
    assert ticked == page.locator("[name=capabilities][type=checkbox]").count()
    page.click("button:text-is('Nothing')")
    assert page.locator("[name=capabilities][type=checkbox]:checked").count() == 0
    page.click("text=Date…")
    assert page.is_visible("#expires_on")


def test_what_was_typed_is_still_there_after_a_refusal(look, seeded):
    window = look(refusals=(400,))
    page = window.page
    window.go("/keys/new")
    page.fill("#name", "wrong")
    page.select_option("#account", seeded.account)
    page.fill("#networks", "nowhere")
    page.click("text=Create key")
    assert page.input_value("#name") == "wrong"
    assert page.input_value("#networks") == "nowhere"
    assert page.locator(".error").count() >= 2
    window.check("/keys/new/refused")


def test_the_sign_in_says_what_is_wrong_and_the_sign_out_ends_it(look, service):
    window = look(signed_in=False, refusals=(401,))
    window.go("/keys")
    window.page.fill("#api_key", "tsk-wrong")
    window.page.click("main button[type=submit]")
    assert "cannot sign in here" in window.page.inner_text(".error")
    window.check("/sign-in/refused")
    window.page.fill("#api_key", service.admin_key)
    window.page.click("main button[type=submit]")
    assert window.page.url.endswith("/dashboard/keys")
    window.page.click("text=Sign out")
    assert window.page.url.endswith("/dashboard/sign-in")
    window.go("/keys")
    assert "sign-in" in window.page.url
