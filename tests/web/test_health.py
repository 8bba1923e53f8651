"""How the service is, as those who run it see it."""

from __future__ import annotations

from pydantic import SecretStr
from tests.integration.things import make_key
from tests.web.asking import try_token

from tokensvc.issuer.operations.health import list_settings


async def test_health_tells_of_postgres_its_schema_the_clocks_and_the_ledger(
    client, admin, database
):
    key = await make_key(database, capabilities=("orders:read",))
    await try_token(client, key, ())
    shown = (await admin("GET /v1/health")).body
    assert shown["database"]["connections"] >= 1
    assert 0 < shown["database"]["answer_seconds"] < 10
    assert abs(shown["clock_difference_seconds"]) < 5
    assert shown["migrations"]["applied"] == shown["migrations"]["shipped"]
    assert shown["migrations"]["missing"] == []
    process = shown["process"]
    assert process["checks"]["database"] is True
    assert process["judged"] >= process["statements"] >= 1
    assert process["statement_seconds"] > 0


def test_settings_are_shown_without_what_is_secret(settings):
    secret = settings.model_copy(
        update={
            "database_url": SecretStr("postgresql://u:hunter2@db/x"),
            "smtp_url": SecretStr("smtps://u:hunter2@mail"),
        }
    )
    shown = {setting.name: setting for setting in list_settings(secret)}
    assert "hunter2" not in str(shown)
    assert shown["TOKENSVC_DATABASE_URL"].is_secret
    assert shown["TOKENSVC_DATABASE_URL"].is_set
    assert shown["TOKENSVC_MASTER_KEY"].is_secret
    assert shown["TOKENSVC_ROTATION_PERIOD"].value is not None
