from __future__ import annotations

import json

import pytest


def test_the_default_tier_is_there_and_can_be_changed_and_not_removed(cli):
    (default,) = cli.json("tier", "list")
    numbers = {
        "key_per_minute": 60,
        "key_per_day": 5000,
        "account_per_minute": 600,
        "account_per_day": 50_000,
    }
    assert {name: default[name] for name in numbers} == numbers
    assert cli.json("tier", "update", "default", "--per-minute", "90")["key_per_minute"] == 90
    assert cli.json("tier", "update", "default", "--description", "for all")["key_per_minute"] == 90
    assert "default tier cannot be removed" in cli("tier", "remove", "default", code=5).stderr


def test_a_tier_gives_an_account_ten_times_what_a_key_gets_unless_told_otherwise(cli):
    pro = cli.json(
        "tier",
        "add",
        "pro",
        "--per-minute",
        "600",
        "--per-day",
        "100000",
        "--account-per-day",
        "200000",
    )
    assert [
        pro[f"{who}_per_{what}"] for who in ("key", "account") for what in ("minute", "day")
    ] == [600, 100_000, 6000, 200_000]
    assert (
        "exists already"
        in cli("tier", "add", "pro", "--per-minute", "1", "--per-day", "1", code=5).stderr
    )
    assert (
        "a tier is named with"
        in cli("tier", "add", "no good", "--per-minute", "1", "--per-day", "1", code=5).stderr
    )
    assert "pro" in cli("tier", "list").stdout


def test_limits_are_inherited_from_the_account_unless_the_key_has_its_own(cli, account, key):
    cli("tier", "add", "pro", "--per-minute", "600", "--per-day", "100000")
    assert cli.json("account", "update", account, "--tier", "pro", "--per-day", "7")["per_day"] == 7
    shown = cli.json("key", "show", key["id"])
    assert (shown["tier"], shown["per_minute"], shown["per_day"]) == (None, 600, 100_000)
    updated = cli.json("key", "update", key["id"], "--tier", "default", "--per-minute", "5")
    assert (updated["tier"], updated["per_minute"], updated["per_day"]) == ("default", 5, 5000)
    back = cli.json("key", "update", key["id"], "--tier", "inherit", "--per-minute", "inherit")
    assert (back["tier"], back["per_minute"], back["per_day"]) == (None, 600, 100_000)
    assert "an account has the tier 'pro'" in cli("tier", "remove", "pro", code=5).stderr
    account_back = cli.json(
        "account",
        "update",
        account,
        "--tier",
        "inherit",
        "--per-day",
        "inherit",
        "--name",
        "Renamed",
    )
    assert (account_back["tier"], account_back["per_day"], account_back["name"]) == (
        "default",
        50_000,
        "Renamed",
    )
    assert cli.json("tier", "remove", "pro") == {"name": "pro", "state": "removed"}
    for command in (("account", "update", account), ("key", "update", key["id"])):
        assert "there is no tier 'pro'" in cli(*command, "--tier", "pro", code=3).stderr
    assert "there is no tier" in cli("tier", "update", "pro", "--per-day", "1", code=3).stderr
    assert "there is no tier" in cli("tier", "remove", "pro", code=3).stderr
    actions = {event["action"] for event in cli.json("audit", "list")}
    assert actions >= {"tier.add", "tier.remove", "account.update", "key.update"}


def test_a_key_may_be_made_with_limits_of_its_own_and_its_successor_has_them(cli, account):
    made = cli.json(
        "key",
        "create",
        "--account",
        account,
        "--name",
        "x",
        "--capability",
        "a",
        "--per-minute",
        "3",
        "--tier",
        "default",
    )
    assert (made["tier"], made["per_minute"], made["per_day"]) == ("default", 3, 5000)
    assert cli.json("key", "rotate", made["id"])["per_minute"] == 3
    unknown = cli(
        "key",
        "create",
        "--account",
        account,
        "--name",
        "x",
        "--capability",
        "a",
        "--tier",
        "gone",
        code=3,
    )
    assert "there is no tier 'gone'" in unknown.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("-o", "json"), ("-o", "text")], ids=["no terminal", "json", "text"]
)
def test_usage_of_a_key_that_was_never_used(arguments, cli, key):
    shown = cli("key", "usage", key["id"], *arguments).stdout
    if arguments == ("-o", "text"):
        assert shown.startswith("last used  never\ntokens     0\n")
        assert len(shown.splitlines()) in {51, 52}
    else:
        assert json.loads(shown) == {"id": key["id"], "last_used": None, "hours": []}
    assert "there is no key" in cli("key", "usage", "key_none", code=3).stderr
