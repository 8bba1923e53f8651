"""The same Authorization header has the same outcome, whichever face of the product reads it.

There are two columns, because the RFCs want two kinds of answers: OAuth endpoints refuse a client
(RFC 6749 section 5.2), resource servers ask for a token (RFC 6750 section 3).
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.factories import make_settings
from tests.integration.things import make_key
from tests.web.asking import basic, get_own_token
from tests.web.faces import ADAPTERS, OAUTH_FORMS, Answer, reach_service

from tokensvc.core.api_key import new_api_key
from tokensvc.verify.testing import FakeIssuer

MALFORMED = (400, "invalid_request")
NO_CLIENT = (401, "invalid_client")
NO_TOKEN = (401, "missing_token")
BAD_TOKEN = (401, "invalid_token")


class Row(NamedTuple):
    """The values of all Authorization headers, and the status and error at either kind of face."""

    headers: list[str]
    at_oauth_endpoint: tuple[int, str]
    at_resource_server: tuple[int, str]


TABLE = {
    "two headers": Row(["Bearer a", "Bearer b"], MALFORMED, MALFORMED),
    "the same header twice": Row(["Bearer a", "Bearer a"], MALFORMED, MALFORMED),
    "two joined by a comma": Row(["Bearer a,Bearer b"], MALFORMED, MALFORMED),
    "two joined by comma and space": Row(["Bearer a, Bearer b"], MALFORMED, MALFORMED),
    "two Basic joined by a comma": Row(["Basic YTpi, Basic YTpi"], MALFORMED, MALFORMED),
    "Bearer alone": Row(["Bearer"], MALFORMED, MALFORMED),
    "Bearer and a space": Row(["Bearer "], MALFORMED, MALFORMED),
    "Bearer and spaces": Row(["Bearer   "], MALFORMED, MALFORMED),
    "a space within": Row(["Bearer a b"], MALFORMED, MALFORMED),
    "quotes": Row(['Bearer "a"'], MALFORMED, MALFORMED),
    "a percent sign": Row(["Bearer a%20b"], MALFORMED, MALFORMED),
    "a letter that is no ASCII": Row(["Bearer \u00fc"], MALFORMED, MALFORMED),
    "padding before": Row(["Bearer =a"], MALFORMED, MALFORMED),
    "padding within": Row(["Bearer a=b"], MALFORMED, MALFORMED),
    "another scheme": Row(["Digest x"], NO_CLIENT, NO_TOKEN),
    "another scheme with a list": Row(['Digest username="x", nc=1'], NO_CLIENT, NO_TOKEN),
    "a longer scheme": Row(["Bearers a"], NO_CLIENT, NO_TOKEN),
    "a tab behind the scheme": Row(["Bearer\ta"], NO_CLIENT, NO_TOKEN),
    "no scheme": Row([new_api_key().text], NO_CLIENT, NO_TOKEN),
    "nothing at all": Row([""], NO_CLIENT, NO_TOKEN),
    "Basic alone": Row(["Basic"], NO_CLIENT, NO_TOKEN),
    "Basic that is no base64": Row(["Basic !!!"], NO_CLIENT, NO_TOKEN),
    "Basic without a colon": Row(["Basic bm9jb2xvbg=="], NO_CLIENT, NO_TOKEN),
    "Basic of nobody": Row([basic("key_nobody", new_api_key().text)[1]], NO_CLIENT, NO_TOKEN),
    "Bearer of nobody": Row([f"Bearer {new_api_key().text}"], NO_CLIENT, BAD_TOKEN),
    "Bearer junk": Row(["Bearer junk"], NO_CLIENT, BAD_TOKEN),
    "a space in front": Row([" Bearer junk"], NO_CLIENT, BAD_TOKEN),
    "a scheme in small letters": Row(["bearer junk"], NO_CLIENT, BAD_TOKEN),
    "many spaces": Row(["Bearer    junk "], NO_CLIENT, BAD_TOKEN),
}
OWN = ("tokensvc:introspect", "tokensvc:denylist")
GOOD = ["Bearer {}", "bearer {}", "BEARER {}", " Bearer {}", "Bearer    {} "]


@pytest.fixture
def settings(tmp_path, unused_tcp_port):
    return make_settings(
        port=unused_tcp_port,
        keys_dir=tmp_path / "keys",
        data_dir=tmp_path / "data",
        feed_authentication="required",
    )


def challenge_of_oauth_endpoint(row):
    if row.at_oauth_endpoint == MALFORMED:
        return None
    scheme = "Basic" if row.headers[0].startswith("Basic") else "Bearer"
    return f'{scheme} realm="tokensvc", error="invalid_client"'


def check_resource_server(answer, row):
    assert (answer.status, answer.error) == row.at_resource_server
    if row.at_resource_server == NO_TOKEN:
        assert answer.challenge == "Bearer", "a bare challenge (RFC 6750 section 3.1)"
    else:
        assert answer.challenge.startswith(f'Bearer error="{answer.error}", error_description=')


@pytest.mark.parametrize("path", OAUTH_FORMS)
async def test_a_header_has_one_outcome_at_every_oauth_endpoint(path, client, subtests):
    ask = reach_service(client, path)
    for name, row in TABLE.items():
        with subtests.test(msg=name):
            status, error = row.at_oauth_endpoint
            assert await ask(row.headers) == Answer(
                status=status, error=error, challenge=challenge_of_oauth_endpoint(row)
            )


async def test_a_header_has_the_outcome_of_a_resource_server_at_the_feed(client, subtests):
    ask = reach_service(client, "/v1/denylist")
    for name, row in TABLE.items():
        with subtests.test(msg=name):
            check_resource_server(await ask(row.headers), row)


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_header_has_the_same_outcome_at_every_adapter(adapter, subtests):
    ask = ADAPTERS[adapter](FakeIssuer().verifier())
    for name, row in TABLE.items():
        with subtests.test(msg=name):
            check_resource_server(await ask(row.headers), row)


async def test_without_a_header_only_a_revocation_goes_on(client):
    asked = {path: await reach_service(client, path)([]) for path in (*OAUTH_FORMS, "/v1/denylist")}
    assert {path: (answer.status, answer.error) for path, answer in asked.items()} == {
        "/v1/token": NO_CLIENT,
        "/v1/introspect": NO_CLIENT,
        "/v1/revoke": (200, None),
        "/v1/denylist": NO_TOKEN,
    }
    for reach in ADAPTERS.values():
        answer = await reach(FakeIssuer().verifier())([])
        assert (answer.status, answer.error, answer.challenge) == (*NO_TOKEN, "Bearer")


async def test_a_good_credential_passes_however_its_scheme_is_written(client, database, subtests):
    key = await make_key(database, capabilities=("orders:read", *OWN))
    issuer = FakeIssuer()
    faces = {path: (reach_service(client, path), key.key.text) for path in OAUTH_FORMS}
    follower = await get_own_token(client, key, "tokensvc:denylist")
    faces["/v1/denylist"] = (reach_service(client, "/v1/denylist"), follower)
    for name, reach in ADAPTERS.items():
        faces[name] = (reach(issuer.verifier()), issuer.token())
    for name, (ask, credential) in faces.items():
        for header in GOOD:
            with subtests.test(msg=f"{name}: {header}"):
                answer = await ask([header.format(credential)])
                assert answer == Answer(status=200, error=None, challenge=None)
