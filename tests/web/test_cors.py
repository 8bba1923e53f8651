"""What scripts of other origins may read in a browser."""

from __future__ import annotations

from tests.factories import make_settings
from tests.web.asking import get_token

PUBLIC = [
    "/v1/denylist",
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
]
CLOSED = ["/v1/token", "/v1/revoke", "/v1/introspect"]
ORIGIN = {"Origin": "https://app.example"}
ASKING = ORIGIN | {
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization,if-none-match",
}


def cors(answer):
    return {
        name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")
    }


async def test_the_published_documents_and_the_feed_are_for_every_origin(client, subtests):
    for path in PUBLIC:
        with subtests.test(msg=path):
            answer = await client.get(path, headers=ORIGIN)
            assert (answer.status, cors(answer)) == (
                200,
                {
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Expose-Headers": "ETag, Retry-After",
                },
            )
            assert "Origin" not in answer.headers.get("Vary", ""), "every origin gets the same"
            if "ETag" in answer.headers:
                again = await client.get(
                    path, headers=ORIGIN | {"If-None-Match": answer.headers["ETag"]}
                )
                assert (again.status, cors(again)) == (304, cors(answer))


async def test_a_browser_may_ask_beforehand(client, subtests):
    for path in PUBLIC:
        with subtests.test(msg=path):
            answer = await client.options(path, headers=ASKING)
            assert (answer.status, await answer.text()) == (204, "")
            assert cors(answer) == {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "GET",
                "Access-Control-Allow-Headers": "If-None-Match, Authorization",
                "Access-Control-Max-Age": "86400",
            }
            assert answer.headers["Allow"] == "GET,HEAD,OPTIONS"


async def test_what_takes_credentials_is_for_no_script_of_another_origin(client, key, subtests):
    for path in CLOSED:
        with subtests.test(msg=path):
            token = (await get_token(client, key))["access_token"]
            for method in ("OPTIONS", "POST", "GET"):
                answer = await client.request(
                    method, path, headers=ASKING | {"Authorization": f"Bearer {token}"}
                )
                assert (answer.status == 405) == (method != "POST")
                assert cors(answer) == {}


async def test_a_script_can_see_why_it_is_refused(started, settings, new_client):
    del started
    values = settings.model_dump(exclude={"database_url", "feed_authentication"}, exclude_none=True)
    client = await new_client(make_settings(**values, feed_authentication="required"))
    assert (await client.options("/v1/denylist", headers=ASKING)).status == 204, (
        "a browser sends no token when it asks beforehand"
    )
    answer = await client.get("/v1/denylist", headers=ORIGIN)
    assert (answer.status, cors(answer)["Access-Control-Allow-Origin"]) == (401, "*")
