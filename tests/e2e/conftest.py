"""Fixtures of the end-to-end tests: a database that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.databases import Databases


@pytest.fixture(scope="module")
def shared_database_url(databases: Databases) -> Iterator[str]:
    """A fresh, migrated database that all tests of a module share."""
    url = databases.take("migrated")
    yield url
    databases.drop(url)
