"""Build the pages of the repository as a site, in `build/site`: `make site`.

Zensical builds from a copy in which each file has the place that it has in the repository, so the
links hold on both. Every link that it makes must lead somewhere: it checks those of the pages, but
not those that a page defines at its end.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).parent.parent
_SOURCES: Final = (":(glob)*.md", "docs", "examples", "bench", "tests")
_LINK: Final = re.compile(r"""<(?:a|img|link|script)\b[^>]*? (?:href|src)=["']?([^"' >]+)""")


def main() -> int:
    """Build the site; return the exit code."""
    folder = ROOT / "build"
    for old in ("site", "site-source"):
        shutil.rmtree(folder / old, ignore_errors=True)
    copy_sources(folder)
    failed = build(folder)
    for link in find_lost_links(folder / "site"):
        print(f"it leads nowhere: {link}", file=sys.stderr)
        failed = 1
    return failed


def copy_sources(folder: Path) -> None:
    """Copy what the site is built from into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *_SOURCES], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = folder / "site-source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, path)
    shutil.copy(ROOT / "docs" / "site.yml", folder)


def build(folder: Path) -> int:
    """Build the site in `folder` from what lies there; return the exit code."""
    zensical = Path(sys.executable).parent / "zensical"
    command = [str(zensical), "build", "--strict", "--config-file", str(folder / "site.yml")]
    return subprocess.run(command, check=False).returncode


def find_lost_links(site: Path) -> list[str]:
    """Return the links of a site to files that it does not have, each with its page."""
    return [
        f"{page.relative_to(site)}: {link}"
        for page in sorted(site.rglob("*.html"))
        for link in _LINK.findall(page.read_text())
        if not _is_there(page, link, site)
    ]


def _is_there(page: Path, link: str, site: Path) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return True
    start = site if parts.path.startswith("/") else page.parent
    target = start / unquote(parts.path).lstrip("/")
    return (target / "index.html" if target.is_dir() else target).exists()


if __name__ == "__main__":
    sys.exit(main())
