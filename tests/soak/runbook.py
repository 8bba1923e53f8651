"""A page of docs/runbooks, whose commands are run as they stand there."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from testbed.processes import EXECUTABLE, ROOT, clean_environment
from testbed.waiting import PATIENCE, wait_until

from tokensvc.store.postgres_binaries import find_binaries
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.processes import ServiceProcess

PAGES: Final = ROOT / "docs" / "runbooks"
PROGRAMS: Final = find_binaries(None, None)
_BLOCK: Final = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Runbook:
    """The commands of a page, which are run block by block on the host of a service.

    `words` stand for the words in capitals on the page.
    """

    def __init__(self, name: str, process: ServiceProcess, **words: object) -> None:
        text = (PAGES / f"{name}.md").read_text()
        found = list(_BLOCK.finditer(text))
        self.process = process
        self.blocks = [textwrap.dedent(block[1]) for block in found]
        self.words: dict[str, object] = {
            "URL": process.url,
            "LOG": process.folder / "stderr",
            "ADMIN_URL": process.database_url,
        } | words
        self.left = set(range(len(found)))
        over = text.index("**It is over when**")
        self._over = next(at for at, block in enumerate(found) if block.start() > over)
        self._next = 0

    def step(self, **words: object) -> str:
        """Run the next block, with `words` for those in capitals; return the output."""
        return self._run(self._next, words)

    def run(self, part: str, **words: object) -> str:
        """Run the first block that has `part` in it, as `step` does."""
        return self._run(next(at for at, one in enumerate(self.blocks) if part in one), words)

    def end(self, **words: object) -> str:
        """Run what shows that it is over, when it is; return the output."""
        wait_until(self.process.is_ready)
        return self._run(self._over, words)

    def _run(self, number: int, words: Mapping[str, object]) -> str:
        self.words |= words
        self.left.discard(number)
        self._next = number + 1
        block = self.blocks[number]
        for word, value in self.words.items():
            block = re.sub(rf"\b{word}\b", str(value).replace("\\", r"\\"), block)
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", block],
            cwd=self.process.folder,
            env=clean_environment()
            | self.process.environment
            | {"PATH": f"{EXECUTABLE.parent}:{PROGRAMS}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=4 * PATIENCE,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}"
        return done.stdout


@contextmanager
def opening() -> Iterator[Callable[..., Runbook]]:
    """Lend what opens pages. In the end all their commands must have been run."""
    opened: list[tuple[str, Runbook]] = []

    def open_page(name: str, process: ServiceProcess, **words: object) -> Runbook:
        opened.append((name, Runbook(name, process, **words)))
        return opened[-1][1]

    yield open_page
    for name, page in opened:
        assert [page.blocks[at] for at in page.left] == [], f"{name} has more commands"


def ask(url: str, statement: str, *arguments: object) -> object:
    """Return the first value of a statement."""

    async def act() -> object:
        connection = await connect(url)
        value = await connection.fetchval(statement, *arguments)
        await connection.close()
        return value

    return asyncio.run(act())
