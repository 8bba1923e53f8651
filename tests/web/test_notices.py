"""Notices over HTTP: endpoints, deliveries, events, and the page that confirms a mailbox."""

from __future__ import annotations

import asyncio
import re
from email import message_from_string, policy

import pytest
from aiohttp import MultipartWriter
from testbed.waiting import until
from tests.integration.receiving import Receiver
from tests.integration.things import list_acts, make_key
from tests.web.operating import Caller, make_caller

from tokensvc.issuer.notices.acts import plan_acts_once

HOOK = "https://hooks.example/x"


class MailServer:
    """Takes every mail and keeps it."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.port = 0

    async def talk(self, reader, writer):
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(text[:-5].decode().replace("\r\n", "\n"))
                writer.write(b"250 kept\r\n")
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 yes\r\n")
        writer.close()


@pytest.fixture
async def mail_server():
    made = MailServer()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
def settings(settings, mail_server):
    return settings.model_validate(
        settings.model_dump()
        | {
            "notice_allowed_networks": "127.0.0.0/8",
            "smtp_url": f"smtp://127.0.0.1:{mail_server.port}",
            "smtp_from": "tokens@example.com",
        }
    )


@pytest.fixture
async def receiver():
    made = Receiver()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
async def admin(client, database):
    return (await make_caller(client, database, "tokensvc:admin"))[0]


def read_text(mail):
    return message_from_string(mail, policy=policy.default).get_content()


def find_unsubscription(mail):
    """Return the path of the link that ends the notices."""
    header = message_from_string(mail, policy=policy.default)["List-Unsubscribe"]
    return header[header.index("/notices/unsubscribe?") : -1]


async def test_an_endpoint_is_made_tested_and_told_of_what_happens(admin, receiver, database):
    made = await admin("POST /v1/notice-endpoints", {"url": receiver.url})
    assert (made.status, made.body["state"], made.body["kind"]) == (201, "active", "webhook")
    assert made.body["secret"].startswith("whsec_")
    path = f"/v1/notice-endpoints/{made.body['id']}"
    assert made.headers["Location"].endswith(path)
    shown = await admin(f"GET {path}")
    assert "secret" not in shown.body
    versions = {answer.headers["ETag"].partition(".")[0] for answer in (made, shown)}
    assert len(versions) == 1
    tested = await admin(f"POST {path}/test", {})
    assert (tested.body["event"], tested.body["state"]) == ("notice.test", "waiting")
    await make_key(database)
    await until(lambda: {"notice.test", "key.created"} <= set(receiver.events))
    receiver.got[0].check(made.body["secret"])
    listed = await admin(f"GET /v1/notice-deliveries?endpoint={made.body['id']}&state=delivered")
    assert {item["event"] for item in listed.body["items"]} >= {"notice.test"}
    count = len(receiver.got)
    again = await admin(f"POST /v1/notice-deliveries/{tested.body['id']}/redeliver", {})
    assert again.body["notice"] == tested.body["notice"]
    await until(lambda: len(receiver.got) > count)
    events = await admin("GET /v1/notices?event=key.created")
    assert {item["event"] for item in events.body["items"]} == {"key.created"}


async def test_an_owner_has_endpoints_of_its_own_account_and_learns_nothing_of_others(
    client, database, admin
):
    owner, key = await make_caller(client, database, "tokensvc:keys")
    account = key.listed.record.account_id
    own = await owner("POST /v1/notice-endpoints", {"url": HOOK, "events": ["key.idle"]})
    assert (own.status, own.body["account"]) == (201, account)
    of_service = await admin("POST /v1/notice-endpoints", {"url": HOOK})
    assert of_service.body["account"] is None
    other, _ = await make_caller(client, database, "tokensvc:keys")
    await plan_acts_once(database)
    path = f"/v1/notice-endpoints/{own.body['id']}"
    assert (await owner(f"GET {path}")).status == 200
    foreign = f"/v1/notice-endpoints/{of_service.body['id']}"
    for line, body in (
        (f"GET {foreign}", None),
        (f"PATCH {foreign}", {"enabled": False}),
        (f"POST {foreign}/rotate-secret", {}),
        (f"POST {foreign}/test", {}),
        (f"DELETE {foreign}", None),
    ):
        assert (await owner(line, body)).status == 404
        assert (await other(line.replace(foreign, path), body)).status == 404
    for caller, count in ((owner, 1), (other, 0), (admin, 2)):
        assert len((await caller("GET /v1/notice-endpoints")).body["items"]) == count
    seen = (await owner("GET /v1/notices")).body["items"]
    assert {event["account"] for event in seen} == {account}
    tested = (await admin(f"POST {foreign}/test", {})).body["id"]
    assert (await owner(f"POST /v1/notice-deliveries/{tested}/redeliver", {})).status == 404
    assert (await owner("GET /v1/notice-deliveries")).body["items"] == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": HOOK, "events": ["key.nothing"]}, "#/events/0"),
        ({"url": "ftp://hooks.example/"}, "#/url"),
        ({"url": "https://u:p@hooks.example/"}, "#/url"),
        ({"url": "mailto:nobody"}, "#/url"),
        ({}, "#/url"),
        ({"url": HOOK, "secret": "whsec_x"}, "#/secret"),
    ],
)
async def test_what_is_no_endpoint_is_refused(admin, body, pointer):
    refused = await admin("POST /v1/notice-endpoints", body)
    assert (refused.status, refused.code) == (400, "invalid_input")
    assert list(refused.faults) == [pointer]


async def test_an_account_cannot_subscribe_to_what_is_about_the_service(client, database):
    owner, _ = await make_caller(client, database, "tokensvc:keys")
    refused = await owner(
        "POST /v1/notice-endpoints", {"url": HOOK, "events": ["signing_key.rotated"]}
    )
    assert (refused.status, refused.code) == (400, "invalid_input")


async def test_an_endpoint_is_changed_disabled_and_deleted(admin):
    made = (await admin("POST /v1/notice-endpoints", {"url": HOOK})).body
    path = f"/v1/notice-endpoints/{made['id']}"
    changed = await admin(
        f"PATCH {path}", {"url": HOOK + "2", "events": ["key.idle"], "enabled": False}
    )
    assert (changed.body["url"], changed.body["events"]) == (HOOK + "2", ["key.idle"])
    assert (changed.body["state"], changed.body["disabled_because"]) == ("disabled", "asked")
    assert (await admin(f"POST {path}/test", {})).status == 409
    enabled = await admin(f"PATCH {path}", {"enabled": True})
    assert enabled.body["state"] == "active"
    turned = await admin(f"POST {path}/rotate-secret", {"grace": 60})
    assert turned.body["secret"] != made["secret"]
    assert turned.body["old_secret_until"] is not None
    stale = {"If-Match": '"x"'}
    assert (await admin(f"DELETE {path}", headers=stale)).status == 412
    assert (await admin(f"DELETE {path}")).body["state"] == "deleted"
    assert (await admin(f"GET {path}")).status == 404


async def test_a_repeated_request_makes_one_endpoint_and_tells_its_secret_again(admin):
    named = {"Idempotency-Key": "hook-1"}
    one, two = [
        await admin("POST /v1/notice-endpoints", {"url": HOOK}, headers=named) for _ in range(2)
    ]
    assert one.body["secret"] == two.body["secret"]
    assert (one.body["id"], two.body["replayed"]) == (two.body["id"], True)


async def test_t47_there_is_an_end_to_the_endpoints_of_an_account(client, database):
    owner, _ = await make_caller(client, database, "tokensvc:keys")
    for _ in range(10):
        made = await owner("POST /v1/notice-endpoints", {"url": "mailto:a@example.com"})
        assert made.status == 201
        await owner(f"DELETE /v1/notice-endpoints/{made.body['id']}")
    refused = await owner("POST /v1/notice-endpoints", {"url": "mailto:a@example.com"})
    assert refused.status == 409  # each of them was sent a mail, and that does not end with it
    for _ in range(20):
        assert (await owner("POST /v1/notice-endpoints", {"url": HOOK})).status == 201
    assert (await owner("POST /v1/notice-endpoints", {"url": HOOK})).status == 409


async def test_t47_an_account_has_ten_links_sent_a_day_however_it_asks_for_them(
    client, database, connection
):
    owner, _ = await make_caller(client, database, "tokensvc:keys")
    made = (await owner("POST /v1/notice-endpoints", {"url": "mailto:jo@example.com"})).body
    path = f"/v1/notice-endpoints/{made['id']}"
    for _ in range(9):
        assert (await owner(f"POST {path}/test", {})).status < 300
    refused = await owner(f"POST {path}/test", {})
    assert (refused.status, "10 links" in refused.body["detail"]) == (409, True)
    (sent, *_) = (await owner(f"GET /v1/notice-deliveries?endpoint={made['id']}")).body["items"]
    again = await owner(f"POST /v1/notice-deliveries/{sent['id']}/redeliver", {})
    assert again.status == 409
    other = await owner("POST /v1/notice-endpoints", {"url": "mailto:bo@example.com"})
    assert other.status == 409
    assert (await owner("POST /v1/notice-endpoints", {"url": HOOK})).status == 201
    await connection.execute("update notice_event set at = at - interval '1 day'")
    assert (await owner(f"POST {path}/test", {})).status < 300


async def test_t47_a_mailbox_gets_a_link_and_nothing_else_before_it_is_confirmed(
    client, database, mail_server, connection
):
    owner, key = await make_caller(client, database, "tokensvc:keys")
    made = await owner("POST /v1/notice-endpoints", {"url": "mailto:jo@example.com"})
    assert (made.body["state"], made.body["secret"]) == ("unconfirmed", None)
    account = key.listed.record.account_id
    await make_key(database, account=account)
    await until(lambda: mail_server.mails)
    await plan_acts_once(database)
    mail = message_from_string(mail_server.mails[0])
    assert (mail["To"], mail["From"]) == ("jo@example.com", "tokens@example.com")
    assert mail["Auto-Submitted"] == "auto-generated"
    (link,) = re.findall(r"\S+/notices/confirm\?\S+", read_text(mail_server.mails[0]))
    path = link.partition("8080")[2] or link[link.index("/notices") :]
    async with client.get(path) as page:
        text = await page.text()
        assert (page.status, page.content_type) == (200, "text/html")
        assert "<button>Confirm</button>" in text
        assert "jo@example.com" in text
        assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    shown = await owner(f"GET /v1/notice-endpoints/{made.body['id']}")
    assert shown.body["state"] == "unconfirmed"  # to open the page changes nothing
    code = path.partition("code=")[2]
    async with client.post("/notices/confirm", params={"code": code}) as page:
        assert (page.status, "Confirmed" in await page.text()) == (200, True)
    shown = await owner(f"GET /v1/notice-endpoints/{made.body['id']}")
    assert shown.body["state"] == "active"
    async with client.get(path) as page:
        assert "Already confirmed" in await page.text()
    assert len(mail_server.mails) == 1
    await connection.execute("update notice_endpoint set leased_until = '-infinity'")
    await make_key(database, account=account, name="two")
    await until(lambda: len(mail_server.mails) == 2)
    text = read_text(mail_server.mails[1])
    assert "API key 'two'" in text
    assert "tsk-" not in mail_server.mails[1].replace(key.listed.record.hint[:4], "")


async def test_t47_whoever_reads_a_mailbox_ends_the_notices_to_it_by_one_click(
    client, database, mail_server, connection
):
    owner, key = await make_caller(client, database, "tokensvc:keys")
    account = key.listed.record.account_id
    hook = (await owner("POST /v1/notice-endpoints", {"url": HOOK})).body
    made = (await owner("POST /v1/notice-endpoints", {"url": "mailto:jo@example.com"})).body
    path = f"/v1/notice-endpoints/{made['id']}"
    await until(lambda: mail_server.mails)
    (confirming,) = re.findall(r"/notices/confirm\?\S+", read_text(mail_server.mails[0]))
    link = find_unsubscription(mail_server.mails[0])
    assert (await client.post(confirming)).status == 200
    async with client.get(link) as page:
        assert "<button>Unsubscribe</button>" in await page.text()
    assert (await owner(f"GET {path}")).body["state"] == "active"  # opening it changes nothing
    await make_key(database, account=account)
    waiting = f"GET /v1/notice-deliveries?endpoint={made['id']}&state="

    async def is_waiting():
        return (await owner(f"{waiting}waiting")).body["items"]

    await until(is_waiting)  # it is told within a minute, which is not waited for
    # As mail programs send it: RFC 8058 section 3.2.
    body = MultipartWriter("form-data")
    body.append("One-Click").set_content_disposition("form-data", name="List-Unsubscribe")
    async with client.post(link, data=body) as page:
        assert (page.status, "Unsubscribed" in await page.text()) == (200, True)
    async with client.get(link) as page:
        assert "Already unsubscribed" in await page.text()
    shown = (await owner(f"GET {path}")).body
    assert (shown["state"], shown["disabled_because"]) == ("disabled", "unsubscribed")
    assert (await list_acts(database, made["id"]))[-1] == "notice-endpoints.disable"
    await plan_acts_once(database)
    told = await owner(f"GET /v1/notice-deliveries?endpoint={hook['id']}")
    assert "endpoint.disabled" in [each["event"] for each in told.body["items"]]
    # Whoever enables it again has only a new link sent, and nothing that had waited.
    enabled = await owner(f"PATCH {path}", {"enabled": True})
    assert enabled.body["state"] == "unconfirmed"
    await connection.execute("update notice_endpoint set leased_until = '-infinity'")

    async def is_through():
        return not await is_waiting()

    await until(is_through)
    failed = (await owner(f"{waiting}failed")).body["items"]
    assert [(each["event"], each["error"]) for each in failed] == [("key.created", "not_confirmed")]
    before = len(mail_server.mails)
    assert (await owner(f"POST {path}/test", {})).status < 300
    await connection.execute("update notice_endpoint set leased_until = '-infinity'")
    await until(lambda: len(mail_server.mails) == before + 1)
    assert "/notices/confirm?" in read_text(mail_server.mails[-1])
    assert (await client.post(confirming)).status == 200
    assert (await owner(f"GET {path}")).body["state"] == "active"


@pytest.mark.parametrize("code", ["", "x", "hook_0000000000000000.1." + "A" * 43])
async def test_a_link_that_is_not_good_does_nothing(client, code):
    for answer in (
        client.get("/notices/confirm", params={"code": code}),
        client.post("/notices/confirm", params={"code": code}),
        client.get("/notices/unsubscribe", params={"code": code}),
        client.post("/notices/unsubscribe", params={"code": code}),
    ):
        async with answer as page:
            assert (page.status, page.content_type) == (404, "text/html")
            assert "Link not good" in await page.text()


async def test_without_a_mail_server_there_are_no_mailboxes(new_client, started, settings):
    client = await new_client(settings.model_copy(update={"smtp_url": None}))
    caller = Caller(client, started.admin.key.text)
    refused = await caller("POST /v1/notice-endpoints", {"url": "mailto:a@example.com"})
    assert (refused.status, "TOKENSVC_SMTP_URL" in refused.body["detail"]) == (400, True)
