"""Commands are a face of the table of operations: here, and over HTTP."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import tokensvc.cli
from tokensvc.operations.table import OPERATIONS

FAR = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"aiohttp", "asyncpg", "gunicorn", "structlog", "jwt"}:
            raise ModuleNotFoundError(name, name=name)
        return None

sys.meta_path.insert(0, Absent())
from tokensvc.cli import main
try:
    main()
finally:
    found = [n for n in sys.modules if n.startswith(("tokensvc.issuer", "tokensvc.store",
        "tokensvc.settings", "tokensvc.web", "tokensvc.client", "cryptography"))]
    print(found, file=sys.stderr)
"""


def list_called():
    """Return the names of the operations that the modules of the command line call."""
    called = set()
    for path in Path(tokensvc.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in {"call", "call_pages"} and isinstance(node.args[0], ast.Constant):
                called.add(node.args[0].value)
    return called


def test_every_operation_has_a_command_and_no_command_calls_anything_else():
    assert sorted(list_called()) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    "line",
    [
        "key list",
        "account list",
        "audit list",
        "whoami",
        "denylist list",
        "key show key_0000000000000000",
        "doctor",
    ],
)
def test_a_command_for_a_service_far_away_needs_only_the_extra_cli(line, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    done = subprocess.run(
        [sys.executable, "-c", FAR, "--url", url, *line.split()],
        env={"TOKENSVC_API_KEY": "tsk-0"},
        capture_output=True,
        text=True,
        check=False,
    )
    # The doctor has found that nobody answers; for all others it is a reason to end.
    assert done.returncode == (5 if line == "doctor" else 6), done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_what_the_extra_cli_cannot_do_says_which_extra_can():
    done = subprocess.run(
        [sys.executable, "-c", FAR, "--host", "key", "list"],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'tokensvc[server]', or name a service with --url" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_lists_keys_on_the_host_imports_nothing_that_it_does_not_need():
    """A command should answer quickly, and most of its time is for imports."""
    code = (
        "import sys, tokensvc.cli.root, tokensvc.cli.key, tokensvc.cli.host\n"
        "from tokensvc.issuer.operations.bindings import load_function\n"
        "load_function('keys.list'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "tokensvc.store.key_pages" in loaded
    slow = {"structlog", "aiohttp", "cryptography", "jwt", "prometheus_client"}
    slow |= {"tokensvc.operations.key_models", "tokensvc.core.exchange"}
    assert not loaded & (slow | {"tokensvc.issuer.admin"})


class Both:
    """Runs a command on the host and over HTTP, and returns what both have printed."""

    def __init__(self, cli, url):
        self.cli = cli
        self.url = url

    def __call__(self, line, code=0):
        here = self.cli(f"--host {line}", code=code)
        there = self.cli(f"--url {self.url} {line}", code=code)
        return here, there


@pytest.fixture
def database_url(served):
    return served.database_url


@pytest.fixture
def both(ready, served, monkeypatch):
    """The served database, and an admin key in the environment."""
    owner = ready.json("account create Operators")["id"]
    admin = ready.json("key create --name admin --capability tokensvc:admin --account", owner)
    monkeypatch.setenv("TOKENSVC_API_KEY", admin["key"])
    monkeypatch.setenv("TOKENSVC_ISSUER", served.url)  # the host must have the same settings

    return Both(ready, served.url)


def test_reading_prints_the_same_on_the_host_and_over_http(both, subtests):
    cli = both.cli
    account = cli.json("account create Orders")["id"]
    key = cli.json("key create --name ci --capability a --metadata team=x --account", account)["id"]
    revoked = cli.json("key create --name old --capability a --account", account)["id"]
    cli("key revoke", revoked)
    kid = cli.json("signing-key list")[0]["kid"]
    cli("audience create https://orders.example/x")
    endpoint = cli.json("notice create https://hooks.example/x --event key.idle")["id"]
    for line in (
        "account list -o json",
        f"account show {account} -o json",
        f"account show {account} --field name",
        f"key list -o json --account {account}",
        f"key list --account {account} --state revoked -o json",
        f"key list --account {account} --metadata team=x",
        "key list --limit 1",
        "account show Operators",
        f"key show {key[:12]}",
        "key list --name ci --sort -name --created-before 2999-01-01 --field id",
        f"key show {key} -o json",
        "capability list",
        "capability list --with-use --name a -o json",
        "audience list --with-use -o json",
        "tier list --with-use",
        "capability show a -o json",
        "audience list -o json",
        "audience show https://orders.example/x",
        "tier list",
        "tier show default --field key_per_day",
        "denylist list -o json",
        f"denylist list --newest-first --kind key --value {revoked}",
        "denylist count -o json",
        "denylist followers",
        f"signing-key export {kid}",
        f"signing-key export --pem {kid}",
        f"audit list --subject {account} -o json",
        "audit list --most 3",
        "audit show -o json",
        f"notice show {endpoint} -o json",
        "notice list -o json",
        "notice events --since 2999-01-01",
        "notice deliveries --state waiting -o json",
    ):
        with subtests.test(msg=line):
            here, there = both(line)
            assert (without_moment(there.stdout), there.stderr) == (
                without_moment(here.stdout),
                here.stderr,
            )
            assert here.output != ""


def without_moment(text):
    """What was printed, but for the moment at which each process counted by itself."""
    return re.sub(r'counted_at": "[^"]*"', 'counted_at": ""', text)


def name_fields(printed):
    """Each field of an object, or of the objects of a list, and whether it has no value.

    Since when a receiver fails depends on whether the service has tried it meanwhile.
    """
    objects = printed if isinstance(printed, list) else [printed]
    return [
        [(name, value is None and name != "failing_since") for name, value in each.items()]
        for each in objects
    ]


def test_health_is_shown_on_the_host_and_over_http_where_a_process_tells_of_itself_too(both):
    here = both.cli.json("--host health")
    there = both.cli.json(f"--url {both.url} health")
    assert list(here) == list(there)
    assert here["migrations"] == there["migrations"]
    assert here["process"] is None
    assert there["process"]["checks"]["ledger"] is True
    shown = both.cli(f"--url {both.url} health -o text --settings").stdout
    assert "all hold" in shown
    assert "TOKENSVC_ROTATION_PERIOD" in shown
    assert both.cli("--host health -o text").stdout.startswith("version ")


def test_refusals_print_the_same_and_have_the_same_exit_code(both, subtests):
    account, key = "acct_0000000000000000", "key_0000000000000000"
    for line, code in (
        (f"account show {account}", 3),
        ("account show nonsense", 3),
        (f"key show {key}", 3),
        (f"key revoke --yes {key}", 3),
        (f"key create --name x --capability a --account {account}", 3),
        ("key create --name x --account nonsense", 3),
        (f"key update --capability 'no good' --network nowhere {key}", 5),
        ("capability delete nothing", 3),
        ("capability show nothing", 3),
        ("audience show nothing", 3),
        ("tier show nothing", 3),
        ("capability create 'no good'", 5),
        ("audience create api", 5),
        ("audience delete api", 5),
        ("tier create default --per-minute 1 --per-day 1", 5),
        ("signing-key rotate --alg RS256 --now", 5),
        ("denylist add --jti x", 5),
        ("notice create ftp://hooks.example/", 5),
        ("notice create https://hooks.example/ --event key.nothing", 5),
        ("notice show hook_0000000000000000", 3),
        ("notice redeliver 1", 3),
        ("notice redeliver x", 5),
        ("denylist watch --after junk", 5),
    ):
        with subtests.test(msg=line):
            here, there = both(line, code=code)
            assert (there.stdout, there.stderr) == (here.stdout, here.stderr)


def test_changes_print_the_same_fields_on_the_host_and_over_http(both, subtests):
    cli, far = both.cli, f"--url {both.url}"

    def run(prefix, name):
        made = cli.json(f"{prefix} account create {name}")
        account = made["id"]
        cli(f"{prefix} tier create {name} --per-minute 7 --per-day 70")
        cli(f"{prefix} capability create {name}:read")
        key = cli.json(
            f"{prefix} key create --name {name} --capability {name}:read --expires-in 90d "
            f"--network 192.0.2.0/24 --audience api --metadata team={name} --claim region=eu "
            f"--no-self-rotation --tier {name} --account {account}"
        )
        hook = cli.json(
            f"{prefix} notice create https://hooks.example/{name} --account {account} "
            "--event key.revoked"
        )
        lines = [
            f"notice update {hook['id']} --all-events --description d --disable",
            f"notice update {hook['id']} --enable",
            f"notice rotate-secret {hook['id']} --grace 1h",
            f"account update {account} --tier {name} --per-day 9",
            f"account update {account} --tier inherit --per-day inherit",
            f"key update {key['id']} --any-network --description d --per-minute 3",
            f"key disable {key['id']} --reason lost",
            f"key enable {key['id']}",
            f"key revoke-tokens {key['id']}",
            f"key rotate {key['id']} --grace 1h",
            f"key usage {key['id']}",
            f"key usage {key['id']} {key['id']} -o text",
            "overview -o json",
            f"account usage {account}",
            f"denylist add --key {key['id']} --reason lost",
            f"key revoke {key['id']} --yes",
            f"key delete {key['id']} --yes",
            f"account suspend {account} --yes",
            f"account resume {account}",
            f"account revoke-tokens {account}",
            f"account delete {account} --yes",
            f"capability update {name}:read --description d",
            f"audience create {name} --token-ttl 5m",
            f"audience update {name} --token-ttl default",
            f"audience delete {name}",
            f"tier update {name} --per-day 71",
        ]
        results = [cli.json(f"{prefix} {line}") for line in lines]
        tested = cli.json(f"{prefix} notice test {hook['id']}")
        cli(f"{prefix} notice redeliver {tested['id']}")
        cli(f"{prefix} notice delete {hook['id']} --yes")
        return [made, key, hook, *results]

    for here, there in zip(run("--host", "here"), run(far, "there"), strict=True):
        with subtests.test(msg=json.dumps(there)[:60]):
            assert name_fields(here) == name_fields(there)


def test_acts_on_many_keys_tokens_and_signing_keys_print_the_same_fields(both, tmp_path):
    cli, far = both.cli, f"--url {both.url}"

    def run(prefix, name):
        account = cli.json(f"account create {name}")["id"]
        make = f"key create --capability a --account {account} --name"
        first, second, third = [cli.json(f"{make} {number}") for number in "123"]
        file = tmp_path / name
        file.write_text(third["key"])
        token = cli(f"{far} token get --key-file {file}").stdout
        exported = tmp_path / f"{name}.pem"
        made = [
            *cli.json(f"{prefix} key batch disable {first['id']} {second['id']} --reason lost"),
            *cli.json(f"{prefix} key batch update {third['id']} --per-minute 7"),
            *cli.json(f"{prefix} key batch enable key_0000000000000000", code=5),
            cli.json(f"{prefix} token inspect", stdin=token),
            cli.json(f"{prefix} token revoke", stdin=token),
            cli.json(f"{prefix} token inspect", stdin=token),
            cli.json(f"{prefix} signing-key rotate --now --force"),
            *cli.json(f"{prefix} signing-key list"),
            cli.json(f"{prefix} signing-key import", stdin=new_private_key()),
        ]
        signer = next(row for row in made if row.get("phase") == "active")["kid"]
        cli(f"{prefix} signing-key export --private {exported} {signer}")
        assert exported.read_text().startswith("-----BEGIN PRIVATE KEY-----")
        return [*made, cli.json(f"{prefix} signing-key revoke --yes {signer}")]

    # The second one finds a signing key more, which the first one has left behind.
    fields = [[tuple(row) for row in run(prefix, "x" + prefix[2])] for prefix in ("--host", far)]
    assert set(fields[0]) == set(fields[1])
    assert [row for row in fields[0] if "phase" not in row] == [
        row for row in fields[1] if "phase" not in row
    ]


def new_private_key():
    """Return a private key as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_key_rotates_itself_over_http_and_on_the_host_no_key_is_shown(both, monkeypatch):
    account = both.cli.json("account create Orders")["id"]
    key = both.cli.json(f"key create --name ci --capability a --account {account}")
    monkeypatch.setenv("TOKENSVC_API_KEY", key["key"])
    made = both.cli.json(f"--url {both.url} key rotate self --grace 1h")
    assert (made["predecessor"], made["name"]) == (key["id"], "ci")
    again = both.cli(f"--url {both.url} key rotate self", code=5)
    assert "successor" in again.stderr
    refused = both.cli("--host key rotate self", code=5)
    assert "API key" in refused.stderr


def test_the_key_that_is_shown_says_who_calls_and_only_a_report_of_a_leak_needs_none(
    both, monkeypatch
):
    far = f"--url {both.url}"
    who = both.cli.json(f"{far} whoami")
    assert (who["capabilities"], who["key"][:4]) == (["tokensvc:admin"], "key_")
    assert "account-day 50000 of 50000" in both.cli(f"{far} whoami").stdout
    assert both.cli.json("--host whoami")["actor"].startswith("cli:")
    monkeypatch.setenv("TOKENSVC_API_KEY", "tsk-" + "0" * 32)
    refused = both.cli(f"{far} key list", code=4)
    assert "refuses the API key" in refused.stderr
    monkeypatch.delenv("TOKENSVC_API_KEY")
    assert "there is no API key" in both.cli(f"{far} key list", code=4).stderr
    # Whoever has found a key reports it without one.
    account = both.cli.json("--host account create Orders")["id"]
    key = both.cli.json("--host key create --name ci --capability a --account", account)
    reported = both.cli(f"{far} key scan --report -", stdin=key["key"], code=5)
    assert "1 key(s) reported" in reported.stderr
    assert both.cli.json("--host key show", key["id"])["state"] == "disabled"
