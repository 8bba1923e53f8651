from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from testbed.waiting import PATIENCE
from tests.integration.things import make_key, make_refused_keys
from tests.web.asking import CHALLENGES, FORMS, TOKEN_EXCHANGE, URLENCODED, Asked, ask, basic, send

from tokensvc.core.api_key import new_api_key
from tokensvc.web.app_keys import IN_FLIGHT
from tokensvc.web.forms import read_form
from tokensvc.web.in_flight import InFlight
from tokensvc.web.middleware import handle_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REFUSED = {"error": "invalid_client", "error_description": "the API key is not accepted"}
NO_KEY_CAME = {
    "error": "invalid_client",
    "error_description": "no API key came: send the header `Authorization: Bearer <API key>`",
}
REFUSED_SUBJECT = {
    "error": "invalid_request",
    "error_description": "the subject_token is not accepted",
}


@dataclass(frozen=True, kw_only=True)
class Bad:
    """What is wrong with an otherwise good request, and the answer to it.

    `reason` is the one in the log; it is the error if none is given.
    """

    description: str
    status: int = 400
    error: str = "invalid_request"
    reason: str = ""
    fields: tuple[tuple[str, str], ...] = ()  # replace or are added
    twice: tuple[tuple[str, str], ...] = ()  # are added whatever is there
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = URLENCODED
    body: bytes | None = None
    chunked: bool = False


NOT_A_FORM = "the body must be application/x-www-form-urlencoded, in UTF-8"
NOT_PARSED = "the body is not a form in UTF-8 with at most 50 parameters"
TWICE = "a parameter stands twice"
NO_SUCH_AUDIENCE = "unknown audience: "
TWO_AUDIENCES = "a token is for one audience: audience or resource stands twice"
BAD_SCOPE = "scope must be capability names separated by single spaces"
TOO_WIDE = "scope asks for more than this key or token has: "
BAD_RESOURCE = "resource must be an absolute URI without a fragment (RFC 8707 section 2)"
BAD_LIFE = "expires_in must be a whole number of seconds, at least 1"
TOO_LARGE = "the body is too large"
MALFORMED_HEADER = "the Authorization header is malformed: send one, with one credential"

IN_EVERY_FORM = {
    "plain text": Bad(
        description=NOT_A_FORM, content_type="text/plain", body=b"scope=orders%3Aread"
    ),
    "a JSON body": Bad(
        description=NOT_A_FORM, content_type="application/json", body=b'{"scope": "orders:read"}'
    ),
    "multipart": Bad(
        description=NOT_A_FORM, content_type="multipart/form-data; boundary=x", body=b"--x--"
    ),
    "Latin-1": Bad(
        description=NOT_A_FORM,
        content_type=f"{URLENCODED}; charset=iso-8859-1",
        body=b"scope=orders\xe9",
    ),
    "UTF-16": Bad(
        description=NOT_A_FORM,
        content_type=f"{URLENCODED}; charset=utf-16",
        body=b"scope=orders%3Aread",
    ),
    "over 16 KiB": Bad(
        status=413, error="content_too_large", description=TOO_LARGE, fields=(("x", "y" * 17_000),)
    ),
    "over 16 KiB in chunks": Bad(
        status=413,
        error="content_too_large",
        description=TOO_LARGE,
        fields=(("x", "y" * 17_000),),
        chunked=True,
    ),
    "scope twice": Bad(
        description=TWICE, twice=(("scope", "orders:read"), ("scope", "orders:read"))
    ),
    "an unknown parameter twice": Bad(description=TWICE, twice=(("x", "1"), ("x", "2"))),
    "a parameter twice, once without a value": Bad(
        description=TWICE, twice=(("scope", ""), ("scope", "orders:read"))
    ),
    "51 parameters": Bad(description=NOT_PARSED, twice=tuple((f"x{i}", "y") for i in range(51))),
    "an unknown grant": Bad(
        error="unsupported_grant_type",
        description="grant_type must be client_credentials or the token-exchange grant",
        fields=(("grant_type", "password"),),
    ),
    "a malformed scope": Bad(
        error="invalid_scope",
        description=BAD_SCOPE,
        fields=(("scope", "orders:read  orders:write"),),
    ),
    "a scope of quotes": Bad(
        error="invalid_scope", description=BAD_SCOPE, fields=(("scope", '"orders:read"'),)
    ),
    "an unknown scope": Bad(
        error="invalid_scope",
        description=f"{TOO_WIDE}nothing:like-it",
        fields=(("scope", "nothing:like-it"),),
    ),
    "a wider scope": Bad(
        error="invalid_scope",
        description=f"{TOO_WIDE}tokensvc:admin",
        fields=(("scope", "orders:read tokensvc:admin"),),
    ),
    "a scope that is an API key": Bad(
        error="invalid_scope",
        description=f"{TOO_WIDE}[masked]",
        fields=(("scope", new_api_key().text),),
    ),
    "a much wider scope": Bad(
        error="invalid_scope",
        description=f"{TOO_WIDE}a1 a2 a3 a4 a5 ...",
        fields=(("scope", "orders:read a6 a5 a4 a3 a2 a1"),),
    ),
    "an unknown audience": Bad(
        error="invalid_target",
        description=f"{NO_SUCH_AUDIENCE}elsewhere",
        fields=(("audience", "elsewhere"),),
    ),
    "an audience in another case": Bad(
        error="invalid_target",
        description=f"{NO_SUCH_AUDIENCE}API",
        fields=(("audience", "API"),),
    ),
    "an audience that may not stand in an answer": Bad(
        error="invalid_target",
        description="unknown audience",
        fields=(("audience", 'say "hi"\r\n'),),
    ),
    "an unknown resource": Bad(
        error="invalid_target",
        description=f"{NO_SUCH_AUDIENCE}https://x.example",
        fields=(("resource", "https://x.example"),),
    ),
    "two audiences": Bad(
        error="invalid_target",
        description=TWO_AUDIENCES,
        twice=(("audience", "api"), ("audience", "other")),
    ),
    "two resources": Bad(
        error="invalid_target",
        description=TWO_AUDIENCES,
        twice=(("resource", "a:b"), ("resource", "a:b")),
    ),
    "audience and another resource": Bad(
        error="invalid_target",
        description="a token is for one audience: audience and resource differ",
        fields=(("audience", "api"), ("resource", "https://x.example")),
    ),
    "a resource with a fragment": Bad(
        error="invalid_target",
        description=BAD_RESOURCE,
        fields=(("resource", "https://x.example#f"),),
    ),
    "a resource with an empty fragment": Bad(
        error="invalid_target",
        description=BAD_RESOURCE,
        fields=(("resource", "https://x.example#"),),
    ),
    "a relative resource": Bad(
        error="invalid_target", description=BAD_RESOURCE, fields=(("resource", "orders"),)
    ),
    "a resource that is no URI": Bad(
        error="invalid_target", description=BAD_RESOURCE, fields=(("resource", "https://[x"),)
    ),
    "NUL in a value": Bad(
        description="the body holds a NUL character", fields=(("scope", "orders:read\0"),)
    ),
    "NUL in a name": Bad(description="the body holds a NUL character", fields=(("x\0", "y"),)),
    "invalid UTF-8": Bad(description=NOT_PARSED, body=b"scope=\xff\xfe"),
    "invalid UTF-8, percent-encoded": Bad(description=NOT_PARSED, body=b"scope=%ff%fe"),
    "a life of words": Bad(description=BAD_LIFE, fields=(("expires_in", "soon"),)),
    "a life of zero": Bad(description=BAD_LIFE, fields=(("expires_in", "0"),)),
    "a negative life": Bad(description=BAD_LIFE, fields=(("expires_in", "-5"),)),
    "a fractional life": Bad(description=BAD_LIFE, fields=(("expires_in", "1.5"),)),
    "a life in foreign digits": Bad(description=BAD_LIFE, fields=(("expires_in", "٦٠"),)),
    "a life beyond all numbers": Bad(description=BAD_LIFE, fields=(("expires_in", "9" * 5000),)),
    "two Authorization headers": Bad(
        description=MALFORMED_HEADER,
        reason="two_authorization_headers",
        headers=(("Authorization", "Bearer one"), ("Authorization", "Bearer two")),
    ),
}

TWO_CREDENTIALS = "two credentials: the Authorization header and client_secret"
NEEDS_GRANT = "grant_type is required with Basic authentication and with client_secret"
IN_ONE_FORM = {
    ("bearer", "with client_secret"): Bad(
        description=TWO_CREDENTIALS, fields=(("client_secret", "x"),)
    ),
    ("bearer", "as client_credentials with client_secret"): Bad(
        description=TWO_CREDENTIALS,
        fields=(("grant_type", "client_credentials"), ("client_secret", "x")),
    ),
    ("basic", "with client_secret"): Bad(
        description=TWO_CREDENTIALS, fields=(("client_secret", "x"),)
    ),
    ("basic", "without grant_type"): Bad(description=NEEDS_GRANT, fields=(("grant_type", ""),)),
    ("basic", "with another client_id"): Bad(
        description="client_id in the body is not the user of the Authorization header",
        fields=(("client_id", "key_0000000000000000"),),
    ),
    ("post", "with a header"): Bad(
        description=TWO_CREDENTIALS, headers=(("Authorization", "Bearer x"),)
    ),
    ("post", "without grant_type"): Bad(description=NEEDS_GRANT, fields=(("grant_type", ""),)),
    ("exchange", "with a header and client_secret"): Bad(
        description=TWO_CREDENTIALS,
        headers=(("Authorization", "Bearer x"),),
        fields=(("client_secret", "x"),),
    ),
    ("exchange", "with an actor"): Bad(
        description="actor_token is not supported", fields=(("actor_token", "x"),)
    ),
    ("exchange", "for a refresh token"): Bad(
        description="requested_token_type must be the access_token or jwt type",
        fields=(("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),),
    ),
    ("exchange", "without subject_token"): Bad(
        description="subject_token and subject_token_type are required (RFC 8693 section 2.1)",
        fields=(("subject_token", ""),),
    ),
    ("exchange", "without subject_token_type"): Bad(
        description="subject_token and subject_token_type are required (RFC 8693 section 2.1)",
        fields=(("subject_token_type", ""),),
    ),
    ("exchange", "of an id_token"): Bad(
        description="subject_token_type must be urn:tokensvc:params:oauth:token-type:api-key, "
        "urn:ietf:params:oauth:token-type:access_token or urn:ietf:params:oauth:token-type:jwt",
        fields=(("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),),
    ),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_bad_request_gets_its_answer_and_its_log_line(
    form, client, database, logs, subtests
):
    key = await make_key(database)
    good = ask(form, key.key.text, key.listed.record.id)
    cases = IN_EVERY_FORM | {
        f"{form} {name}": bad for (of, name), bad in IN_ONE_FORM.items() if of == form
    }
    for number, (name, bad) in enumerate(cases.items()):
        with subtests.test(msg=name):
            asked = _spoil(good, bad)
            body = _in_chunks(urlencode(asked.fields).encode()) if bad.chunked else bad.body
            answer = await send(
                client, asked, request_id=f"case-{number}", body=body, content_type=bad.content_type
            )
            assert (answer.status, await answer.json()) == (
                bad.status,
                {"error": bad.error, "error_description": bad.description},
            )
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Pragma"] == "no-cache"
            assert "WWW-Authenticate" not in answer.headers
            assert _log_line(logs, f"case-{number}") == (bad.status, bad.reason or bad.error)
    assert (await send(client, good)).status == 200, (
        "the request that the cases spoil must be a good one"
    )


@pytest.mark.parametrize("form", FORMS)
async def test_t20_t32_every_refused_key_looks_the_same_outside_and_has_its_reason_in_the_log(
    form, client, database, connection, logs, subtests
):
    good = await make_key(database)
    keys = {
        reason: (key.key.text, key.listed.record.id)
        for reason, key in (await make_refused_keys(database, connection)).items()
    }
    text, last = good.key.text, good.key.text[-1]
    keys |= {
        "mistyped": (text[:-1] + ("a" if last != "a" else "b"), good.listed.record.id),
        "too short": (text[:-1], good.listed.record.id),
        "of another prefix": ("key-" + text[4:], good.listed.record.id),
        "junk": ("drop/table/api_key", good.listed.record.id),
        "unknown": (new_api_key().text, good.listed.record.id),
    }
    reasons = {"deleted": "unknown_key", "unknown": "unknown_key"}
    reasons |= dict.fromkeys(
        ("mistyped", "too short", "of another prefix", "junk"), "malformed_key"
    )
    for number, (name, (key, key_id)) in enumerate(keys.items()):
        with subtests.test(msg=name):
            answer = await send(client, ask(form, key, key_id), request_id=f"case-{number}")
            status, body = (400, REFUSED_SUBJECT) if form == "exchange" else (401, REFUSED)
            assert (answer.status, await answer.json()) == (status, body)
            assert answer.headers.get("WWW-Authenticate") == CHALLENGES.get(form)
            assert answer.headers["Cache-Control"] == "no-store"
            assert _log_line(logs, f"case-{number}") == (status, reasons.get(name, name))


USELESS_HEADERS: dict[str, tuple[tuple[str, str], str, str]] = {
    "no colon in Basic": (("Authorization", "Basic bm9jb2xvbg=="), "Basic", "malformed_basic"),
    "no base64 in Basic": (("Authorization", "Basic !!!"), "Basic", "malformed_basic"),
    "no UTF-8 in Basic": (("Authorization", "Basic //79"), "Basic", "malformed_basic"),
    "a NUL in Basic": (("Authorization", "Basic a2V5XyUwMDprLXg="), "Basic", "malformed_basic"),
    "nothing in Basic": (("Authorization", "Basic"), "Basic", "malformed_basic"),
    "another scheme": (("Authorization", "Digest x"), "Bearer", "unknown_scheme"),
    "an empty header": (("Authorization", ""), "Bearer", "unknown_scheme"),
}


async def test_an_authorization_header_of_no_use_is_a_refused_client(client, logs, subtests):
    for number, (name, (header, challenge, reason)) in enumerate(USELESS_HEADERS.items()):
        with subtests.test(msg=name):
            asked = Asked(headers=(header,), fields=(("grant_type", "client_credentials"),))
            answer = await send(client, asked, request_id=f"case-{number}")
            assert (answer.status, await answer.json()) == (401, NO_KEY_CAME)
            assert (
                answer.headers["WWW-Authenticate"]
                == f'{challenge} realm="tokensvc", error="invalid_client"'
            )
            assert _log_line(logs, f"case-{number}") == (401, reason)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Bearer", "empty_bearer"),
        ("Bearer '; drop table api_key; --", "malformed_bearer"),
        ("Bearer a, Bearer b", "two_authorization_headers"),
        ("Basic YTpi, Basic YTpi", "two_authorization_headers"),
    ],
)
async def test_a_malformed_authorization_header_is_a_malformed_request(
    header, reason, client, logs
):
    answer = await send(client, Asked(headers=(("Authorization", header),)))
    assert (answer.status, await answer.json()) == (
        400,
        {"error": "invalid_request", "error_description": MALFORMED_HEADER},
    )
    assert "WWW-Authenticate" not in answer.headers
    assert _log_line(logs, "test") == (400, reason)


@pytest.mark.parametrize(
    ("fields", "status", "reason", "challenge"),
    [
        ((), 401, "no_credentials", "Bearer"),
        ((("grant_type", "client_credentials"),), 401, "no_credentials", "Basic"),
        ((("grant_type", TOKEN_EXCHANGE),), 400, "invalid_request", None),
    ],
)
async def test_a_request_without_credentials_is_refused(
    fields, status, reason, challenge, client, logs
):
    answer = await send(client, Asked(fields=fields))
    assert answer.status == status
    assert status == 400 or await answer.json() == NO_KEY_CAME
    assert answer.headers.get("WWW-Authenticate", "").partition(" ")[0] == (challenge or "")
    assert _log_line(logs, "test") == (status, reason)


@pytest.mark.parametrize("charset", ["ISO-8859-1", "us-ascii", "windows-1252", '"UTF-8"'])
async def test_another_charset_passes_if_nothing_in_the_body_depends_on_it(
    client, database, charset
):
    answer = await client.post(
        "/v1/token",
        data=b"scope=orders%3Aread",
        headers={
            "Authorization": f"Bearer {(await make_key(database)).key.text}",
            "Content-Type": f"{URLENCODED}; charset={charset}",
        },
    )
    assert (answer.status, (await answer.json())["scope"]) == (200, "orders:read")


async def test_the_right_key_under_the_id_of_another_is_refused(client, database, logs):
    key, other = await make_key(database), await make_key(database)
    for number, form in enumerate(("basic", "post")):
        answer = await send(
            client, ask(form, key.key.text, other.listed.record.id), request_id=f"case-{number}"
        )
        assert (answer.status, await answer.json()) == (401, REFUSED)
        assert _log_line(logs, f"case-{number}") == (401, "wrong_client_id")
    for client_id, status in ((other.listed.record.id, 401), (key.listed.record.id, 200)):
        asked = replace(ask("bearer", key.key.text, ""), fields=(("client_id", client_id),))
        assert (await send(client, asked)).status == status
    nobody = Asked(fields=(("grant_type", "client_credentials"), ("client_secret", key.key.text)))
    assert (await send(client, nobody)).status == 401


async def test_parameters_in_the_url_are_refused_and_not_logged(client, database, logs):
    key = await make_key(database)
    for path in ("/v1/token", "/v1/revoke"):
        answer = await client.post(
            f"{path}?client_secret={key.key.text}",
            headers={"Authorization": f"Bearer {key.key.text}"},
        )
        assert answer.status == 400
        assert await answer.json() == {
            "error": "invalid_request",
            "error_description": "send parameters in the body, not in the URL: URLs end up in logs",
        }
    assert key.key.text not in logs.stream.getvalue()


async def test_another_method_is_told_which_one_to_use(client, logs):
    for path in ("/v1/token", "/v1/revoke", "/v1/introspect"):
        answer = await client.get(path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert await answer.json() == {
            "error": "method_not_allowed",
            "error_description": "use POST",
        }
    assert {line["reason"] for line in logs.find("request")} == {"method_not_allowed"}


async def test_f12_a_body_that_stalls_is_given_up(aiohttp_server, logs):
    async def read_impatiently(request):
        return web.json_response(await read_form(request, patience=0.2))

    app = web.Application(middlewares=[handle_errors])
    app[IN_FLIGHT] = InFlight()
    app.router.add_post("/v1/token", read_impatiently)
    server = await aiohttp_server(app)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    head = f"Host: x\r\nContent-Type: {URLENCODED}\r\nContent-Length: 100\r\n"
    writer.write(f"POST /v1/token HTTP/1.1\r\n{head}\r\nscope=".encode())
    async with asyncio.timeout(PATIENCE):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(answer.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
    writer.close()
    assert answer.startswith("HTTP/1.1 408 ")
    assert body == {
        "error": "request_timeout",
        "error_description": "the body did not arrive in time",
    }
    assert [(line["status"], line["reason"]) for line in logs.find("request")] == [
        (408, "request_timeout")
    ]


async def test_f13_a_header_of_100_kilobytes_is_refused_and_not_logged(client, logs):
    answer = await client.post(
        "/v1/token", headers={"Authorization": f"Bearer {'Zm9yZ2Vk' * 12_800}"}
    )
    assert answer.status in {400, 431}
    assert "Zm9yZ2VkZm9yZ2Vk" not in logs.stream.getvalue()


async def test_percent_encoded_basic_is_decoded_after_the_colon_is_found(client, database):
    key = await make_key(database)
    encoded = "".join(f"%{ord(c):02x}" for c in key.key.text)
    asked = Asked(
        headers=(basic(key.listed.record.id.replace("_", "%5F"), encoded),),
        fields=(("grant_type", "client_credentials"),),
    )
    assert (await send(client, asked)).status == 200


def _spoil(good: Asked, bad: Bad) -> Asked:
    fields = dict(good.fields) | dict(bad.fields)
    return Asked(headers=(*good.headers, *bad.headers), fields=(*fields.items(), *bad.twice))


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def _log_line(logs: Any, request_id: str) -> tuple[int, str]:
    (line,) = [line for line in logs.find("request") if line["request_id"] == request_id]
    return line["status"], line["reason"]


async def test_basic_that_is_no_ascii_is_a_refused_client(client, logs):
    answer = await client.post(
        "/v1/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": "Basic \u00fc\u00fc"},
    )
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
    assert logs.find("request")[-1]["reason"] == "malformed_basic"


async def test_f13_an_encoded_body_is_refused_before_it_is_unpacked(client):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/v1/token", data=b"junk", headers=headers)
    assert (answer.status, (await answer.json())["error"]) == (415, "unsupported_media_type")
