from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from testbed.processes import EXECUTABLE, clean_environment

from tokensvc.core.api_key import new_api_key
from tokensvc.core.identifier import new_jti


def test_one_token_is_revoked_by_its_id_alone(ready):
    jti = new_jti()
    row = ready.json("denylist", "add", "--jti", jti, "--exp-in", "5m", "--reason", "seen in a log")
    assert (row["seq"], row["kind"], row["value"], row["upto"], row["reason"]) == (
        1,
        "jti",
        jti,
        None,
        "token revoked",
    )
    assert 300 + 120 - 5 <= row["expires"] - time.time() <= 300 + 120
    (event,) = ready.json("audit", "list", "--subject", jti)
    assert (event["action"], event["detail"]["reason"]) == ("denylist.add", "seen in a log")
    assert event["actor"].startswith("cli:")
    assert [entry["value"] for entry in ready.json("denylist", "list")] == [jti]


def test_without_a_duration_a_token_is_denied_for_as_long_as_any_can_live(ready):
    row = ready.json("denylist", "add", "--jti", new_jti())
    assert 600 + 120 - 5 <= row["expires"] - time.time() <= 600 + 120


def test_tokens_of_a_key_are_denied_and_the_key_stays_as_it_is(ready, key):
    row = ready.json("denylist", "add", "--key", key["id"], "--reason", "leaked")
    assert (row["kind"], row["value"], row["reason"]) == ("key", key["id"], "tokens ended")
    assert abs(row["upto"] - time.time()) < 5
    assert ready.json("key", "show", key["id"])["state"] == "active"
    event, *_ = ready.json("audit", "list", "--subject", key["id"])
    assert (event["action"], event["detail"]) == ("key.revoke_tokens", {"reason": "leaked"})
    ready("key", "disable", key["id"])
    disabled = ready.json("key", "show", key["id"])
    assert ready.json("denylist", "add", "--key", key["id"])["seq"] == 3
    assert ready.json("key", "show", key["id"]) == disabled


def test_tokens_of_an_account_are_denied_and_the_account_stays_as_it_is(ready, account):
    row = ready.json("denylist", "add", "--account", account, "--reason", "leaked")
    assert (row["kind"], row["value"], row["reason"]) == ("account", account, "tokens ended")
    assert ready.json("account", "show", account)["suspended_at"] is None
    event, *_ = ready.json("audit", "list", "--subject", account)
    assert (event["action"], event["detail"]) == ("account.revoke_tokens", {"reason": "leaked"})
    ready("account", "suspend", account)
    suspended = ready.json("account", "show", account)
    ready("denylist", "add", "--account", account)
    assert ready.json("account", "show", account) == suspended


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "name one thing: --jti, --key or --account"),
        (("--jti", "x", "--key", "key_x"), 2, "name one thing"),
        (("--key", "key_x", "--exp-in", "5m"), 2, "--exp-in goes with --jti"),
        (("--jti", "x"), 5, "the id of a token is 20 letters and digits"),
        (("--jti", "a" * 20, "--exp-in", "601s"), 5, "between 1 s and 600 s"),
        (("--jti", "a" * 20, "--exp-in", "0s"), 5, "between 1 s and 600 s"),
        (("--key", "key_0"), 3, "there is no key 'key_0'"),
        (("--account", "acct_0"), 3, "there is no account 'acct_0'"),
    ],
)
def test_what_names_nothing_to_deny_is_refused(arguments, code, told, ready):
    assert told in ready("denylist", "add", *arguments, code=code).stderr
    assert ready.json("denylist", "list") == []


def test_a_key_in_the_place_of_its_id_is_refused_and_not_repeated(ready):
    text = new_api_key().text
    result = ready("denylist", "add", "--key", text, code=2)
    assert "never the key itself" in result.stderr
    assert text not in result.output


class Watch:
    """`tokensvc denylist watch` beside the test."""

    def __init__(self, folder, *arguments):
        environment = clean_environment() | {
            "TOKENSVC_DATABASE_URL": os.environ["TOKENSVC_DATABASE_URL"]
        }
        self._errors = folder / "watch-errors"
        command = [str(EXECUTABLE), "denylist", "watch", *arguments]
        with self._errors.open("w") as file:
            self._child = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True
            )
        give_up = time.monotonic() + 15
        while "watching" not in self.errors:
            assert time.monotonic() < give_up
            time.sleep(0.02)

    @property
    def errors(self):
        return self._errors.read_text()

    def next_line(self):
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def interrupt(self):
        self._child.send_signal(signal.SIGINT)
        rest, _ = self._child.communicate(timeout=10)
        return self._child.returncode, rest


def test_entries_are_printed_as_they_come_and_ctrl_c_ends_it_quietly(ready, key, tmp_path):
    ready("denylist", "add", "--jti", new_jti())
    watch, jti = Watch(tmp_path, "-o", "json"), new_jti()
    ready("denylist", "add", "--jti", jti)
    ready("key", "revoke", key["id"])
    first, second = json.loads(watch.next_line()), json.loads(watch.next_line())
    assert (first["seq"], first["kind"], first["value"]) == (2, "jti", jti)
    assert (second["seq"], second["kind"], second["reason"]) == (3, "key", "key revoked")
    assert "Traceback" not in watch.errors
    assert watch.interrupt() == (0, "")
    again = Watch(tmp_path, "--after", first["cursor"])
    assert (
        again.next_line()
        == f"{second['cursor']}  key {key['id']} up to {second['upto']}  (key revoked)\n"
    )
    assert again.interrupt() == (0, "")


def test_a_position_from_elsewhere_is_told_loudly_and_everything_in_force_follows(ready, tmp_path):
    jti = new_jti()
    ready("denylist", "add", "--jti", jti)
    watch = Watch(tmp_path, "-o", "json", "--after", "7-elsewhere")
    assert json.loads(watch.next_line())["reset"] is True
    assert json.loads(watch.next_line())["value"] == jti
    assert "THE HISTORY WENT BACK" in watch.errors
    assert watch.interrupt() == (0, "")
    assert "after must be a cursor" in ready("denylist", "watch", "--after", "junk", code=5).stderr
