from __future__ import annotations

import json

import pytest


def test_audiences_are_added_listed_updated_and_removed(ready):
    added = ready.json("audience add orders --token-ttl 5m --description shop")
    assert (added["name"], added["token_ttl"], added["description"]) == ("orders", 300, "shop")
    assert [row["name"] for row in ready.json("audience list")] == [
        "api",
        "orders",
        "tokensvc",
    ]
    assert "orders" in ready("audience list").stdout
    assert ready.json("audience update orders --description x")["token_ttl"] == 300
    assert ready.json("audience update orders --token-ttl default")["token_ttl"] is None
    assert ready.json("audience add plain --token-ttl default")["token_ttl"] is None
    too_long = ready("audience update orders --token-ttl 2h", code=5)
    assert "TOKENSVC_MAX_TOKEN_TTL" in too_long.stderr
    assert "exists already" in ready("audience add orders", code=5).stderr
    assert ready.json("audience remove orders") == {"name": "orders", "state": "removed"}
    assert "there is no audience" in ready("audience remove orders", code=3).stderr
    assert "is the default audience" in ready("audience remove api", code=5).stderr


@pytest.mark.parametrize("name", ["tokensvc", "tokensvc:denylist"])
def test_t7_reserved_names_are_neither_added_nor_removed(name, ready):
    assert "reserved for the service itself" in ready("audience add", name, code=5).stderr
    assert ready("audience remove", name, code=5 if name == "tokensvc" else 3).stderr


def test_before_init_there_are_no_audiences(cli):
    assert cli("audience list").stderr == "no audiences\n"


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_an_audience_with_another_algorithm_says_when_that_signs(alg, ready):
    added = ready("audience add legacy -o json --alg", alg)
    assert json.loads(added.stdout)["alg"] == alg
    assert f"signed with {alg} as soon as every cache has a key of it" in added.stderr
    assert ready.json("audience update legacy --alg ES256")["alg"] == "ES256"
    assert ready("audience update legacy --description x").stderr == ""
