"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.launched import Launched
from tests.processes import EXECUTABLE, find_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@pytest.fixture
def launch(session_folder: Path) -> Iterator[Callable[..., Launched]]:
    """Starts services in process groups of their own; stops them at the end and looks for secrets in what they logged."""
    processes: list[Launched] = []

    def make(
        *arguments: str,
        command: Sequence[str] = (str(EXECUTABLE),),
        folder: Path | None = None,
        **environment: str,
    ) -> Launched:
        if folder is None:
            folder = Path(tempfile.mkdtemp(dir=session_folder))
            folder.chmod(0o755)
        processes.append(Launched(folder, arguments, environment, command))
        return processes[-1]

    yield make
    for process in processes:
        process.stop()
        assert find_secrets(process.errors) == []
