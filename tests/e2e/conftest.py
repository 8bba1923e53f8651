"""Fixtures of the end-to-end tests: services that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.services import starting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.processes import ServiceProcess

    from tests.databases import Databases


@pytest.fixture(scope="module")
def new_shared_process(session_folder: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services that all tests of a module share; they are stopped at its end."""
    with starting(session_folder) as start:
        yield start


@pytest.fixture(scope="module")
def shared_database_url(databases: Databases) -> Iterator[str]:
    """A fresh, migrated database that all tests of a module share."""
    url = databases.take()
    yield url
    databases.drop(url)
