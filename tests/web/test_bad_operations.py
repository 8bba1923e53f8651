"""Bad input for operations: a clear 4xx that points at what is wrong, and nothing half done."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.things import make_key
from tests.web.operating import make_caller

SURROGATE = "\\ud800"


async def send(admin, line, text, **headers):
    """Send a body as it is."""
    data = text if isinstance(text, bytes) else text.encode()
    return await admin(line, data=data, headers={"Content-Type": "application/json", **headers})


@pytest.fixture
def wish(account):
    return {"account": account, "name": "ci", "capabilities": ["orders:read"]}


BAD_BODIES = {
    "no JSON": ("{", {"#"}),
    "no UTF-8": (b'{"name": "\xff"}', {"#"}),
    "an array": ("[]", {"#"}),
    "a text": ('"name"', {"#"}),
    "null": ("null", {"#"}),
    "a repeated name": ('{"name": "a", "name": "b"}', {"#/name"}),
    "a repeated name inside": ('{"name": "a", "x": {"b": {"c": 1, "c": 2}}}', {"#/x/b/c"}),
    "deep JSON": ('{"name": ' + "[" * 30 + "]" * 30 + "}", {"#/name"}),
    "very deep JSON": ('{"name": ' + "[" * 30_000 + "]" * 30_000 + "}", {"#", "#/name"}),
    "deep JSON that never ends": ("[" * 60_000, {"#"}),
    "NUL in a text": ('{"name": "a\\u0000b"}', {"#/name"}),
    "NUL in a name": ('{"name": "a", "b\\u0000": 1}', {"#/b\0"}),
    "a lone surrogate in a text": (f'{{"name": "{SURROGATE}"}}', {"#/name"}),
    "a lone surrogate in a name": (f'{{"name": "a", "{SURROGATE}": 1}}', {"#/?"}),
    "NaN": ('{"name": "a", "per_minute": NaN}', {"#"}),
    "a number that is too large": ('{"name": "a", "per_minute": 1e999}', {"#"}),
    "a number of 5,000 digits": ('{"name": "a", "per_minute": ' + "9" * 5000 + "}", {"#"}),
    "an unknown field": ('{"name": "a", "colour": "red"}', {"#/colour"}),
    "a field with a slash": ('{"name": "a", "a/b~c": "red"}', {"#/a~1b~0c"}),
    "a missing field": ("{}", {"#/name"}),
    "no body": ("", {"#/name"}),
    "a wrong type": ('{"name": 7}', {"#/name"}),
    "a number as a text": ('{"name": "a", "per_minute": "7"}', {"#/per_minute"}),
    "a truth as a number": ('{"name": "a", "per_minute": true}', {"#/per_minute"}),
    "a fraction": ('{"name": "a", "per_minute": 1.5}', {"#/per_minute"}),
    "a number below its limit": ('{"name": "a", "per_minute": 0}', {"#/per_minute"}),
    "null where none may be": ('{"name": null}', {"#/name"}),
    "an empty name": ('{"name": ""}', {"#/name"}),
    "several faults": ('{"name": 7, "colour": 1}', {"#/name", "#/colour"}),
}


async def test_a_bad_body_is_refused_with_a_pointer(admin, connection, subtests):
    for what, (body, pointers) in BAD_BODIES.items():
        with subtests.test(msg=what):
            before = await connection.fetchval("select count(*) from account")
            answer = await send(admin, "POST /v1/accounts", body)
            assert (answer.status, answer.code) == (400, "invalid_input"), answer.body
            assert set(answer.faults) <= pointers
            assert set(answer.faults)
            assert len(pointers) > 1 or answer.faults.keys() == pointers
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert await connection.fetchval("select count(*) from account") == before


BAD_FIELDS = {
    "id of another kind": ({"account": "key_0000000000000000"}, "#/account"),
    "an id that is none": ({"account": "7"}, "#/account"),
    "a capability that is none": ({"capabilities": ["orders:read", "a b"]}, "#/capabilities/1"),
    "no capability": ({"capabilities": []}, "#/capabilities"),
    "claims that collide": ({"claims": {"iss": "me"}}, "#/claims"),
    "claims of ours": ({"claims": {"tokensvc_x": 1}}, "#/claims"),
    "CIDR with host bits": ({"networks": ["192.0.2.1/24"]}, "#/networks/0"),
    "a mask that is no prefix": ({"networks": ["10.0.0.0/255.0.0.0"]}, "#/networks/0"),
    "a mask of hosts": ({"networks": ["10.0.0.0/0.255.255.255"]}, "#/networks/0"),
    "an unknown audience": ({"audiences": ["nobody"]}, "#/audiences"),
    "a network with a zone": ({"networks": ["192.0.2.0/24", "fe80::%eth0/128"]}, "#/networks/1"),
    "60 KB of metadata": ({"metadata": {"x": "y" * 60_000}}, "#/metadata"),
    "NUL in metadata": ({"metadata": {"x": {"y": ["\0"]}}}, "#/metadata/x/y/0"),
    "a life that is none": ({"expires_in": 0}, "#/expires_in"),
}


async def test_a_bad_field_of_a_key_is_refused_with_a_pointer(admin, wish, connection, subtests):
    for what, (field, pointer) in BAD_FIELDS.items():
        with subtests.test(msg=what):
            before = await connection.fetchval("select count(*) from api_key")
            answer = await admin("POST /v1/keys", wish | field)
            assert (answer.status, answer.code) == (400, "invalid_input"), answer.body
            assert list(answer.faults) == [pointer]
            assert await connection.fetchval("select count(*) from api_key") == before


async def test_a_thing_that_a_field_names_and_that_does_not_exist_is_pointed_at(admin, wish):
    answer = await admin("POST /v1/keys", wish | {"tier": "gold"})
    assert (answer.status, list(answer.faults)) == (404, ["#/tier"])
    answer = await admin("POST /v1/audiences", {"name": "x", "token_ttl": 10**9})
    assert (answer.status, list(answer.faults)) == (400, ["#/token_ttl"])
    answer = await admin("GET /v1/tiers/gold")
    assert (answer.status, list(answer.faults)) == (404, ["#/path/name"])
    unknown = {"key": "key_0000000000000000"}
    answer = await admin("POST /v1/revocations", unknown)
    assert (answer.status, list(answer.faults)) == (404, ["#/key"])
    answer = await admin("GET /v1/usage", params=unknown)
    assert (answer.status, list(answer.faults)) == (404, ["#/query/key"])
    answer = await admin("POST /v1/signing-keys/import", {"private_key": "x"})
    assert (answer.status, list(answer.faults)) == (400, ["#/private_key"])
    answer = await admin("POST /v1/revocations", {"token": "a.b.c"})
    assert (answer.status, list(answer.faults)) == (404, ["#/token"])


async def test_a_name_that_is_taken_is_pointed_at(admin, subtests):
    for subject, more in (
        ("capabilities", {}),
        ("audiences", {}),
        ("tiers", {"key_per_minute": 1, "key_per_day": 1}),
    ):
        with subtests.test(msg=subject):
            wish = {"name": "orders", **more}
            assert (await admin(f"POST /v1/{subject}", wish)).status == 201
            answer = await admin(f"POST /v1/{subject}", wish)
            assert (answer.status, answer.code) == (409, "conflict")
            assert list(answer.faults) == ["#/name"]


async def test_a_name_that_the_service_may_need_is_no_new_capability(admin, wish):
    for line, body, pointer in (
        ("POST /v1/capabilities", {"name": "tokensvc:mine"}, "#/name"),
        ("POST /v1/keys", wish | {"capabilities": ["tokensvc:mine"]}, "#/capabilities"),
    ):
        answer = await admin(line, body)
        assert (answer.status, list(answer.faults)) == (400, [pointer])
        assert "names that begin with tokensvc: are for what the service" in answer.body["detail"]


async def test_ipv4_in_ipv6_becomes_ipv4(admin, wish):
    answer = await admin("POST /v1/keys", wish | {"networks": ["::ffff:192.0.2.0/120"]})
    assert (answer.status, answer.body["networks"]) == (201, ["192.0.2.0/24"])


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(admin, wish, subtests):
    answer = await admin("POST /v1/keys", wish | {"metadata": {"x": "y" * 1_000_000}})
    assert (answer.status, answer.code) == (413, "content_too_large")
    assert answer.faults == {"#": "the body has more than 65536 bytes"}

    async def parts():
        for _ in range(17):
            yield b" " * 4096

    answer = await send_parts(admin, "POST /v1/keys", parts())
    assert (answer.status, answer.code, list(answer.faults)) == (413, "content_too_large", ["#"])
    with subtests.test(msg="a batch may be larger"):
        body = json.dumps({"act": "disable", "items": [], "reason": "x" * 100_000})
        answer = await send(admin, "POST /v1/keys/batch", body)
        assert (answer.status, set(answer.faults)) == (400, {"#/items", "#/reason"})


async def send_parts(admin, line, parts):
    return await admin(line, data=parts, headers={"Content-Type": "application/json"})


async def test_only_json_is_taken(admin, subtests):
    for content_type in (
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/json; charset=utf-16",
    ):
        with subtests.test(msg=content_type):
            answer = await admin(
                "POST /v1/accounts", data=b'{"name": "x"}', headers={"Content-Type": content_type}
            )
            assert (answer.status, answer.code) == (415, "unsupported_media_type")
            assert list(answer.faults) == ["#/header/Content-Type"]


async def test_json_in_another_charset_passes_if_it_is_ascii(admin):
    latin = {"Content-Type": "application/json; charset=ISO-8859-1"}
    answer = await admin("POST /v1/accounts", data=b'{"name": "x"}', headers=latin)
    assert (answer.status, answer.body["name"]) == (201, "x")
    answer = await admin("POST /v1/accounts", data='{"name": "é"}'.encode("latin-1"), headers=latin)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_compressed_body_is_not_taken(admin):
    answer = await send(admin, "POST /v1/accounts", "{}", **{"Content-Encoding": "gzip"})
    assert (answer.status, list(answer.faults)) == (415, ["#/header/Content-Encoding"])


BAD_QUERIES = {
    "limit=0": "#/query/limit",
    "limit=10000": "#/query/limit",
    "limit=x": "#/query/limit",
    "limit=1&limit=2": "#/query/limit",
    "colour=red": "#/query/colour",
    "account=key_0000000000000000": "#/query/account",
    "state=gone": "#/query/state",
    "sort=colour": "#/query/sort",
    "name=%00": "#/query/name",
    "name=%ff": "#/query/name",
    "created_before=2026-01-01": "#/query/created_before",
    "created_before=1700000000": "#/query/created_before",
    "created_before=2026-01-01T00:00:00": "#/query/created_before",
    "created_before=9999-12-31T23:59:59-14:00": "#/query/created_before",
    "metadata=x": "#/query/metadata",
    "metadata.x=1&metadata=x": "#/query/metadata",
    "metadata.x=1&metadata.x=2": "#/query/metadata.x",
    "metadata.x=%00": "#/query/metadata.x",
    "name.x=1": "#/query/name",
}


async def test_a_bad_parameter_is_refused_with_a_pointer(admin, subtests):
    for query, pointer in BAD_QUERIES.items():
        with subtests.test(msg=query):
            answer = await admin(f"GET /v1/keys?{query}")
            assert (answer.status, answer.code) == (400, "invalid_input"), answer.body
            assert list(answer.faults) == [pointer]


async def test_t31_a_cursor_of_another_list_and_a_changed_one_are_refused(admin, database, account):
    for _ in range(2):
        await make_key(database, account=account)
    line = f"GET /v1/keys?account={account}&limit=1"
    cursor = (await admin(line)).body["next_cursor"]
    assert len((await admin(f"{line}&cursor={cursor}")).body["items"]) == 1
    for bad in (
        f"GET /v1/accounts?limit=1&cursor={cursor}",
        f"GET /v1/keys?limit=1&cursor={cursor}",
        f"{line}&state=active&cursor={cursor}",
        f"{line}&cursor={cursor[:-4]}AAAA",
        f"{line}&cursor={cursor[:20]}",
        f"{line}&cursor=",
        f"{line}&cursor=%00",
    ):
        answer = await admin(bad)
        assert (answer.status, answer.code) == (400, "invalid_input"), bad
        assert list(answer.faults) == ["#/query/cursor"], bad


async def test_of_two_acts_on_one_key_at_once_each_is_done_or_refused_whole(
    admin, database, account, subtests
):
    for first, second in (("revoke", "rotate"), ("disable", "enable"), ("rotate", "rotate")):
        with subtests.test(msg=f"{first} and {second}"):
            key = (await make_key(database, account=account)).listed.record.id
            answers = await asyncio.gather(
                *(admin.insist(f"POST /v1/keys/{key}/{act}", {}) for act in (first, second) * 4)
            )
            assert {answer.status for answer in answers} <= {200, 201, 409}
            made = [answer.body["id"] for answer in answers if answer.status == 201]
            shown = (await admin(f"GET /v1/keys/{key}")).body
            assert [shown["successor"]] == (made or [None])
            events = (await admin(f"GET /v1/audit-events?subject={key}")).body["items"]
            acts = [event["operation"] for event in events]
            assert acts.count("keys.rotate") == len(made)
            assert first != "revoke" or (acts.count("keys.revoke"), shown["state"]) == (
                1, "revoked",
            )  # fmt: skip


async def test_too_many_parameters_are_refused(admin):
    query = "&".join(f"metadata.x{number}=1" for number in range(60))
    answer = await admin(f"GET /v1/keys?{query}")
    assert (answer.status, list(answer.faults)) == (400, ["#/query"])


async def test_an_id_of_another_kind_in_the_path_is_refused_with_a_pointer(admin, subtests):
    for line in (
        "GET /v1/keys/acct_0000000000000000",
        "GET /v1/keys/key_0",
        "GET /v1/keys/key_00000000000000%00",
        "POST /v1/accounts/key_0000000000000000/suspend",
        "GET /v1/signing-keys/x",
    ):
        with subtests.test(msg=line):
            answer = await admin(line)
            assert (answer.status, answer.code) == (400, "invalid_input")
            assert list(answer.faults) in (["#/path/id"], ["#/path/kid"])


async def test_what_stands_in_the_wrong_place_is_refused(admin, account):
    answer = await admin("POST /v1/accounts?name=x", {"name": "x"})
    assert (answer.status, list(answer.faults)) == (400, ["#/query/name"])
    answer = await admin(f"PATCH /v1/accounts/{account}", {"id": account, "name": "x"})
    assert (answer.status, list(answer.faults)) == (400, ["#/id"])
    answer = await admin("GET /v1/accounts", {"limit": 1})
    assert (answer.status, answer.code, list(answer.faults)) == (400, "invalid_request", ["#"])


async def test_another_method_is_told_which_would_do(admin):
    answer = await admin("PUT /v1/accounts", {})
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}


async def test_head_answers_as_get_without_a_body(admin, account):
    line = f"/v1/accounts/{account}"
    head, got = await admin(f"HEAD {line}"), await admin(f"GET {line}")
    assert (head.status, head.headers["ETag"]) == (200, got.headers["ETag"])


BAD_VERSIONS = ["x", '"', '"a', "a, b", 'W/"', '"a" "b"', "*, *", '"é"']


async def test_a_malformed_if_match_is_refused(admin, account, subtests):
    for version in BAD_VERSIONS:
        with subtests.test(msg=version):
            answer = await admin(
                f"PATCH /v1/accounts/{account}", {"name": "x"}, headers={"If-Match": version}
            )
            assert (answer.status, list(answer.faults)) == (400, ["#/header/If-Match"])


async def test_a_version_is_not_named_where_none_is_looked_at(admin):
    answer = await admin("POST /v1/accounts", {"name": "x"}, headers={"If-Match": '"a"'})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.faults) == ["#/header/If-Match"]


async def test_a_change_of_another_version_is_refused_and_changes_nothing(admin, account):
    line = f"/v1/accounts/{account}"
    old = (await admin(f"GET {line}")).headers["ETag"]
    first = await admin(f"PATCH {line}", {"name": "A"}, headers={"If-Match": f'"x", {old}'})
    assert (first.status, first.body["name"]) == (200, "A")
    for act in (
        f"PATCH {line}",
        f"POST {line}/suspend",
        f"POST {line}/revoke-tokens",
        f"DELETE {line}",
    ):
        for version in (old, f"W/{first.headers['ETag']}", '""'):
            body = {"name": "B"} if act.startswith("PATCH") else None
            answer = await admin(act, body, headers={"If-Match": version})
            assert (answer.status, answer.code) == (412, "version_conflict"), (act, version)
            assert list(answer.faults) == ["#/header/If-Match"]
    shown = await admin(f"GET {line}")
    assert (shown.body["name"], shown.body["state"]) == ("A", "active")
    any_version = await admin(f"PATCH {line}", {"name": "C"}, headers={"If-Match": "*"})
    assert any_version.body["name"] == "C"


async def test_what_the_caller_has_already_is_not_sent_again(admin, account):
    line = f"GET /v1/accounts/{account}"
    got = await admin(line)
    again = await admin(line, headers={"If-None-Match": got.headers["ETag"]})
    assert (again.status, again.headers["ETag"]) == (304, got.headers["ETag"])
    weak = await admin(line, headers={"If-None-Match": f'"x", W/{got.headers["ETag"]}'})
    assert weak.status == 304
    assert (await admin(line, headers={"If-None-Match": '"x"'})).status == 200


async def test_the_last_use_changes_what_is_sent_but_not_the_version(admin, database, connection):
    key = await make_key(database)
    line = f"/v1/keys/{key.listed.record.id}"
    before = (await admin(f"GET {line}")).headers["ETag"]
    await connection.execute(
        "insert into api_key_last_use (key_id, at, network, audience)"
        " values ($1, clock_timestamp(), '192.0.2.0/24', 'api')",
        key.listed.record.id,
    )
    after = await admin(f"GET {line}", headers={"If-None-Match": before})
    assert (after.status, after.headers["ETag"] == before) == (200, False)
    changed = await admin(f"PATCH {line}", {"name": "x"}, headers={"If-Match": before})
    assert changed.status == 200


async def test_two_acts_on_one_version_at_once_are_one(admin, account):
    line = f"/v1/accounts/{account}"
    version = (await admin(f"GET {line}")).headers["ETag"]
    answers = await asyncio.gather(
        *(
            admin.insist(f"PATCH {line}", {"name": f"n{number}"}, headers={"If-Match": version})
            for number in range(8)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7


async def test_the_thing_of_another_account_is_as_one_that_does_not_exist(
    client, database, account
):
    owner, key = await make_caller(client, database, "tokensvc:keys")
    other = await make_key(database)
    missing = "key_0000000000000000"
    for act in ("GET {}", "PATCH {}", "POST {}/disable", "POST {}/rotate", "DELETE {}"):
        answers = []
        for key_id in (other.listed.record.id, missing):
            body = {"name": "x"} if act.startswith("PATCH") else None
            answer = await owner(act.format(f"/v1/keys/{key_id}"), body)
            assert (answer.status, answer.code) == (404, "not_found")
            answers.append(str(answer.body["detail"]).replace(key_id, "ID"))
        assert answers[0] == answers[1]
    del account, key


async def test_a_secret_in_a_request_is_not_repeated(admin, wish, key, subtests):
    secret = key.key.text
    for body in (
        wish | {"name": secret * 9},
        wish | {"capabilities": [f"{secret} x"]},
        wish | {"networks": [secret]},
        wish | {secret: 1},
        wish | {"account": secret},
        wish | {"tier": secret},
        wish | {"claims": {f"tokensvc {secret}": 1}},
    ):
        with subtests.test(msg=str(body)):
            answer = await admin("POST /v1/keys", body)
            assert 400 <= answer.status < 500
            assert secret not in json.dumps(answer.body)
    for line in (f"GET /v1/keys/{secret}", f"GET /v1/keys?{secret}=1", f"GET /v1/keys?x={secret}"):
        assert secret not in json.dumps((await admin(line)).body)
