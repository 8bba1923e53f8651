"""Building the distribution and installing it, without asking any index."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
BASE = ("aiohttp", "cryptography", "pyjwt")
_PARTS = (
    "src",
    "sql",
    "tests",
    "testbed",
    "keys",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    ".gitignore",
)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed; return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution from a copy of this checkout, and the wheel from that.

    Returns both.
    """
    checkout = folder / "checkout"
    checkout.mkdir()
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / part, checkout / part)
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", cwd=checkout)
    (source,) = (checkout / "dist").glob("*.tar.gz")
    (folder / "unpacked").mkdir()
    run("tar", "-xzf", source, cwd=folder / "unpacked")
    (unpacked,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=unpacked)
    (wheel,) = (unpacked / "dist").glob("*.whl")
    return source, wheel


def all_dependencies() -> list[str]:
    """The distributions that `tokensvc[server,embedded]` asks for."""
    requirements = [Requirement(text) for text in importlib.metadata.requires("tokensvc") or []]
    wanted = [
        r
        for r in requirements
        if any(
            r.marker is None or r.marker.evaluate({"extra": e})
            for e in ("", "cli", "server", "embedded")
        )
    ]
    return [requirement.name for requirement in wanted if requirement.name != "tokensvc"]


def make_venv(
    folder: Path,
    wheel: Path,
    dependencies: tuple[str, ...] | list[str],
    *,
    python: Path,
    copied: bool = False,
) -> Path:
    """Make a virtual environment with the wheel and these installed distributions (and theirs).

    Returns its folder of programs.
    """
    run(python, "-m", "venv", "--without-pip", folder)
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for part in sorted(_parts_of(dependencies)):
        if not copied:
            (site / part.name).symlink_to(part)
        elif part.is_dir():
            shutil.copytree(part, site / part.name, symlinks=True)
        else:
            shutil.copy(part, site / part.name)
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "--disable-pip-version-check",
    )
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", "--root-user-action=ignore", wheel)
    return folder / "bin"


def _parts_of(names: tuple[str, ...] | list[str]) -> set[Path]:
    """The files and folders in site-packages of these distributions and all that they need."""
    parts: set[Path] = set()
    seen: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = importlib.metadata.distribution(name)
        tops = {
            file.parts[0]
            for file in found.files or []
            if file.parts[0] not in {os.pardir, "__pycache__"}
        }
        parts |= {Path(str(found.locate_file(top))) for top in tops}
        needed = [
            r
            for r in map(Requirement, found.requires or [])
            if r.marker is None or r.marker.evaluate({"extra": ""})
        ]
        waiting += [canonicalize_name(requirement.name) for requirement in needed]
    return parts
