"""A user without a name gets one for initdb, if the library for that is there."""

from __future__ import annotations

import os

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_user import name_user

NAMELESS = 4_000_000


def test_a_user_whom_the_system_knows_needs_nothing(tmp_path):
    assert name_user(os.geteuid(), os.getegid(), tmp_path, places=()) == {}


def test_a_user_without_a_name_gets_one_by_the_library(tmp_path):
    library = tmp_path / "libnss_wrapper.so"
    library.touch()
    given = name_user(NAMELESS, 7, tmp_path, places=(tmp_path / "none", tmp_path))
    assert given["LD_PRELOAD"] == str(library)
    assert (tmp_path / "passwd").read_text() == f"tokensvc:x:{NAMELESS}:7::/:/bin/false\n"
    assert (tmp_path / "group").read_text() == "tokensvc:x:7:\n"


def test_without_the_library_the_ways_out_are_named(tmp_path):
    with pytest.raises(StartRefusedError, match=r"uid 4000000.*TOKENSVC_DATABASE_URL.*libnss-wr"):
        name_user(NAMELESS, 7, tmp_path, places=(tmp_path,))
