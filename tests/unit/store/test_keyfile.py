"""Who may own and read the file of the master key: the rule of Postgres for key files."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.keyfile import check_mode, parse_master_key

PATH = Path("/etc/tokensvc/master.key")
US, SOMEBODY = 1000, 1001


def status(owner, mode):
    return os.stat_result((0o100000 | mode, 0, 0, 1, owner, 0, 45, 0, 0, 0))


@pytest.mark.parametrize(
    ("owner", "mode", "is_secret", "said"),
    [
        (US, 0o600, False, None),
        (US, 0o400, False, None),
        (US, 0o640, False, r"can be read by others \(mode 0640\); run: chmod 600 [^;]*$"),
        (US, 0o604, True, "can be read by others"),
        (0, 0o600, False, None),
        (0, 0o440, False, None),  # Kubernetes, with fsGroup
        (0, 0o660, False, "can be read by others"),
        (0, 0o444, False, "chmod 600 .*; in Kubernetes set defaultMode: 0440 and fsGroup"),
        (0, 0o444, True, None),  # Docker
        (0, 0o446, True, "can be read by others"),
        (SOMEBODY, 0o600, False, "belongs to another user.*chown 1000"),
        (SOMEBODY, 0o444, True, "belongs to another user"),
    ],
)
def test_a_key_file_is_ours_or_roots_and_nobody_else_can_change_it(owner, mode, is_secret, said):
    given = status(owner, mode)
    if said is None:
        check_mode(PATH, given, us=US, is_secret=is_secret)
        return
    with pytest.raises(StartRefusedError, match=said):
        check_mode(PATH, given, us=US, is_secret=is_secret)


def test_a_group_may_read_a_file_of_root_also_where_we_are_root():
    check_mode(PATH, status(0, 0o440), us=0, is_secret=False)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
def test_a_master_key_may_be_written_by_any_editor(encoding):
    secret = secrets.token_bytes(32)
    text = f"{base64.b64encode(secret).decode()}\r\n"
    assert parse_master_key(text.encode(encoding), "it").secret == secret


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff\xff\xff", "ключ".encode()])
def test_what_is_no_master_key_is_named(data):
    with pytest.raises(StartRefusedError, match=r"^it does not hold a master key: 32 bytes"):
        parse_master_key(data, "it")
