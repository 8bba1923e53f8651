"""Make all that a release consists of, in `dist/`: `make release`.

The source distribution, the wheel, what they stand on (an SBOM in CycloneDX), what the changelog
says of this version, and the checksums of all that. It stops if the changelog does not know the
version, if a pinned package has a known weakness, or if that cannot be found out.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
DIST: Final = ROOT / "dist"
_PINNED: Final = "requirements/run.txt"
_PINNED_TOO: Final = "requirements/otel.txt"  # an extra that the image has
_SUMS: Final = "SHA256SUMS"


class NoReleaseError(Exception):
    """Why there is no release."""


def main() -> int:
    """Make a release; return the exit code."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        changes = find_changes((ROOT / "CHANGELOG.md").read_text(), version)
        checked = count_checked(audit())
        shutil.rmtree(DIST, ignore_errors=True)
        build(version)
    except NoReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    (DIST / "CHANGES.md").write_text(f"{changes}\n")
    write_checksums(DIST)
    print(f"tokensvc {version} is in dist/; {checked} packages have no known weakness")
    return 0


def find_changes(changelog: str, version: str) -> str:
    """Return what the changelog says of a version. Raises NoReleaseError if that is nothing."""
    found = re.search(
        rf"^## \[?{re.escape(version)}(?![\w.])[^\n]*\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if found is None or not found[1].strip():
        raise NoReleaseError(
            f'CHANGELOG.md says nothing of {version}: give "Unreleased" its number and its day'
        )
    return found[1].strip()


def audit() -> str:
    """Return the report of pip-audit on the pinned packages, as JSON.

    It asks PyPI, over the network. Raises NoReleaseError if there is no report.
    """
    files = ("-r", _PINNED, "-r", _PINNED_TOO)
    done = run("pip-audit", "--disable-pip", "--require-hashes", *files, "-f", "json")
    if not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise NoReleaseError(
            "pip-audit could not ask for known weaknesses, for which it needs the network: "
            f"{last[:200]}"
        )
    return done.stdout


def count_checked(report: str) -> int:
    """Return how many packages a report is about.

    Raises NoReleaseError if that is none, or if one was not checked or has a known weakness.
    """
    found = json.loads(report)["dependencies"]
    faults = [
        f"{package['name']}: {weakness['id']}"
        for package in found
        for weakness in package.get("vulns", ())
    ]
    faults += [f"{one['name']} was not checked" for one in found if "skip_reason" in one]
    if not found:
        faults.append("pip-audit has checked no package")
    if faults:
        raise NoReleaseError("; ".join(faults))
    return len(found)


def build(version: str) -> None:
    """Build the distributions and the SBOM. Raises NoReleaseError."""
    must("python", "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel")
    made = sorted(str(path) for path in DIST.iterdir())
    must("twine", "check", "--strict", *made)
    write_sbom(DIST / f"tokensvc-{version}.cdx.json")


def write_sbom(path: Path) -> None:
    """Write what the service stands on, with versions and hashes. Raises NoReleaseError."""
    must(
        *("cyclonedx-py", "requirements", "--pyproject", "pyproject.toml", "--of", "JSON"),
        *("--output-reproducible", "-o", str(path), _PINNED),
    )


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files of a folder, as `sha256sum --check` reads them."""
    paths = [path for path in sorted(folder.iterdir()) if path.name != _SUMS]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    (folder / _SUMS).write_text("".join(lines))


def must(program: str, *arguments: str) -> None:
    """Run a program of the environment. Raises NoReleaseError if it fails."""
    done = run(program, *arguments)
    if done.returncode:
        raise NoReleaseError(f"{program} has failed:\n{done.stdout}{done.stderr}")


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment to its end."""
    beside = Path(sys.executable).parent / program
    return subprocess.run(
        [beside, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
