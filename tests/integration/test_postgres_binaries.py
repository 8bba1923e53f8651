"""Where Postgres's programs are found, and which user runs them."""

from __future__ import annotations

import pwd

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_binaries import (
    copy_readable,
    find_binaries,
    list_debian_binaries,
    list_path_binaries,
    unprivileged_user,
)


def test_a_folder_without_programs_is_a_clear_refusal(tmp_path):
    for cluster, wanted in (
        (None, "version 15 or newer"),
        ("9", "version 9, which made the data in this folder"),
    ):
        with pytest.raises(StartRefusedError, match=wanted) as caught:
            find_binaries(tmp_path, cluster)
        assert "TOKENSVC_POSTGRES_BIN_DIR" in caught.value.message
        assert "TOKENSVC_DATABASE_URL" in caught.value.message


def test_a_program_that_is_too_old_or_none_is_passed_over(tmp_path):
    for number, script in enumerate(("echo postgres 14.1", "echo hello", "exit 1")):
        folder = tmp_path / str(number)
        folder.mkdir()
        for program in ("initdb", "postgres"):
            (folder / program).write_text(f"#!/bin/sh\n{script}\n")
            (folder / program).chmod(0o755)
        with pytest.raises(StartRefusedError):
            find_binaries(folder, None)


def test_programs_are_found_in_debian_s_folders_and_on_the_path(monkeypatch, tmp_path):
    for version in ("15", "17", "9.6", "common"):
        (tmp_path / version / "bin").mkdir(parents=True)
    assert [folder.parent.name for folder in list_debian_binaries(tmp_path)] == ["17", "15"]
    monkeypatch.setenv("PATH", str(tmp_path / "17" / "bin"))
    assert list_path_binaries() == []
    (tmp_path / "17" / "bin" / "postgres").touch(mode=0o755)
    assert list_path_binaries() == [tmp_path / "17" / "bin"]


def test_an_installation_is_copied_once_to_where_everybody_can_read_it(tmp_path):
    installation = tmp_path / "package" / "pginstall"
    (installation / "bin").mkdir(parents=True)
    (installation / "bin" / "postgres").touch(mode=0o700)
    (tmp_path / "package.libs").mkdir(mode=0o700)
    (tmp_path / "package.libs" / "libpq.so").touch(mode=0o600)
    copy = copy_readable(installation / "bin", tmp_path / "copy")
    assert (copy / "postgres").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "copy" / "package.libs" / "libpq.so").stat().st_mode & 0o777 == 0o644
    (installation / "bin" / "later").touch()
    assert copy_readable(installation / "bin", tmp_path / "copy") == copy
    assert not (copy / "later").exists()


def test_an_ordinary_user_runs_postgres_itself():
    assert unprivileged_user(None, ourselves=(1000, 1001)) == (1000, 1001)


def test_root_runs_postgres_as_the_owner_of_the_data_or_as_an_unprivileged_user(monkeypatch):
    root = (0, 0)
    assert unprivileged_user(4_000_000, ourselves=root)[0] == 4_000_000
    assert unprivileged_user(None, ourselves=root)[0] != 0
    assert unprivileged_user(0, ourselves=root)[0] != 0

    def nobody(_name):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    assert unprivileged_user(None, ourselves=root)[0] == 65534
