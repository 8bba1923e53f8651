from __future__ import annotations

import pytest
from tests.factories import make_settings

from tokensvc.settings.names import FOUND_OUT
from tokensvc.web.token_request import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

JWKS = "/.well-known/jwks.json"
CLIENT_SECRET = ("client_secret_basic", "client_secret_post")
METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


async def test_t18_the_jwks_holds_the_signer_and_the_standby_and_nothing_private(client):
    answer = await client.get(JWKS)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = (await answer.json())["keys"]
    assert len(keys) == 2
    for jwk in keys:
        assert set(jwk) == {"kty", "crv", "x", "y", "alg", "use", "kid"}
        assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("EC", "P-256", "ES256", "sig")
    assert len({jwk["kid"] for jwk in keys}) == 2


@pytest.mark.parametrize("path", METADATA)
async def test_the_metadata_names_only_what_is_there(path, client, settings):
    answer = await client.get(path)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    issuer = settings.issuer_url
    document = await answer.json()
    assert document == {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/v1/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "revocation_endpoint": f"{issuer}/v1/revoke",
        "introspection_endpoint": f"{issuer}/v1/introspect",
        "grant_types_supported": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
        "token_endpoint_auth_methods_supported": [*CLIENT_SECRET, "none"],
        "revocation_endpoint_auth_methods_supported": [*CLIENT_SECRET, "none"],
        "introspection_endpoint_auth_methods_supported": [*CLIENT_SECRET, "Bearer"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "EdDSA", "RS256"],
        "tokensvc_denylist_endpoint": f"{issuer}/v1/denylist",
    }
    for url in (document["jwks_uri"], document["tokensvc_denylist_endpoint"]):
        assert (await client.get(url.removeprefix(issuer))).status == 200
    for url in (
        document["token_endpoint"],
        document["revocation_endpoint"],
        document["introspection_endpoint"],
    ):
        assert (await client.post(url.removeprefix(issuer))).status in {400, 401}


async def test_who_holds_the_document_already_is_told_so(client, subtests):
    for path in (
        JWKS,
        *METADATA,
    ):
        with subtests.test(msg=path):
            etag = (await client.get(path)).headers["ETag"]
            assert etag.startswith('"')
            assert etag.endswith('"')
            cases = {
                etag: 304,
                f"W/{etag}": 304,
                f'"other", {etag}': 304,
                "*": 304,
                '"other"': 200,
                '"other", "another"': 200,
                etag.strip('"'): 200,
                "": 200,
            }
            for sent, status in cases.items():
                with subtests.test(msg=sent):
                    answer = await client.get(path, headers={"If-None-Match": sent})
                    assert answer.status == status
                    assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (
                        etag,
                        "public, max-age=300",
                    )
                    assert bool(await answer.read()) == (status == 200)


async def test_the_etag_of_the_jwks_changes_with_its_keys(client, service, connection):
    before = await client.get(JWKS)
    async with connection.transaction():
        await connection.execute(
            "update signing_key set revoked_at = clock_timestamp() where active_at is null"
        )
        await connection.execute("update feed_head set tag = 'changed' where topic = 'signing_key'")
    await service.mirror.refresh_once()
    after = await client.get(JWKS, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status == 200
    assert len((await after.json())["keys"]) == 1
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_head_answers_like_get_without_a_body(client):
    for path in (JWKS, "/livez", "/readyz"):
        get, head = await client.get(path), await client.head(path)
        assert (head.status, head.content_type) == (get.status, get.content_type)
        assert await head.read() == b""


@pytest.mark.parametrize("issuer_path", ["/auth", "/a/b"])
async def test_an_issuer_with_a_path_is_found_where_rfc_8414_looks_and_where_proxies_put_it(
    issuer_path, started, database, settings, new_client
):
    del started, database
    issuer = f"https://issuer.example{issuer_path}"
    client = await new_client(
        make_settings(
            **settings.model_dump(
                exclude={"issuer", "database_url", *FOUND_OUT}, exclude_none=True
            ),
            issuer=issuer,
        )
    )
    addresses = [
        f"/.well-known/oauth-authorization-server{issuer_path}",  # RFC 8414 section 3.1
        f"{issuer_path}/.well-known/openid-configuration",  # OpenID Discovery
        "/.well-known/oauth-authorization-server",  # behind a proxy that strips the path
        "/.well-known/openid-configuration",
    ]
    documents = [await (await client.get(address)).json() for address in addresses]
    assert [document["issuer"] for document in documents] == [issuer] * 4
    assert documents[0]["token_endpoint"] == f"{issuer}/v1/token"
    for prefix in ("", issuer_path):
        assert (await client.get(f"{prefix}{JWKS}")).status == 200
        assert (await client.get(f"{prefix}/v1/denylist")).status == 200
        assert (await (await client.post(f"{prefix}/v1/token")).json())["error"] == "invalid_client"
        assert (await (await client.post(f"{prefix}/v1/revoke")).json())[
            "error"
        ] == "invalid_request"
        assert (await (await client.post(f"{prefix}/v1/introspect")).json())[
            "error"
        ] == "invalid_client"


async def test_a_copy_that_postgres_has_not_confirmed_is_not_to_be_kept(client, service):
    last = service.mirror.postgres_clock
    async with service.mirror.refreshing:  # the background must not confirm it again meanwhile
        last.renew(last.at, last.on - 100)
        answer = await client.get("/.well-known/jwks.json")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=0")
