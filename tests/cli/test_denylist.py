from __future__ import annotations

import time

from tokensvc.core.api_key import new_api_key
from tokensvc.core.identifier import new_jti


def test_the_denylist_is_listed(cli, key):
    assert cli("denylist list").stderr == "nothing is revoked\n"
    cli("key revoke", key["id"])
    (row,) = cli.json("denylist list")
    assert (row["seq"], row["kind"], row["value"]) == (1, "key", key["id"])
    assert (row["ending"], row["healed"]) == ("key_revoked", False)
    assert row["expires"] >= row["upto"] + 120
    assert key["id"] in cli("denylist list").stdout


def test_one_token_is_revoked_by_its_id_alone(ready):
    jti = new_jti()
    row = ready.json("denylist add --exp-in 5m --reason 'seen in a log' --jti", jti)
    assert (row["seq"], row["kind"], row["value"], row["upto"]) == (1, "jti", jti, None)
    assert (row["ending"], row["healed"]) == ("token_revoked", False)
    assert 300 + 120 - 5 <= row["expires"] - time.time() <= 300 + 120
    (event,) = ready.json("audit list --subject", jti)
    assert (event["operation"], event["detail"]["reason"]) == ("tokens.revoke", "seen in a log")
    assert event["actor"].startswith("cli:")
    assert [row["value"] for row in ready.json("denylist list")] == [jti]


def test_without_a_duration_a_token_is_revoked_for_as_long_as_any_can_live(ready):
    row = ready.json("denylist add --jti", new_jti())
    assert 3600 + 120 - 5 <= row["expires"] - time.time() <= 3600 + 120


def test_tokens_of_a_key_are_revoked_and_the_key_stays_as_it_is(ready, key):
    row = ready.json("denylist add --reason leaked --key", key["id"])
    assert (row["kind"], row["value"]) == ("key", key["id"])
    assert row["ending"] == "key_tokens_revoked"
    assert abs(row["upto"] - time.time()) < 5
    assert ready.json("key show", key["id"])["state"] == "active"
    event, *_ = ready.json("audit list --subject", key["id"])
    assert (event["operation"], event["detail"]) == ("keys.revoke-tokens", {"reason": "leaked"})
    ready("key disable", key["id"])
    disabled = ready.json("key show", key["id"])
    assert ready.json("denylist add --key", key["id"])["seq"] == 3
    assert ready.json("key show", key["id"]) == disabled


def test_tokens_of_an_account_are_revoked_and_the_account_stays_as_it_is(ready, account):
    row = ready.json("denylist add --reason leaked --account", account)
    assert (row["kind"], row["value"]) == ("account", account)
    assert row["ending"] == "account_tokens_revoked"
    assert ready.json("account show", account)["suspended_at"] is None
    event, *_ = ready.json("audit list --subject", account)
    assert (event["operation"], event["detail"]) == ("accounts.revoke-tokens", {"reason": "leaked"})
    ready("account suspend", account)
    suspended = ready.json("account show", account)
    ready("denylist add --account", account)
    assert ready.json("account show", account) == suspended


def test_what_names_nothing_that_can_be_revoked_is_refused(ready, subtests):
    for options, code, told in (
        ("", 2, "name one thing: --jti, --key or --account"),
        ("--jti x --key key_x", 2, "name one thing"),
        ("--key key_x --exp-in 5m", 2, "--exp-in goes with --jti"),
        ("--jti x", 5, "the id of a token is 20 letters and digits"),
        (f"--jti {'a' * 20} --exp-in 3601s", 5, "between 1 s and 3600 s"),
        (f"--jti {'a' * 20} --exp-in 0s", 5, "exp_in: it must be at least 1"),
        ("--key key_0000000000000000", 3, "there is no key 'key_0000000000000000'"),
        ("--account acct_0000000000000000", 3, "there is no account"),
    ):
        with subtests.test(msg=str(options)):
            assert told in ready(f"denylist add {options}", code=code).stderr
            assert ready.json("denylist list") == []


def test_a_key_in_the_place_of_its_id_is_refused_and_not_repeated(ready):
    text = new_api_key().text
    result = ready("denylist add --key", text, code=5)
    assert "never by a key itself" in result.stderr
    assert text not in result.output
