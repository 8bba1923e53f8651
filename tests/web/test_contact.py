"""The contact of an account: a mailbox like the others, which the account shows as its own."""

from __future__ import annotations

import pytest
from tests.web.operating import Caller, make_caller

OPS, NIGHT = "ops@example.com", "night@example.com"


@pytest.fixture
def settings(settings):
    """Mail goes nowhere here: what is sent is a test of notices."""
    return settings.model_validate(
        settings.model_dump()
        | {"smtp_url": "smtp://127.0.0.1:9", "smtp_from": "tokens@example.com"}
    )


@pytest.fixture
def confirm(connection):
    async def act(endpoint_id):
        await connection.execute(
            "update notice_endpoint set confirmed_at = clock_timestamp() where id = $1", endpoint_id
        )

    return act


async def list_mailboxes(caller, account):
    listed = await caller(f"GET /v1/notice-endpoints?account={account}")
    return {item["url"]: item for item in listed.body["items"]}


async def test_an_account_is_made_with_a_contact_which_is_one_of_its_endpoints(admin, confirm):
    made = await admin("POST /v1/accounts", {"name": "Contacted", "contact": f" {OPS}"})
    assert (made.status, made.body["contact"]) == (201, OPS)
    assert made.body["contact_confirmed_at"] is None
    mailboxes = await list_mailboxes(admin, made.body["id"])
    assert list(mailboxes) == [f"mailto:{OPS}"]
    endpoint = mailboxes[f"mailto:{OPS}"]
    assert (endpoint["id"], endpoint["events"]) == (made.body["contact_endpoint"], [])
    assert endpoint["state"] == "unconfirmed"
    asked = await admin(f"GET /v1/notice-deliveries?endpoint={endpoint['id']}")
    assert [item["event"] for item in asked.body["items"]] == ["notice.confirm"]
    await confirm(endpoint["id"])
    path = f"/v1/accounts/{made.body['id']}"
    shown = await admin(f"GET {path}")
    assert shown.body["contact_confirmed_at"] is not None
    versions = {answer.headers["ETag"].partition(".")[0] for answer in (made, shown)}
    assert len(versions) == 1  # an admin who changes the name is not held up by that
    assert (await admin("GET /v1/accounts?name=Contacted")).body["items"] == [shown.body]
    assert (await admin(f"POST {path}/suspend", {})).body["contact"] == OPS


async def test_another_contact_is_asked_anew_and_is_told_of_the_same_events(
    admin, account, confirm
):
    path = f"/v1/accounts/{account}"
    first = (await admin(f"PATCH {path}", {"contact": OPS})).body
    await confirm(first["contact_endpoint"])
    hook = f"/v1/notice-endpoints/{first['contact_endpoint']}"
    await admin(f"PATCH {hook}", {"events": ["key.leaked"]})
    same = await admin(f"POST {path}/contact", {"contact": OPS})
    assert same.body["contact_endpoint"] == first["contact_endpoint"]
    second = await admin(f"POST {path}/contact", {"contact": NIGHT})
    assert (second.body["contact"], second.body["contact_confirmed_at"]) == (NIGHT, None)
    assert (await admin(f"GET {hook}")).status == 404
    mailboxes = await list_mailboxes(admin, account)
    assert {url: one["events"] for url, one in mailboxes.items()} == {
        f"mailto:{NIGHT}": ["key.leaked"]
    }
    assert (await admin(f"PATCH {path}", {"name": "Stock"})).body["contact"] == NIGHT
    for line in (f"POST {path}/contact", f"PATCH {path}"):
        ended = await admin(line, {"contact": None})
        assert ended.body["contact"] is ended.body["contact_endpoint"] is None
    assert await list_mailboxes(admin, account) == {}


async def test_a_mailbox_that_the_account_has_becomes_its_contact_and_is_not_asked_again(
    admin, account, confirm
):
    named = {"account": account, "url": f"mailto:{OPS}"}
    mailbox = (await admin("POST /v1/notice-endpoints", named)).body["id"]
    await confirm(mailbox)
    changed = await admin(f"POST /v1/accounts/{account}/contact", {"contact": OPS})
    assert changed.body["contact_endpoint"] == mailbox
    assert changed.body["contact_confirmed_at"] is not None
    await admin(f"DELETE /v1/notice-endpoints/{mailbox}")
    assert (await admin(f"GET /v1/accounts/{account}")).body["contact"] is None
    again = await admin(f"POST /v1/accounts/{account}/contact", {"contact": OPS})
    assert (again.status, again.body["contact_confirmed_at"]) == (200, None)


async def test_an_owner_sets_the_contact_of_its_own_account_and_nothing_else_of_it(
    client, database, account
):
    owner, key = await make_caller(client, database, "tokensvc:keys")
    own = key.listed.record.account_id
    changed = await owner(f"POST /v1/accounts/{own}/contact", {"contact": OPS})
    assert (changed.status, changed.body["contact"]) == (200, OPS)
    assert (await owner(f"PATCH /v1/accounts/{own}", {"contact": NIGHT})).status == 403
    assert (await owner(f"POST /v1/accounts/{account}/contact", {"contact": OPS})).status == 404
    stale = {"If-Match": '"x"'}
    refused = await owner(f"POST /v1/accounts/{own}/contact", {"contact": NIGHT}, headers=stale)
    assert refused.status == 412


async def test_the_audit_trail_says_that_the_contact_was_changed_and_holds_no_address(
    admin, account
):
    for address in (OPS, NIGHT):
        await admin(f"POST /v1/accounts/{account}/contact", {"contact": address})
    events = (await admin(f"GET /v1/audit-events?subject={account}")).body["items"]
    assert [event["operation"] for event in events[:2]] == ["accounts.set-contact"] * 2
    assert events[0]["detail"]["before"] == events[1]["detail"]["after"]
    everything = await admin("GET /v1/audit-events?limit=100")
    done = [event["operation"] for event in everything.body["items"]]
    assert done.count("notice-endpoints.create") == 2
    assert done.count("notice-endpoints.delete") == 1
    assert not {OPS, NIGHT} & set(str(everything.body).replace("'", " ").split())


@pytest.mark.parametrize(
    "contact", ["", "nobody", "mailto:a@example.com", "a@b.example,c@d.example"]
)
async def test_what_is_no_address_is_refused(admin, account, contact):
    refused = await admin(f"POST /v1/accounts/{account}/contact", {"contact": contact})
    assert (refused.status, list(refused.faults)) == (400, ["#/contact"])


async def test_t47_an_account_names_ten_contacts_a_day(admin, account):
    path = f"POST /v1/accounts/{account}/contact"
    for number in range(10):
        assert (await admin(path, {"contact": f"a{number}@example.com"})).status == 200
    assert (await admin(path, {"contact": OPS})).status == 409
    assert (await admin(path, {"contact": None})).status == 200


async def test_without_a_mail_server_there_is_no_contact(new_client, started, settings):
    client = await new_client(settings.model_copy(update={"smtp_url": None}))
    caller = Caller(client, started.admin.key.text)
    refused = await caller("POST /v1/accounts", {"name": "x", "contact": OPS})
    assert (refused.status, list(refused.faults)) == (400, ["#/contact"])
    assert "TOKENSVC_SMTP_URL" in refused.body["detail"]
