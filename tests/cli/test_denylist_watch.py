from __future__ import annotations

import json
import os
import signal
import subprocess

from testbed.processes import EXECUTABLE, clean_environment
from testbed.waiting import PATIENCE, wait_until

from tokensvc.core.identifier import new_jti


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
        wait_until(lambda: "watching" in self.errors)

    @property
    def errors(self):
        return self._errors.read_text()

    def next_line(self):
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def interrupt(self):
        self._child.send_signal(signal.SIGINT)
        rest, _ = self._child.communicate(timeout=PATIENCE)
        return self._child.returncode, rest


def test_revocations_are_printed_as_they_come_and_ctrl_c_ends_it_quietly(ready, key, tmp_path):
    ready("denylist add --jti", new_jti())
    watch, jti = Watch(tmp_path, "-o", "json"), new_jti()
    ready("denylist add --jti", jti)
    ready("key revoke", key["id"])
    first, second = json.loads(watch.next_line()), json.loads(watch.next_line())
    assert (first["seq"], first["kind"], first["value"]) == (2, "jti", jti)
    assert (second["seq"], second["kind"], second["ending"]) == (3, "key", "key_revoked")
    assert "Traceback" not in watch.errors
    assert watch.interrupt() == (0, "")
    again = Watch(tmp_path, "--after", first["cursor"])
    named = f"key {key['id']} up to {second['upto']}"
    assert again.next_line() == f"{second['cursor']}  {named}  (key revoked)\n"
    assert again.interrupt() == (0, "")


def test_a_position_from_elsewhere_is_told_loudly_and_everything_in_force_follows(ready, tmp_path):
    jti = new_jti()
    ready("denylist add --jti", jti)
    watch = Watch(tmp_path, "-o", "json", "--after", "7-elsewhere")
    assert json.loads(watch.next_line())["reset"] is True
    assert json.loads(watch.next_line())["value"] == jti
    assert "THE HISTORY WENT BACK" in watch.errors
    assert watch.interrupt() == (0, "")
    assert "after: it must be a cursor" in ready("denylist watch --after junk", code=5).stderr
