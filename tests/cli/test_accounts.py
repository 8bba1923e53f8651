from __future__ import annotations


def test_an_empty_list_of_accounts_says_how_to_begin(cli):
    assert cli("account list").stderr == "no accounts yet: tokensvc account create NAME\n"
    assert cli.json("account list") == []


def test_an_account_is_created_listed_and_shown(cli):
    created = cli.json("account create 'Orders team'")
    fields = (
        "id name state created_at suspended_at tier per_minute per_day own_per_minute own_per_day"
    )
    assert list(created) == [
        *fields.split(),
        *("contact", "contact_confirmed_at", "contact_endpoint"),
    ]
    assert (created["name"], created["state"]) == ("Orders team", "active")
    assert created["suspended_at"] is None
    assert created["created_at"].endswith("Z")
    text = cli("account create Second")
    assert text.stdout.splitlines()[0].startswith("id ")
    assert " acct_" in text.stdout.splitlines()[0]
    assert text.stderr.startswith("next: tokensvc key create --account acct_")
    assert [row["name"] for row in cli.json("account list")] == ["Orders team", "Second"]
    table = cli("account list").stdout
    assert created["id"] in table
    assert "Orders team" in table
    assert cli.json("account show", created["id"]) == created


def test_an_account_is_suspended_resumed_and_deleted(cli, account):
    assert cli.json("account suspend --yes", account)["state"] == "suspended"
    assert "suspended" in cli("account show", account).stdout
    assert cli.json("account resume", account)["state"] == "active"
    assert cli.json("account delete", account) == {"id": account, "state": "deleted"}
    assert "there is no account" in cli("account show", account, code=3).stderr
