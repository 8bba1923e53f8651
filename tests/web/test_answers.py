from __future__ import annotations

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key
from tests.rows import load_key
from tests.web.asking import get_token, try_token

from tokensvc.web.problems import build_answer

BREAK_THE_DENYLIST = """
create function break() returns trigger language plpgsql as
$$ begin raise 'the lights went out in %', new.value; end $$;
create trigger break before insert on denylist for each row execute function break();
"""


CHECKS = ("serving", "database", "signing_key", "ledger", "clock")


async def test_the_process_is_alive_and_ready(client):
    live, ready = await client.get("/livez"), await client.get("/readyz")
    assert (live.status, await live.json()) == (200, {"status": "alive"})
    assert ready.status == 200
    assert await ready.json() == {
        "status": "ready",
        "checks": dict.fromkeys(CHECKS, True),
    }
    assert {answer.headers["Cache-Control"] for answer in (live, ready)} == {"no-store"}


async def test_a_process_that_drains_is_alive_and_not_ready(client, service):
    service.drain()
    assert (await client.get("/livez")).status == 200
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert await answer.json() == {
        "status": "not ready",
        "checks": dict.fromkeys(CHECKS, True) | {"serving": False},
    }


async def test_f16_without_a_signing_key_nothing_is_signed(client, key, service, connection):
    await connection.execute("update signing_key set revoked_at = clock_timestamp()")
    await connection.execute("update feed_head set tag = 'changed' where topic = 'signing_key'")
    await service.mirror.refresh_once()
    answer = await client.get("/readyz")
    assert (answer.status, (await answer.json())["checks"]["signing_key"]) == (503, False)
    refused = await try_token(client, key)
    assert (refused.status, (await refused.json())["error"], refused.headers["Retry-After"]) == (
        503,
        "temporarily_unavailable",
        "5",
    )
    assert (await client.get("/v1/denylist")).status == 503
    assert await (await client.get("/.well-known/jwks.json")).json() == {"keys": []}


async def test_what_is_not_there_is_a_problem_document(client, subtests):
    for method, path, status, code, title in (
        ("POST", "/", 405, "method_not_allowed", "This method is not allowed here"),
        ("GET", "/v1/nothing", 404, "not_found", "There is no such thing"),
        ("GET", "/v1/token/", 404, None, None),
        ("POST", "/livez", 405, "method_not_allowed", "This method is not allowed here"),
        ("PUT", "/v1/denylist", 405, "method_not_allowed", "This method is not allowed here"),
        (
            "POST",
            "/.well-known/jwks.json",
            405,
            "method_not_allowed",
            "This method is not allowed here",
        ),
    ):
        with subtests.test(msg=str(method)):
            answer = await client.request(method, path, headers={"X-Request-Id": "none"})
            assert answer.status == status
            if code is None:
                return
            assert answer.content_type == "application/problem+json"
            problem = await answer.json()
            assert problem == {
                "type": f"urn:tokensvc:problem:{code}",
                "title": title,
                "status": status,
                "detail": problem["detail"],
                "code": code,
                "request_id": "none",
            }
            public = ",OPTIONS" if path not in {"/", "/livez"} else ""
            goodbye = "DELETE," if path == "/v1/denylist" else ""
            allowed = f"{goodbye}GET,HEAD{public}" if status == 405 else None
            assert answer.headers.get("Allow") == allowed


@pytest.mark.parametrize("given", ["abc-123_x.y", "a" * 64])
async def test_a_request_id_that_is_given_is_kept(given, client, logs):
    answer = await client.get("/v1/nothing", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == (await answer.json())["request_id"] == given
    assert logs.find("request")[-1]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a;b", "ä", '{"a":1}'])
async def test_t35_a_request_id_that_could_forge_a_log_is_replaced(given, client, logs):
    ids = set()
    for _ in range(2):
        answer = await client.get("/livez", headers={"X-Request-Id": given})
        assert len(answer.headers["X-Request-Id"]) == 16
        assert answer.headers["X-Request-Id"] != given
        ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 2
    assert {line["request_id"] for line in logs.find("request")} == ids


async def test_every_answer_hides_what_we_run_on(client, key):
    answers = [
        await client.get(path)
        for path in ("/livez", "/nothing", "/v1/denylist", "/.well-known/jwks.json")
    ]
    answers += [await try_token(client, key), await client.get("/v1/token")]
    for answer in answers:
        assert answer.headers["Server"] == "tokensvc"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_f39_a_fault_of_ours_shows_nothing_outside_and_everything_in_the_log(
    client, key, connection, logs
):
    token = (await get_token(client, key))["access_token"]
    await connection.execute(BREAK_THE_DENYLIST)
    answer = await client.post(
        "/v1/revoke", data={"token": token}, headers={"X-Request-Id": "broken"}
    )
    assert answer.status == 500
    assert await answer.json() == {
        "error": "server_error",
        "error_description": "the service failed; its log has the cause under the request id",
    }
    (line,) = logs.find("request_failed")
    assert (line["request_id"], line["level"]) == ("broken", "error")
    assert "the lights went out" in line["exception"]
    assert logs.find("request")[-1]["reason"] == "server_error"
    await connection.execute("drop trigger break on denylist")
    assert (await client.post("/v1/revoke", data={"token": token})).status == 200


async def test_a_fault_outside_the_oauth_endpoints_is_a_problem_document(
    client, service, logs, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr(service, "feed", None)
        answer = await client.get("/v1/denylist")
    assert (answer.status, answer.content_type) == (500, "application/problem+json")
    problem = await answer.json()
    assert (problem["code"], problem["title"], problem["request_id"]) == (
        "server_error",
        "The service failed",
        answer.headers["X-Request-Id"],
    )
    assert "NoneType" not in str(problem)
    assert logs.find("request_failed")


async def test_a_key_that_failed_to_commit_is_not_half_made(database, connection, started):
    await connection.execute(
        "create function break() returns trigger language plpgsql as "
        "$$ begin raise 'no audit today'; end $$;"
        "create trigger break before insert on audit_event for each row execute function break()"
    )
    before = await connection.fetchval("select count(*) from api_key")
    with pytest.raises(Exception, match="no audit today"):
        await make_key(database, account=started.admin.listed.record.account_id)
    with pytest.raises(Exception, match="no audit today"):
        await endings.revoke_key(database, started.admin.listed.record.id, actor=ACTOR)
    assert await connection.fetchval("select count(*) from api_key") == before
    assert await connection.fetchval("select count(*) from denylist") == 0
    assert (await load_key(database, started.admin.listed.record.id)).state == "active"


def test_every_status_that_aiohttp_may_raise_has_an_answer(subtests):
    from aiohttp import web  # noqa: PLC0415

    raised = [
        web.HTTPBadRequest(),
        web.HTTPNotFound(),
        web.HTTPMethodNotAllowed("GET", ["POST"]),
        web.HTTPRequestTimeout(),
    ]
    raised += [
        web.HTTPRequestEntityTooLarge(1, 2),
        web.HTTPUnsupportedMediaType(),
        web.HTTPExpectationFailed(),
        web.HTTPForbidden(),
    ]
    for error in raised:
        with subtests.test(msg=type(error).__name__):
            answer, reason = build_answer(
                error, path="/v1/denylist", request_id="x", find_challenge=lambda: "Bearer"
            )
            assert (answer.status, answer.fields["Content-Type"]) == (
                error.status,
                "application/problem+json; charset=utf-8",
            )
            assert reason
