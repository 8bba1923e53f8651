from __future__ import annotations

import json

import pytest


def test_the_default_tier_is_there_and_can_be_changed_and_not_deleted(cli):
    (default,) = cli.json("tier list")
    numbers = {
        "key_per_minute": 60,
        "key_per_day": 5000,
        "account_per_minute": 600,
        "account_per_day": 50_000,
    }
    assert {name: default[name] for name in numbers} == numbers
    assert cli.json("tier update default --per-minute 90")["key_per_minute"] == 90
    assert cli.json("tier update default --description 'for all'")["key_per_minute"] == 90
    assert "default tier cannot be deleted" in cli("tier delete default", code=5).stderr


def test_a_tier_gives_an_account_ten_times_what_a_key_gets_unless_told_otherwise(cli):
    pro = cli.json("tier create pro --per-minute 600 --per-day 100000 --account-per-day 200000")
    assert (pro["key_per_minute"], pro["key_per_day"]) == (600, 100_000)
    assert (pro["account_per_minute"], pro["account_per_day"]) == (6000, 200_000)
    assert "pro" in cli("tier list").stdout
    for name, told in (("pro", "exists already"), ("no good", "a tier is named with")):
        assert told in cli("tier create --per-minute 1 --per-day 1", name, code=5).stderr


def test_limits_are_inherited_from_the_account_unless_the_key_has_its_own(cli, account, key):
    cli("tier create pro --per-minute 600 --per-day 100000")
    assert cli.json("account update --tier pro --per-day 7", account)["per_day"] == 7
    assert find_limits(cli.json("key show", key["id"])) == (None, 600, 100_000)
    own = cli.json("key update --tier default --per-minute 5", key["id"])
    assert find_limits(own) == ("default", 5, 5000)
    inherited = cli.json("key update --tier inherit --per-minute inherit", key["id"])
    assert find_limits(inherited) == (None, 600, 100_000)
    assert "an account has the tier 'pro'" in cli("tier delete pro", code=5).stderr
    back = cli.json("account update --tier inherit --per-day inherit --name Renamed", account)
    assert (back["tier"], back["per_day"], back["name"]) == ("default", 50_000, "Renamed")
    assert cli.json("tier delete pro") == {"name": "pro", "state": "deleted"}
    actions = {event["operation"] for event in cli.json("audit list")}
    assert actions >= {"tiers.create", "tiers.delete", "accounts.update", "keys.update"}


def test_a_tier_that_does_not_exist_is_refused(cli, account, key):
    for line in (
        f"account update {account} --tier pro",
        f"key update {key['id']} --tier pro",
        f"key create --account {account} --name x --capability a --tier pro",
        "tier update pro --per-day 1",
        "tier delete pro",
    ):
        assert "there is no tier 'pro'" in cli(line, code=3).stderr


def test_a_key_may_be_made_with_limits_of_its_own_and_its_successor_has_them(cli, account):
    made = cli.json(
        "key create --name x --capability a --per-minute 3 --tier default --account", account
    )
    assert find_limits(made) == ("default", 3, 5000)
    assert cli.json("key rotate", made["id"])["per_minute"] == 3


@pytest.mark.parametrize("output", ["", "-o json", "-o text"])
def test_usage_of_a_key_that_was_never_used(output, cli, key):
    shown = cli(f"key usage {output}", key["id"]).stdout
    if output == "-o text":
        head, hours = shown.split("\n\n")
        assert head.splitlines()[:2] == ["last used   never", "tokens             0"]
        assert len(hours.splitlines()) in {48, 49}
    else:
        usage = json.loads(shown)
        assert (usage["id"], usage["last_used"], usage["hours"]) == (key["id"], None, [])
    assert "there is no key" in cli("key usage key_0000000000000000", code=3).stderr


def find_limits(shown):
    return shown["tier"], shown["per_minute"], shown["per_day"]
