from __future__ import annotations

import json

import pytest


def test_audiences_are_created_listed_updated_and_deleted(ready):
    added = ready.json("audience create orders --token-ttl 5m --description shop")
    assert (added["name"], added["token_ttl"], added["description"]) == ("orders", 300, "shop")
    assert [row["name"] for row in ready.json("audience list")] == [
        "api",
        "orders",
        "tokensvc",
        "tokensvc:dashboard",
    ]
    assert "orders" in ready("audience list").stdout
    assert ready.json("audience update orders --description x")["token_ttl"] == 300
    assert ready.json("audience update orders --token-ttl default")["token_ttl"] is None
    assert ready.json("audience create plain --token-ttl default")["token_ttl"] is None
    too_long = ready("audience update orders --token-ttl 2h", code=5)
    assert "TOKENSVC_MAX_TOKEN_TTL" in too_long.stderr
    assert "exists already" in ready("audience create orders", code=5).stderr
    assert ready.json("audience delete orders") == {"name": "orders", "state": "deleted"}
    assert "there is no audience" in ready("audience delete orders", code=3).stderr
    assert "is the default audience" in ready("audience delete api", code=5).stderr


@pytest.mark.parametrize("name", ["tokensvc", "tokensvc:denylist"])
def test_t7_reserved_names_are_neither_created_nor_deleted(name, ready):
    assert "reserved for the service itself" in ready("audience create", name, code=5).stderr
    assert ready("audience delete", name, code=5).stderr


def test_before_init_there_are_no_audiences(cli):
    assert cli("audience list").stderr == "no audiences\n"


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_an_audience_with_another_algorithm_says_when_that_signs(alg, ready):
    added = ready("audience create legacy -o json --alg", alg)
    assert json.loads(added.stdout)["alg"] == alg
    assert f"signed with {alg} as soon as every cache has a key of it" in added.stderr
    assert ready.json("audience update legacy --alg ES256")["alg"] == "ES256"
    assert ready("audience update legacy --description x").stderr == ""
