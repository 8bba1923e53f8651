"""Names and beginnings of ids where an id is wanted."""

from __future__ import annotations


def test_a_name_or_the_beginning_of_an_id_will_do(cli, account, key):
    for text in (key["id"], key["id"][:9], "ci"):
        assert cli.json("key show", text)["id"] == key["id"]
    for text in (account, account[:10], "Orders"):
        assert cli.json("account show", text)["id"] == account
    made = cli.json("key create --name other --capability orders:read --account Orders")
    assert made["account"] == account
    assert len(cli.json("key list --account Orders")) == 2
    assert {used["id"] for used in cli.json("key usage ci other")} == {key["id"], made["id"]}
    batch = cli.json("key batch disable ci other")
    assert [outcome["done"] for outcome in batch] == [True, True]


def test_a_file_of_a_batch_may_name_keys_too(cli, key):
    made = cli.json("key create --name 'night export' --capability orders:read --account Orders")
    other = cli.json("key create --name other --capability orders:read --account Orders")
    lines = f"# these\n\n{key['id']}  found in a log\nnight export\n{other['id'][:9]}\n"
    batch = cli.json("key batch disable --from -", stdin=lines)
    assert [outcome["id"] for outcome in batch] == [key["id"], made["id"], other["id"]]


def test_filters_take_names_and_beginnings_and_what_is_gone(ready, account, key):
    for subject in (key["id"], key["id"][:9], "ci"):
        (event,) = ready.json("audit list --subject", subject)
        assert event["subject"] == key["id"]
    for subject in (account, "Orders"):
        assert ready.json("audit list --subject", subject)[-1]["subject"] == account
    kid = ready.json("signing-key list")[0]["kid"]
    assert {event["subject"] for event in ready.json("audit list --subject", kid[:8])} == {kid}
    ready("key revoke ci")
    assert ready.json("denylist list --value ci")[0]["value"] == key["id"]
    assert ready.json("audit list --actor cli:nobody --subject nothing") == []
    ready("tier create --per-minute 1 --per-day 2 Orders")
    assert ready.json("audit list --subject Orders")[0]["operation"] == "tiers.create"


def test_a_name_of_several_things_is_refused_by_filters_too(cli, account):
    cli("key create --name Orders --capability orders:read --account", account)
    refused = cli("audit list --subject Orders", code=5).stderr
    assert "'Orders' names several things; give one of these ids:" in refused
    assert f"  {account}  account" in refused


def test_signing_keys_and_endpoints_are_named_by_a_beginning_too(ready):
    kid = ready.json("signing-key list")[0]["kid"]
    assert kid in ready("signing-key export", kid[:8]).stdout
    hook = ready.json("notice create https://hooks.example/x")["id"]
    for text in (hook[:10], "https://hooks.example/x"):
        assert ready.json("notice show", text)["id"] == hook


def test_what_names_several_things_is_refused_and_they_are_listed(cli, account, key):
    other = cli.json("key create --name ci --capability orders:read --account", account)["id"]
    refused = cli("key revoke --yes ci", code=5).stderr
    assert "'ci' names several API keys; give one of these ids:" in refused
    assert f"  {key['id']}  ci  active  {account}" in refused
    assert other in refused
    cli("key revoke --yes", other)
    assert cli.json("key show ci")["id"] == key["id"], "a name means what is still of use"


def test_what_names_nothing_is_told_so(cli, key):
    assert "no API key has the id or the name 'c'" in cli("key show c", code=3).stderr
    assert "no account has the id or" in cli("account show acct_zzzz", code=3).stderr
    assert "too short" in cli("key revoke --yes key_", code=5).stderr
    assert "too short" in cli("key revoke --yes", key["id"][:7], code=5).stderr


def test_a_key_in_the_place_of_its_id_is_neither_sent_nor_repeated(cli, key):
    refused = cli("key revoke --yes", key["key"], code=5).stderr
    assert "never by a key itself" in refused
    assert key["key"] not in refused


def test_what_is_so_already_is_said_and_nothing_is_written(cli, account, key):
    for act, what in (
        ("key disable", key["id"]),
        ("key enable", key["id"]),
        ("key revoke", key["id"]),
        ("account suspend", account),
        ("account resume", account),
    ):
        yes = ["--yes"] if act in {"key revoke", "account suspend"} else []
        assert "already" not in cli(act, what, *yes).stderr
        events = len(cli.json("audit list"))
        assert "already" in cli(act, what, *yes).stderr
        assert len(cli.json("audit list")) == events
